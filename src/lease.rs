//! The parts of a lease: names, tokens and records. They are plain data; nothing here depends on time.

pub(crate) mod bid;
mod name;
mod record;

pub(crate) use bid::{AttemptId, Bid, ReleaseTarget};
pub use name::{CandidateId, InvalidName, Metadata, ResourceName, Scope};
pub use record::{HistoryEntry, LeaseRecord};

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number that identifies one acquisition of a resource and is larger than that of every earlier one.
///
/// It is a `u64` that grows by at least 1 with every acquisition. It is never reused and never reset, also
/// not by a release. Send it with every write that the leader makes, and let the receiver reject a number
/// lower than the highest it has seen. That stops a write that was already on its way when its sender froze
/// (Kleppmann, *How to do distributed locking*, 2016).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FencingToken(u64);

impl FencingToken {
    /// The token with this value. This is for stores; other programs only read tokens.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The token as a number, for instance to write it beside the data that it guards.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One acquisition of a resource: which candidate leads it, and under which token.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lease {
    /// The resource that is led.
    pub resource: ResourceName,
    /// The candidate that acquired it.
    pub holder: CandidateId,
    /// The token of this acquisition.
    pub token: FencingToken,
}
