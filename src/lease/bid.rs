use rand::{TryRng as _, rngs::SysRng};
use serde::{Deserialize, Serialize};
use std::{fmt, io, time::Duration};

use super::{CandidateId, Lease, Metadata, ResourceName};

/// A random id for one acquisition and its retries.
///
/// It tells a lost reply from a lost race: a store that finds the attempt of a bid in the record
/// knows that an earlier copy of the same bid was applied.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptId(u128);

impl AttemptId {
    /// A new attempt: 128 random bits, drawn from the operating system at the moment of the call.
    ///
    /// Never draw one from a generator of the process. A `fork` copies its state, so two processes would
    /// bid with one attempt, and the store would take the second bid for a retry of the first.
    ///
    /// # Errors
    /// If the operating system gives no random bits.
    pub fn generate() -> io::Result<Self> {
        let mut bits = [0; 16];
        SysRng.try_fill_bytes(&mut bits)?;
        Ok(Self(u128::from_ne_bytes(bits)))
    }

    /// The attempt as a number, for a store to keep.
    #[must_use]
    pub const fn get(self) -> u128 {
        self.0
    }

    /// The attempt that a store has kept as a number.
    #[must_use]
    pub const fn new(value: u128) -> Self {
        Self(value)
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AttemptId({self})")
    }
}

/// A request to take a lease, as a store receives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bid {
    /// The resource that is wanted.
    pub resource: ResourceName,
    /// Who wants it.
    pub candidate: CandidateId,
    /// The id of this acquisition and its retries.
    pub attempt: AttemptId,
    /// How long the lease shall live in the store without renewal.
    pub ttl: Duration,
    /// What the holder wants others to read in the record, for instance its address.
    pub metadata: Option<Metadata>,
    /// Whether the lease may be taken from the candidate's own id, with a new token.
    ///
    /// That is the rule for plain locks that share an owner; an election never sets it, because two
    /// processes that were given the same id by mistake must exclude each other.
    pub reentrant: bool,
}

/// What a release refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A lease that was granted.
    Lease(Lease),
    /// An attempt whose grant was never confirmed.
    Attempt {
        /// The resource that was bid for.
        resource: ResourceName,
        /// The attempt that may have been granted.
        attempt: AttemptId,
    },
    /// Whatever this holder has, under any token and from any attempt.
    ///
    /// That is the rule for plain locks that share an owner, as with [reentrant](Bid::reentrant) bids,
    /// and outside the guarantee: an election never makes this claim, because it frees the lease of
    /// whoever has the same id. A copy of the request that arrives late frees what that owner has taken
    /// since.
    Holder {
        /// The resource that is led.
        resource: ResourceName,
        /// The candidate that leads it.
        holder: CandidateId,
    },
}

impl Claim {
    /// The resource that the claim is about.
    #[must_use]
    pub fn resource(&self) -> &ResourceName {
        match self {
            Self::Lease(lease) => &lease.resource,
            Self::Attempt { resource, .. } | Self::Holder { resource, .. } => resource,
        }
    }
}
