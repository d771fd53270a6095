use std::{
    collections::BTreeMap,
    future::pending,
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::{Database, Fault};
use crate::{
    clock::{Clock as _, Moment},
    lease::{
        Bid, EndReason, FencingToken, Instruction, Lease, LeaseRecord, ReleaseTarget, ResourceName,
        Scope,
    },
    store::{
        AcquireOutcome, ChangeFeed, EvictionMode, InstructOutcome, LeaseStore, Operation,
        ReleaseOutcome, RenewOutcome, StoreError, StoreErrorKind, StoreEvent, StoredRecord,
    },
};

/// What a client has observed: the token, the version, and since when.
type Observation = (FencingToken, u64, Moment);

/// A client of the database, as one process has it.
#[derive(Debug)]
pub(super) struct Client {
    fault: Option<Fault>,
    pub(super) shared: Arc<Database>,
    pub(super) number: u64,
    seen: Mutex<BTreeMap<String, Observation>>,
    /// The changes that this client has made itself.
    pub(super) own_changes: ChangeFeed,
}

impl Client {
    pub(super) fn new(fault: Option<Fault>, shared: Arc<Database>) -> Self {
        Self {
            fault,
            number: shared.clients.fetch_add(1, Ordering::SeqCst),
            shared,
            seen: Mutex::default(),
            own_changes: ChangeFeed::new(),
        }
    }

    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    pub(super) fn observes(&self) -> bool {
        self.fault.is_some_and(Fault::is_of_an_observing_store)
    }

    fn key(&self, resource: &ResourceName) -> String {
        if self.has(Fault::NamesLowercased) {
            resource.as_str().to_lowercase()
        } else {
            resource.to_string()
        }
    }

    pub(super) fn now(&self) -> Moment {
        let skewed = self.has(Fault::ExpiryByTheCallersClock);
        let ahead = if skewed {
            Duration::from_secs(self.number * 20)
        } else {
            Duration::ZERO
        };
        self.shared.clock.now() + ahead
    }

    /// Replaces the expiry of a record by the one that this client has observed.
    fn observe(&self, key: &str, record: &mut StoredRecord, asked_at: Moment) {
        let mut seen = self.seen.lock().unwrap();
        let now = if self.has(Fault::ObservationFromTheRequest) {
            asked_at
        } else {
            self.now()
        };
        let sight = seen
            .entry(key.to_owned())
            .or_insert((record.token, record.version, now));
        if (sight.0, sight.1) != (record.token, record.version) {
            *sight = (record.token, record.version, now);
        }
        record.expires_at = sight.2 + record.ttl;
    }

    async fn step<T>(
        &self,
        resource: &ResourceName,
        operation: Operation,
        step: impl Fn(&mut StoredRecord, Moment) -> T,
    ) -> T {
        self.before_step(resource, operation).await;
        let key = self.key(resource);
        let racy = if self.has(Fault::NoCompareAndSetOnFreeKeys) {
            !self.shared.records.lock().unwrap().contains_key(&key)
        } else {
            self.has(Fault::NoCompareAndSet)
        };
        if racy {
            let copy = self.shared.records.lock().unwrap().get(&key).cloned();
            let mut record = copy.unwrap_or_default();
            tokio::task::yield_now().await;
            let before = record.clone();
            let outcome = step(&mut record, self.now());
            if record != before {
                self.shared.records.lock().unwrap().insert(key, record);
            }
            return outcome;
        }
        let mut records = self.shared.records.lock().unwrap();
        let mut record = records.get(&key).cloned().unwrap_or_default();
        let before = record.availability();
        let outcome = step(&mut record, self.now());
        let event = record.event_since(&before, resource);
        if record.version > 0 {
            if self.has(Fault::UnknownFieldsDropped) {
                self.shared.unknown_fields.lock().unwrap().remove(&key);
            }
            records.insert(key, record);
        }
        drop(records);
        self.tell(operation, event);
        outcome
    }

    /// Waits for the time limit while the database does not answer writes.
    pub(super) async fn wait(
        &self,
        operation: Operation,
        limit: Duration,
    ) -> Result<(), StoreError> {
        if self.shared.stalled.lock().unwrap().strong_count() == 0 {
            return Ok(());
        }
        let is_bid = operation == Operation::Acquire;
        if !is_bid && self.has(Fault::LimitIgnored) {
            return pending().await;
        }
        if is_bid && self.has(Fault::BidLimitIgnored) {
            return pending().await;
        }
        tokio::time::sleep(limit).await;
        let kind = if self.has(Fault::UnansweredWriteIsDenied) {
            StoreErrorKind::Denied
        } else if self.has(Fault::UnansweredBidApplied) {
            StoreErrorKind::Unavailable
        } else {
            StoreErrorKind::Unknown
        };
        Err(StoreError::new(kind, "broken", operation, "no answer"))
    }

    /// Refuses to write a record that only a newer library may write.
    fn check_format(
        &self,
        resource: &ResourceName,
        operation: Operation,
    ) -> Result<(), StoreError> {
        let is_newer = {
            let newer = self.shared.newer_format.lock().unwrap();
            newer.contains(resource.as_str())
        };
        if is_newer && !self.has(Fault::NewerFormatWritten) {
            let (kind, text) = (StoreErrorKind::Unsupported, "a newer format");
            return Err(StoreError::new(kind, "broken", operation, text));
        }
        Ok(())
    }
}

#[async_trait]
impl LeaseStore for Client {
    fn kind(&self) -> &'static str {
        "broken"
    }

    async fn acquire(&self, bid: &Bid, limit: Duration) -> Result<AcquireOutcome, StoreError> {
        self.check_format(&bid.resource, Operation::Acquire)?;
        let waited = self.wait(Operation::Acquire, limit).await;
        if waited.is_err() && !self.has(Fault::UnansweredBidApplied) {
            return waited.map(|()| unreachable!("an error"));
        }
        let (key, asked_at) = (self.key(&bid.resource), self.now());
        let first = !self.seen.lock().unwrap().contains_key(&key);
        if self.has(Fault::ObservationFromTheRequest) && self.number % 4 == 1 && first {
            // A slow first read.
            self.shared.clock.advance(bid.ttl / 2);
        }
        let found_paused = self.finds_paused(&key, bid).await;
        let outcome = self.step(&bid.resource, Operation::Acquire, |record, now| {
            if self.observes() && record.holder.is_some() && record.attempt != Some(bid.attempt) {
                self.observe(&key, record, asked_at);
            }
            if found_paused {
                record.acquire(bid, now, SystemTime::now())
            } else {
                self.acquire_by(record, bid, now)
            }
        });
        let outcome = outcome.await;
        waited.map(|()| outcome)
    }

    async fn renew(
        &self,
        lease: &Lease,
        ttl: Duration,
        limit: Duration,
    ) -> Result<RenewOutcome, StoreError> {
        self.check_format(&lease.resource, Operation::Renew)?;
        self.wait(Operation::Renew, limit).await?;
        let outcome = self.step(&lease.resource, Operation::Renew, |record, now| {
            self.renew_by(record, lease, ttl, now)
        });
        Ok(outcome.await)
    }

    async fn release(
        &self,
        claim: &ReleaseTarget,
        reason: Option<EndReason>,
        limit: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        self.check_format(claim.resource(), Operation::Release)?;
        self.wait(Operation::Release, limit).await?;
        let outcome = self.step(claim.resource(), Operation::Release, |record, now| {
            self.release_by(record, claim, reason, now)
        });
        Ok(outcome.await)
    }

    async fn read(
        &self,
        resource: &ResourceName,
        _: Duration,
    ) -> Result<Option<LeaseRecord>, StoreError> {
        let seen = self.step(resource, Operation::Read, |record, now| {
            record.seen(resource, now)
        });
        Ok(seen.await)
    }

    async fn list(&self, scope: &Scope, _: Duration) -> Result<Vec<LeaseRecord>, StoreError> {
        let records = self.shared.records.lock().unwrap();
        let lies_in = |name: &ResourceName| {
            if self.has(Fault::ListIncludesSubscopes) {
                name.as_str().starts_with(scope.as_prefix())
            } else {
                name.scope() == *scope
            }
        };
        let names = records
            .iter()
            .map(|(name, record)| (ResourceName::new(name).unwrap(), record));
        let found = names.filter(|(name, _)| lies_in(name));
        let observes = self.observes() && !self.has(Fault::ListDoesNotObserve);
        let mut found: Vec<_> = found
            .filter_map(|(name, record)| {
                let mut record = record.clone();
                if observes && record.holder.is_some() {
                    self.observe(&self.key(&name), &mut record, self.now());
                }
                record.seen(&name, self.now())
            })
            .collect();
        if self.has(Fault::ListHasRegisters) {
            let registers = self.shared.registers.lock().unwrap();
            let names = registers
                .keys()
                .map(|name| ResourceName::new(name).unwrap());
            let names = names.filter(lies_in);
            found.extend(names.map(|name| LeaseRecord::new(name, FencingToken::new(1))));
        }
        Ok(found)
    }

    async fn evict(
        &self,
        resource: &ResourceName,
        token: FencingToken,
        eviction: EvictionMode,
        _: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        let outcome = self.step(resource, Operation::Evict, |record, now| {
            self.evict_by(record, resource, token, eviction, now)
        });
        Ok(outcome.await)
    }

    async fn instruct(
        &self,
        resource: &ResourceName,
        instruction: &Instruction,
        limit: Duration,
    ) -> Result<InstructOutcome, StoreError> {
        self.check_format(resource, Operation::Instruct)?;
        self.wait(Operation::Instruct, limit).await?;
        let outcome = self.step(resource, Operation::Instruct, |record, now| {
            self.instruct_by(record, resource, instruction, now)
        });
        Ok(outcome.await)
    }

    async fn purge(
        &self,
        scope: &Scope,
        untouched_for: Duration,
        _: Duration,
    ) -> Result<u64, StoreError> {
        Ok(self.purge_scope(scope, untouched_for).await)
    }

    async fn renew_many(
        &self,
        leases: &[(Lease, Duration)],
        limit: Duration,
    ) -> Vec<Result<RenewOutcome, StoreError>> {
        self.renew_batch(leases, limit).await
    }

    fn watch(&self, alive_every: Duration) -> Option<BoxStream<'static, StoreEvent>> {
        Some(self.watched(alive_every))
    }
}
