use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;

use super::{
    AcquireOutcome, EvictionMode, LeaseStore, ReleaseOutcome, RenewOutcome, StoreError,
    record::StoredRecord,
};
use crate::{
    clock::{BootClock, Clock, Moment},
    lease::{Bid, FencingToken, Lease, LeaseRecord, ReleaseTarget, ResourceName, Scope},
};

/// Leases in the memory of one process, for tests and for singletons within a process.
///
/// Clones share their leases. Expiry is judged by the [`BootClock`], or by the clock that you give to
/// [`with_clock`](Self::with_clock). Each request is one step under a mutex and never fails. The leases and
/// their tokens are lost when the process ends.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    records: Arc<Mutex<BTreeMap<ResourceName, StoredRecord>>>,
    clock: Arc<dyn Clock>,
}

impl MemoryStore {
    /// An empty store on the machine's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(BootClock))
    }

    /// An empty store on a clock of yours, for instance one that a test moves by hand.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self {
            records: Arc::default(),
            clock,
        }
    }

    fn step<T>(
        &self,
        resource: &ResourceName,
        step: impl FnOnce(&mut StoredRecord, Moment) -> T,
    ) -> T {
        // A panic cannot leave a record half written, because each step decides before it assigns.
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the mutex, so that requests and the moments they use have the same order.
        let now = self.clock.now();
        if let Some(record) = records.get_mut(resource) {
            return step(record, now);
        }
        let mut record = StoredRecord::default();
        let outcome = step(&mut record, now);
        if record.version > 0 {
            records.insert(resource.clone(), record);
        }
        outcome
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl LeaseStore for MemoryStore {
    fn kind(&self) -> &'static str {
        "memory"
    }

    async fn acquire(&self, bid: &Bid, _: Duration) -> Result<AcquireOutcome, StoreError> {
        Ok(self.step(&bid.resource, |record, now| {
            record.acquire(bid, now, SystemTime::now())
        }))
    }

    async fn renew(
        &self,
        lease: &Lease,
        ttl: Duration,
        _: Duration,
    ) -> Result<RenewOutcome, StoreError> {
        Ok(self.step(&lease.resource, |record, now| record.renew(lease, ttl, now)))
    }

    async fn release(
        &self,
        claim: &ReleaseTarget,
        _: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        Ok(self.step(claim.resource(), |record, now| record.release(claim, now)))
    }

    async fn read(
        &self,
        resource: &ResourceName,
        _: Duration,
    ) -> Result<Option<LeaseRecord>, StoreError> {
        Ok(self.step(resource, |record, now| record.seen(resource, now)))
    }

    async fn list(&self, scope: &Scope, _: Duration) -> Result<Vec<LeaseRecord>, StoreError> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        Ok(records
            .iter()
            .filter(|(name, _)| name.scope() == *scope)
            .filter_map(|(name, record)| record.seen(name, now))
            .collect())
    }

    async fn evict(
        &self,
        resource: &ResourceName,
        token: FencingToken,
        eviction: EvictionMode,
        _: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        Ok(self.step(resource, |record, now| {
            record.evict(resource, token, eviction, now)
        }))
    }
}

#[cfg(all(test, feature = "conformance"))]
mod tests;
