//! The writes to a record that only conditional writes protect, and their conditions.

use std::time::{Duration, SystemTime};

use crate::{
    lease::{AttemptId, Bid, EndReason, FencingToken, Instruction, Lease, ReleaseTarget},
    store::record::StoredRecord,
};

/// What a write does to a record. Every write increases the version, except an instruction.
#[derive(Clone, Debug)]
pub(crate) enum RecordChange {
    /// A new acquisition.
    Take {
        bid: Bid,
        since: SystemTime,
        /// Whether a reentrant bid takes the lease that its own candidate holds. Then no hand-over refuses it.
        over_own: bool,
    },
    /// A fresh ttl for the attempt that holds the lease.
    Regrant { bid: Bid },
    /// A renewal, for a whole ttl.
    Extend { ttl: Duration },
    Release {
        /// For the history.
        reason: Option<EndReason>,
        at: SystemTime,
    },
    /// An eviction. The holder stays in the record until its lease expires.
    Close { at: SystemTime },
    /// A forced eviction.
    Free { at: SystemTime },
    /// The only change that leaves the version as it is.
    Instruct {
        instruction: Instruction,
        at: SystemTime,
    },
}

/// The condition of a write.
#[derive(Clone, Debug)]
pub(crate) enum WriteCondition {
    /// There is no item.
    Absent,
    /// There is no item, or the lease is free and this attempt was not released.
    Free(AttemptId),
    /// The record still has this token and version, so nothing was written since.
    Unchanged { token: FencingToken, version: u64 },
    /// This holder has the lease, and it is not closing.
    Renewable(Lease),
    /// As [`Renewable`](Self::Renewable), and no instruction stands. So the answer need not tell.
    RenewableUninstructed(Lease),
    /// The lease is held as claimed.
    HeldAs(ReleaseTarget),
    /// The lease is held under this token.
    HeldUnder(FencingToken),
    /// The lease is held under this token, and the record is not the library's own.
    Instructable(FencingToken),
    /// The record has this edition, and is not the library's own. Edition 0: there is no item.
    Edition(u64),
}

impl RecordChange {
    /// The ttl that this write sets, if it prolongs the lease.
    pub(crate) fn ttl(&self) -> Option<Duration> {
        match self {
            Self::Take { bid, .. } | Self::Regrant { bid } => Some(bid.ttl),
            Self::Extend { ttl } => Some(*ttl),
            Self::Release { .. }
            | Self::Close { .. }
            | Self::Free { .. }
            | Self::Instruct { .. } => None,
        }
    }

    /// The bid that this write grants. Beside its [`WriteCondition`], it is on the condition that no pause refuses
    /// the bid, and that no hand-over does, if the change [respects](Self::respects_hand_over) it: an instruction leaves
    /// the version as it is, so that `Unchanged` does not tell.
    pub(crate) fn bid(&self) -> Option<&Bid> {
        match self {
            Self::Take { bid, .. } | Self::Regrant { bid } => Some(bid),
            _ => None,
        }
    }

    /// Whether a hand-over to another candidate refuses this write.
    pub(crate) fn respects_hand_over(&self) -> bool {
        matches!(
            self,
            Self::Take {
                over_own: false,
                ..
            }
        )
    }
}

impl WriteCondition {
    /// The token that the record must have, if the condition names one.
    pub(crate) fn token(&self) -> Option<FencingToken> {
        match self {
            Self::Unchanged { token, .. } | Self::HeldUnder(token) | Self::Instructable(token) => {
                Some(*token)
            }
            Self::Renewable(lease)
            | Self::RenewableUninstructed(lease)
            | Self::HeldAs(ReleaseTarget::Lease(lease)) => Some(lease.token),
            Self::Absent
            | Self::Free(_)
            | Self::Edition(_)
            | Self::HeldAs(ReleaseTarget::Attempt { .. } | ReleaseTarget::Holder { .. }) => None,
        }
    }

    /// The condition under which a store applies this instruction.
    pub(crate) fn of_instruction(instruction: &Instruction) -> Self {
        match instruction {
            Instruction::HandOver { token, .. } => Self::Instructable(*token),
            Instruction::Pause { edition, .. } | Instruction::Resume { edition } => {
                Self::Edition(*edition)
            }
        }
    }

    pub(crate) fn unchanged(record: &StoredRecord) -> Self {
        match record.version {
            0 => Self::Absent,
            version => Self::Unchanged {
                token: record.token,
                version,
            },
        }
    }
}

/// A model of the database: which condition holds, and what a change does.
#[cfg(test)]
mod model {
    use super::{EndReason, RecordChange, ReleaseTarget, StoredRecord, WriteCondition};
    use crate::clock::Moment;

    impl WriteCondition {
        pub(crate) fn admits(&self, record: &StoredRecord) -> bool {
            let absent = record.version == 0;
            let held_by = |lease: &crate::lease::Lease| {
                record.token == lease.token && record.holder.as_ref() == Some(&lease.holder)
            };
            match self {
                Self::Absent => absent,
                Self::Free(attempt) => {
                    absent || (record.holder.is_none() && record.attempt != Some(*attempt))
                }
                Self::Unchanged { token, version } => {
                    (record.token, record.version) == (*token, *version)
                }
                Self::Renewable(lease) => held_by(lease) && !record.closing,
                Self::RenewableUninstructed(lease) => {
                    held_by(lease) && !record.closing && record.instruction().is_none()
                }
                Self::HeldAs(ReleaseTarget::Lease(lease)) => held_by(lease),
                Self::HeldAs(ReleaseTarget::Attempt { attempt, .. }) => {
                    record.holder.is_some() && record.attempt == Some(*attempt)
                }
                Self::HeldAs(ReleaseTarget::Holder { holder, .. }) => {
                    record.holder.as_ref() == Some(holder)
                }
                Self::HeldUnder(token) => record.holder.is_some() && record.token == *token,
                Self::Instructable(token) => {
                    record.holder.is_some() && record.token == *token && !record.internal
                }
                Self::Edition(edition) => record.edition == *edition && !record.internal,
            }
        }
    }

    impl RecordChange {
        /// Whether an instruction refuses this write.
        pub(crate) fn is_refused(&self, record: &StoredRecord) -> bool {
            let hand_over = self.respects_hand_over();
            self.bid().is_some_and(|bid| {
                record.is_paused_for(bid) || (hand_over && record.lets_another_bid_first(bid))
            })
        }

        pub(crate) fn apply(&self, record: &mut StoredRecord) {
            match self {
                Self::Take { bid, since, .. } => {
                    // Increases the version as well.
                    record.take(bid, Moment::default(), *since);
                    return;
                }
                Self::Instruct { instruction, at } => {
                    record.apply_instruction(instruction, *at);
                    return;
                }
                Self::Regrant { bid } => record.ttl = bid.ttl,
                Self::Extend { ttl } => record.ttl = *ttl,
                Self::Release { reason, at } => {
                    record.holder = None;
                    record.closing = false;
                    record.touched = *at;
                    record.ended(*reason, *at);
                }
                Self::Close { at } | Self::Free { at } => {
                    if matches!(self, Self::Free { .. }) {
                        record.holder = None;
                    }
                    record.closing = true;
                    record.touched = *at;
                    record.ended(Some(EndReason::Evicted), *at);
                }
            }
            record.version += 1;
        }
    }
}
