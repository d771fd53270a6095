//! What is written to a record that only conditional writes protect, and on which condition.

use std::time::{Duration, SystemTime};

use crate::{
    lease::{AttemptId, Bid, Claim, FencingToken, Lease},
    store::record::StoredRecord,
};

/// What a write does to a record. Every one increases the version.
#[derive(Clone, Debug)]
pub(crate) enum RecordChange {
    /// A new acquisition.
    Take {
        bid: Bid,
        since: SystemTime,
    },
    /// A whole ttl again.
    Extend {
        ttl: Duration,
    },
    Release,
    /// An eviction; the holder keeps its name until its lease expires.
    Close,
    /// A forced eviction.
    Free,
}

/// When a write is made.
#[derive(Clone, Debug)]
pub(crate) enum WriteCondition {
    /// There is no item.
    Absent,
    /// There is no item, or nobody holds the lease and this attempt is not spent.
    Free(AttemptId),
    /// Nothing was written since it was seen so.
    Unchanged { token: FencingToken, version: u64 },
    /// The lease is this holder's, and not closing.
    Renewable(Lease),
    /// The lease is held as claimed.
    Claimed(Claim),
    /// Somebody holds the lease under this token.
    Led(FencingToken),
}

impl RecordChange {
    /// How long the lease lives from this write on, if it prolongs it.
    pub(crate) fn ttl(&self) -> Option<Duration> {
        match self {
            Self::Take { bid, .. } => Some(bid.ttl),
            Self::Extend { ttl } => Some(*ttl),
            Self::Release | Self::Close | Self::Free => None,
        }
    }
}

impl WriteCondition {
    /// The token of the record that it lets through, where it asks for one.
    pub(crate) fn token(&self) -> Option<FencingToken> {
        match self {
            Self::Unchanged { token, .. } | Self::Led(token) => Some(*token),
            Self::Renewable(lease) | Self::Claimed(Claim::Lease(lease)) => Some(lease.token),
            Self::Absent
            | Self::Free(_)
            | Self::Claimed(Claim::Attempt { .. } | Claim::Holder { .. }) => None,
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

/// What the database makes of both, for a model of one.
#[cfg(test)]
mod model {
    use super::{Claim, RecordChange, StoredRecord, WriteCondition};
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
                Self::Claimed(Claim::Lease(lease)) => held_by(lease),
                Self::Claimed(Claim::Attempt { attempt, .. }) => {
                    record.holder.is_some() && record.attempt == Some(*attempt)
                }
                Self::Claimed(Claim::Holder { holder, .. }) => {
                    record.holder.as_ref() == Some(holder)
                }
                Self::Led(token) => record.holder.is_some() && record.token == *token,
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
