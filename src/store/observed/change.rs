//! What is written to a record that only conditional writes protect, and on which condition.

use std::time::{Duration, SystemTime};

use crate::{
    lease::{AttemptId, Bid, Claim, FencingToken, Lease},
    store::record::StoredRecord,
};

/// What a write does to a record. Every one increases the version.
#[derive(Clone, Debug)]
pub(crate) enum Change {
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
pub(crate) enum Guard {
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

impl Change {
    /// How long the lease lives from this write on, if it prolongs it.
    pub(crate) fn ttl(&self) -> Option<Duration> {
        match self {
            Self::Take { bid, .. } => Some(bid.ttl),
            Self::Extend { ttl } => Some(*ttl),
            Self::Release | Self::Close | Self::Free => None,
        }
    }
}

impl Guard {
    /// The token of the record that it lets through, where it asks for one.
    pub(crate) fn token(&self) -> Option<FencingToken> {
        match self {
            Self::Unchanged { token, .. } | Self::Led(token) => Some(*token),
            Self::Renewable(lease) | Self::Claimed(Claim::Lease(lease)) => Some(lease.token),
            Self::Absent | Self::Free(_) | Self::Claimed(Claim::Attempt { .. }) => None,
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
