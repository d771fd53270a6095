//! What a lease is made of: names, tokens and records. Plain data, no behaviour that depends on time.

pub(crate) mod bid;
mod name;
mod record;

pub(crate) use bid::{AttemptId, Bid, Claim};
pub use name::{CandidateId, InvalidName, Metadata, ResourceName, Scope};
pub use record::{LeaseRecord, PastAcquisition};

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number that grows by at least 1 with every acquisition of a resource.
///
/// It is never reused and never reset, not by a release either. Pass it along with every write that
/// the leader makes, and let the receiver refuse a number lower than the highest it has seen: that
/// stops a write that was already on its way when its sender froze (Kleppmann, *How to do
/// distributed locking*, 2016).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FencingToken(u64);

impl FencingToken {
    /// The token with this value. Stores use it; programs read tokens, they do not make them.
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

/// One acquisition of a resource: who may lead it, under which token.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lease {
    /// The thing that is led.
    pub resource: ResourceName,
    /// The candidate that acquired it.
    pub holder: CandidateId,
    /// The token of this acquisition.
    pub token: FencingToken,
}
