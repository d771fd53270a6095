//! The parts of a lease: names, tokens and records. They are plain data; nothing here depends on time.

pub(crate) mod bid;
mod instruction;
mod name;
mod record;
mod text;

pub(crate) use bid::{AttemptId, Bid, ReleaseTarget};
pub use instruction::{EndReason, Instruction, PauseRecord, StandingInstruction};
pub use name::{CandidateId, InvalidName, ResourceName, Scope};
pub use record::{AcquisitionEnd, HistoryEntry, LeaseRecord};
pub use text::{Metadata, Note, RegisterValue};

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

/// A number that identifies one acquisition of a resource and is larger than that of every earlier one.
///
/// It is a `u64` that grows by at least 1 with every acquisition. It is never reused and never reset, also
/// not by a release. The first token of a resource is the Unix time in milliseconds, so that a record which
/// was deleted comes back with a greater one: keep tokens in 64-bit columns. Send it with every write that the leader makes, and let the receiver reject a number
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

    /// The first token of a record that is written at this time of day: the Unix time in milliseconds, at least 1
    /// and at most 2^53 − 1, which every reader of JSON keeps exactly.
    #[must_use]
    pub fn first_at(wall: SystemTime) -> Self {
        const LARGEST: u128 = (1 << 53) - 1;
        let since = wall.duration_since(SystemTime::UNIX_EPOCH);
        let millis = since.unwrap_or(Duration::ZERO).as_millis();
        Self(millis.clamp(1, LARGEST) as u64)
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
