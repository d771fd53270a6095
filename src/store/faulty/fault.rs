use std::time::Duration;

#[cfg(doc)]
use super::FaultyStore;
#[cfg(doc)]
use crate::store::LeaseStore;
use crate::store::StoreErrorKind;

/// A fault that a [`FaultyStore`] injects into one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// No fault.
    None,
    /// The store answers with an error of this kind; the request is not applied.
    Error(StoreErrorKind),
    /// The request is applied after this time, whatever its time limit, then answered.
    Delay(Duration),
    /// The request is never applied and never answered, whatever its time limit.
    Hang,
    /// The request is lost: not applied, outcome unknown.
    LostRequest,
    /// The reply is lost: applied, outcome unknown.
    LostReply,
    /// The outcome is unknown at once, and the request is applied after this time.
    LateRequest(Duration),
    /// The request is applied twice, and the second answer is given, as by a driver that retries.
    Duplicate,
    /// The request is applied and answered, and applied again after this time.
    LateDuplicate(Duration),
    /// The call panics; the request is not applied.
    Panic,
    /// A request for several renewals is applied to every second lease, and the reply is lost. Other requests lose
    /// their reply.
    HalfBatch,
    /// A read returns the answer of the last read of the resource. Other requests are not changed.
    StaleRead,
}

/// What is wrong with the stream of a [`FaultyStore`]'s [watch](LeaseStore::watch).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WatchFault {
    /// Nothing.
    #[default]
    None,
    /// It yields no event, but goes on to say that it works.
    Deaf,
    /// It yields nothing at all.
    Silent,
    /// It ends.
    Ended,
    /// It panics.
    Panic,
}

/// How many requests of each kind a [`FaultyStore`] has received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallCounts {
    /// Bids.
    pub acquire: u64,
    /// Renewals of one lease.
    pub renew: u64,
    /// Renewals of several leases in one request.
    pub renew_many: u64,
    /// Releases.
    pub release: u64,
    /// Reads of one record.
    pub read: u64,
    /// Reads of a scope.
    pub list: u64,
    /// Evictions.
    pub evict: u64,
    /// Instructions.
    pub instruct: u64,
    /// Purges.
    pub purge: u64,
    /// Reads of a register, or of the registers of a scope.
    pub get: u64,
    /// Writes of a register.
    pub put: u64,
    /// Streams of [`watch`](LeaseStore::watch), not counted in the [total](Self::total).
    pub watch: u64,
}

impl CallCounts {
    /// All requests together.
    #[must_use]
    pub fn total(&self) -> u64 {
        let holders = self.acquire + self.renew + self.renew_many + self.release;
        let operators = self.list + self.evict + self.instruct + self.purge;
        holders + self.read + operators + self.get + self.put
    }
}
