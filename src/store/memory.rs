mod registers;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::{
    AcquireOutcome, EvictionMode, InstructOutcome, LeaseStore, ReleaseOutcome, RenewOutcome,
    StoreError, StoreEvent, change_feed::ChangeFeed, record::StoredRecord, register::Register,
};
use crate::{
    clock::{BootClock, Clock, Moment},
    lease::{
        Bid, EndReason, FencingToken, Instruction, Lease, LeaseRecord, ReleaseTarget, ResourceName,
        Scope,
    },
};

/// Leases in the memory of one process, for tests and for singletons within a process.
///
/// Clones share their leases. Expiry is judged by the [`BootClock`], or by the clock that you give to
/// [`with_clock`](Self::with_clock). Each request is one step under a mutex and never fails. The leases and
/// their tokens are lost when the process ends.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    records: Arc<Mutex<BTreeMap<ResourceName, StoredRecord>>>,
    registers: Arc<Mutex<BTreeMap<ResourceName, Register>>>,
    clock: Arc<dyn Clock>,
    changes: ChangeFeed,
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
            registers: Arc::default(),
            clock,
            changes: ChangeFeed::new(),
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
        let mut absent = StoredRecord::default();
        let stored = records.get_mut(resource);
        let is_new = stored.is_none();
        let record = stored.unwrap_or(&mut absent);
        let before = record.availability();
        let outcome = step(record, now);
        let event = record.event_since(&before, resource);
        if is_new && absent.version > 0 {
            records.insert(resource.clone(), absent);
        }
        drop(records);
        if let Some(event) = event {
            self.changes.send(event);
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

    fn runs_in_callers_task(&self) -> bool {
        true
    }

    async fn acquire(&self, bid: &Bid, _: Duration) -> Result<AcquireOutcome, StoreError> {
        Ok(self.step(&bid.resource, |record, now| {
            record.acquire(bid, now, self.clock.wall())
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
        reason: Option<EndReason>,
        _: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        Ok(self.step(claim.resource(), |record, now| {
            record.release(claim, reason, now, self.clock.wall())
        }))
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
            record.evict(resource, token, eviction, now, self.clock.wall())
        }))
    }

    async fn instruct(
        &self,
        resource: &ResourceName,
        instruction: &Instruction,
        _: Duration,
    ) -> Result<InstructOutcome, StoreError> {
        Ok(self.step(resource, |record, now| {
            record.instruct(resource, instruction, now, self.clock.wall())
        }))
    }

    async fn purge(
        &self,
        scope: &Scope,
        untouched_for: Duration,
        _: Duration,
    ) -> Result<u64, StoreError> {
        let since = self.clock.wall().checked_sub(untouched_for);
        let since = since.unwrap_or(SystemTime::UNIX_EPOCH);
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let before = records.len();
        records.retain(|name, record| name.scope() != *scope || !record.is_purged(since, now));
        Ok((before - records.len()) as u64)
    }

    fn watch(&self, alive_every: Duration) -> Option<BoxStream<'static, StoreEvent>> {
        Some(self.changes.subscribe(alive_every))
    }
}

#[cfg(all(test, feature = "conformance"))]
mod tests;
