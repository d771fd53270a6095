use rand::{TryRng as _, rngs::SysRng};
use serde::{Deserialize, Serialize};
use std::{fmt, io, time::Duration};

use super::{CandidateId, FencingToken, Lease, Metadata, ResourceName};

/// A random 128-bit id for one acquisition and its retries.
///
/// With it a store tells a lost reply from a lost race: if the record holds the attempt of a bid, an earlier
/// copy of the same bid was applied.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptId(u128);

impl AttemptId {
    /// A new attempt: 128 random bits, drawn from the operating system at the moment of the call.
    ///
    /// Never draw one from a random generator in the process. `fork` copies the state of a generator, so two
    /// processes would bid with the same attempt, and the store would take the second bid for a retry of the
    /// first.
    ///
    /// # Errors
    /// An [`io::Error`] if the operating system gives no random bits.
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

    /// The attempt with this value, for a store that has kept it as a number.
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

/// A request to acquire a lease, as a store receives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bid {
    /// The resource to acquire.
    pub resource: ResourceName,
    /// The candidate that bids.
    pub candidate: CandidateId,
    /// The id of this acquisition and its retries.
    pub attempt: AttemptId,
    /// How long the lease lives in the store without renewal.
    pub ttl: Duration,
    /// Text that the holder publishes in the record, for instance its address.
    pub metadata: Option<Metadata>,
    /// Whether the bid may take a lease that this candidate id already holds, with a new token.
    ///
    /// Plain locks that share an owner set it. An election never does: two processes that were given the
    /// same id by mistake must exclude each other.
    pub reentrant: bool,
    /// The token under which this candidate holds the lease and which it gives up: the bid takes the lease with a new
    /// token, although it has not expired.
    ///
    /// With it, a process that has missed its deadline takes its own lease back at once. A late copy of such a bid does
    /// nothing once the lease has another token; a [reentrant](Self::reentrant) one would end a later acquisition of the
    /// same candidate. Set it only with an id that [the library has drawn](CandidateId::generate): two processes that
    /// were given the same id by mistake must exclude each other.
    pub replaces: Option<FencingToken>,
    /// The token that was handed over to another candidate, if the bidder has let that one bid first: it waited
    /// one `poll_every` since it was refused for it.
    pub waited: Option<FencingToken>,
    /// Whether the record is one of the library's own, such as the mark of a `Once`. Such a record takes no
    /// instruction and is never purged.
    pub internal: bool,
}

/// Which lease to release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReleaseTarget {
    /// A lease that was granted.
    Lease(Lease),
    /// Whatever this attempt was granted: for a bid whose reply was lost.
    Attempt {
        /// The resource that was bid for.
        resource: ResourceName,
        /// The attempt that may have been granted.
        attempt: AttemptId,
    },
    /// Whatever this holder has, under any token and from any attempt.
    ///
    /// Plain locks that share an owner use it, as they use [reentrant](Bid::reentrant) bids. It is outside the
    /// guarantee: it releases the lease of every process with this id, and a copy of the request that arrives
    /// late releases what the owner has acquired since. An election never uses it.
    Holder {
        /// The resource to release.
        resource: ResourceName,
        /// The candidate that holds it.
        holder: CandidateId,
    },
}

impl ReleaseTarget {
    /// The resource to release.
    #[must_use]
    pub fn resource(&self) -> &ResourceName {
        match self {
            Self::Lease(lease) => &lease.resource,
            Self::Attempt { resource, .. } | Self::Holder { resource, .. } => resource,
        }
    }
}
