//! The writes to a record that only conditional writes protect, and their conditions.

use std::time::{Duration, SystemTime};

use crate::{
    lease::{AttemptId, Bid, FencingToken, Lease, ReleaseTarget},
    store::record::StoredRecord,
};

/// What a write does to a record. Every write increases the version.
#[derive(Clone, Debug)]
pub(crate) enum RecordChange {
    /// A new acquisition.
    Take {
        bid: Bid,
        since: SystemTime,
    },
    /// A renewal, for a whole ttl.
    Extend {
        ttl: Duration,
    },
    Release,
    /// An eviction. The holder stays in the record until its lease expires.
    Close,
    /// A forced eviction.
    Free,
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
    /// The lease is held as claimed.
    HeldAs(ReleaseTarget),
    /// The lease is held under this token.
    HeldUnder(FencingToken),
}

impl RecordChange {
    /// The ttl that this write sets, if it prolongs the lease.
    pub(crate) fn ttl(&self) -> Option<Duration> {
        match self {
            Self::Take { bid, .. } => Some(bid.ttl),
            Self::Extend { ttl } => Some(*ttl),
            Self::Release | Self::Close | Self::Free => None,
        }
    }
}

impl WriteCondition {
    /// The token that the record must have, if the condition names one.
    pub(crate) fn token(&self) -> Option<FencingToken> {
        match self {
            Self::Unchanged { token, .. } | Self::HeldUnder(token) => Some(*token),
            Self::Renewable(lease) | Self::HeldAs(ReleaseTarget::Lease(lease)) => Some(lease.token),
            Self::Absent
            | Self::Free(_)
            | Self::HeldAs(ReleaseTarget::Attempt { .. } | ReleaseTarget::Holder { .. }) => None,
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
    use super::{RecordChange, ReleaseTarget, StoredRecord, WriteCondition};
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
                Self::HeldAs(ReleaseTarget::Lease(lease)) => held_by(lease),
                Self::HeldAs(ReleaseTarget::Attempt { attempt, .. }) => {
                    record.holder.is_some() && record.attempt == Some(*attempt)
                }
                Self::HeldAs(ReleaseTarget::Holder { holder, .. }) => {
                    record.holder.as_ref() == Some(holder)
                }
                Self::HeldUnder(token) => record.holder.is_some() && record.token == *token,
            }
        }
    }

    impl RecordChange {
        pub(crate) fn apply(&self, record: &mut StoredRecord) {
            match self {
                Self::Take { bid, since } => {
                    // Increases the version as well.
                    record.take(bid, Moment::default(), *since);
                    return;
                }
                Self::Extend { ttl } => record.ttl = *ttl,
                Self::Release => {
                    record.holder = None;
                    record.closing = false;
                }
                Self::Close => record.closing = true,
                Self::Free => {
                    record.holder = None;
                    record.closing = true;
                }
            }
            record.version += 1;
        }
    }
}
