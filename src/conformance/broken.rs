//! Stores with one planted fault each. The case that names the fault must fail.

mod owners;

use std::{
    any::Any,
    collections::BTreeMap,
    future::pending,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;

use super::{Capabilities, Subject};
use crate::{
    clock::{Clock as _, Moment},
    lease::{Bid, FencingToken, Lease, LeaseRecord, Metadata, ReleaseTarget, ResourceName, Scope},
    store::{
        AcquireOutcome, EvictionMode, LeaseStore, Operation, ReleaseOutcome, RenewOutcome,
        StoreError, StoreErrorKind, StoredRecord,
    },
    testing::ManualClock,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    NoCompareAndSet,
    NoCompareAndSetOnFreeKeys,
    TokenResetOnRelease,
    TokenKeptOnExpiry,
    ReleaseWithoutOwnerCheck,
    ReleaseByAnyAttempt,
    ReleaseByOwnerRefused,
    ReleaseByAnyOwner,
    ReleaseByOwnerUndoesOneBid,
    TokenResetOnReleaseByOwner,
    ReleaseByOwnerForgetsTheAttempt,
    ReleaseByOwnerChecksTheExpiry,
    ReleaseByOwnerMakesARecord,
    ExpiryByTheCallersClock,
    SameAttemptWithoutWrite,
    ExpiredAttemptGetsItsTokenBack,
    ReleasedAttemptGranted,
    EveryBidIsReentrant,
    ReentrantBidRefused,
    ReentrantBidTakesFromAnybody,
    ReentrantBidKeepsTheExpiry,
    ReentrantBidTakesAClosingLease,
    ExpiredLeaseRenewed,
    RenewalWithoutTokenCheck,
    RenewalDoesNotExtend,
    RenewalNeverShortens,
    RenewalKeepsTheTtl,
    EvictionFreesAtOnce,
    EvictedLeaseRenewed,
    EvictionWithoutTokenCheck,
    ExpiryByTheBiddersTtl,
    RefusalWrites,
    NamesLowercased,
    ListIncludesSubscopes,
    MetadataTruncated,
    HistoryForgotten,
    ObservationFromTheRequest,
    VersionSetByTheClient,
    LimitIgnored,
}

/// The database: its records, its clock and its state.
#[derive(Debug)]
struct Shared {
    records: Mutex<BTreeMap<String, StoredRecord>>,
    clock: ManualClock,
    clients: AtomicU64,
    /// Alive while the database does not answer writes.
    stalled: Mutex<Weak<()>>,
}

/// A subject whose store has this fault, or no fault.
pub(super) struct Broken {
    fault: Option<Fault>,
    shared: Arc<Shared>,
}

impl Broken {
    pub(super) fn new(fault: impl Into<Option<Fault>>) -> Self {
        Self {
            fault: fault.into(),
            shared: Arc::new(Shared {
                records: Mutex::default(),
                clock: ManualClock::new(),
                clients: AtomicU64::new(0),
                stalled: Mutex::default(),
            }),
        }
    }
}

#[async_trait]
impl Subject for Broken {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::new(Duration::from_secs(10));
        capabilities.observed = matches!(
            self.fault,
            Some(Fault::ObservationFromTheRequest | Fault::VersionSetByTheClient)
        );
        capabilities
    }

    async fn client(&self) -> Arc<dyn LeaseStore> {
        Arc::new(Client {
            fault: self.fault,
            shared: self.shared.clone(),
            number: self.shared.clients.fetch_add(1, Ordering::SeqCst),
            seen: Mutex::default(),
        })
    }

    async fn pass(&self, time: Duration) {
        self.shared.clock.advance(time);
    }

    async fn stall(&self) -> Option<Box<dyn Any + Send>> {
        let stalled = Arc::new(());
        *self.shared.stalled.lock().unwrap() = Arc::downgrade(&stalled);
        Some(Box::new(stalled))
    }
}

/// What a client has observed: the token, the version, and since when.
type Observation = (FencingToken, u64, Moment);

#[derive(Debug)]
struct Client {
    fault: Option<Fault>,
    shared: Arc<Shared>,
    number: u64,
    seen: Mutex<BTreeMap<String, Observation>>,
}

impl Client {
    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn observes(&self) -> bool {
        self.has(Fault::ObservationFromTheRequest) || self.has(Fault::VersionSetByTheClient)
    }

    fn key(&self, resource: &ResourceName) -> String {
        if self.has(Fault::NamesLowercased) {
            resource.as_str().to_lowercase()
        } else {
            resource.to_string()
        }
    }

    fn now(&self) -> Moment {
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
        step: impl Fn(&mut StoredRecord, Moment) -> T,
    ) -> T {
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
            let before = record.version;
            let outcome = step(&mut record, self.now());
            if record.version != before {
                self.shared.records.lock().unwrap().insert(key, record);
            }
            return outcome;
        }
        let mut records = self.shared.records.lock().unwrap();
        let mut record = records.get(&key).cloned().unwrap_or_default();
        let outcome = step(&mut record, self.now());
        if record.version > 0 {
            records.insert(key, record);
        }
        outcome
    }

    /// Waits for the time limit while the database does not answer writes.
    async fn wait(&self, operation: Operation, limit: Duration) -> Result<(), StoreError> {
        if self.shared.stalled.lock().unwrap().strong_count() == 0 {
            return Ok(());
        }
        if self.has(Fault::LimitIgnored) {
            return pending().await;
        }
        tokio::time::sleep(limit).await;
        let text = "no answer";
        Err(StoreError::new(
            StoreErrorKind::Unknown,
            "broken",
            operation,
            text,
        ))
    }

    fn acquire_by(&self, record: &mut StoredRecord, bid: &Bid, now: Moment) -> AcquireOutcome {
        let own = record.attempt == Some(bid.attempt);
        let before = record.clone();
        let mut bid = bid.clone();
        if own && record.holder.is_some() && now < record.expires_at {
            if self.has(Fault::SameAttemptWithoutWrite) {
                return AcquireOutcome::Granted {
                    token: record.token,
                };
            }
        } else if own && record.holder.is_some() && self.has(Fault::ExpiredAttemptGetsItsTokenBack)
        {
            record.expires_at = now + bid.ttl;
            record.version += 1;
            return AcquireOutcome::Granted {
                token: record.token,
            };
        }
        if self.has(Fault::ReleasedAttemptGranted) && own && record.holder.is_none() {
            record.attempt = None;
        }
        if self.has(Fault::EveryBidIsReentrant) {
            bid.reentrant = true;
        }
        if self.has(Fault::ReentrantBidRefused) {
            bid.reentrant = false;
        }
        if bid.reentrant && self.has(Fault::ReentrantBidTakesFromAnybody) {
            record.holder = record.holder.take().map(|_| bid.candidate.clone());
        }
        if bid.reentrant && self.has(Fault::ReentrantBidTakesAClosingLease) {
            record.closing = false;
        }
        if self.has(Fault::ExpiryByTheBiddersTtl) && record.holder.is_some() {
            record.expires_at = record.expires_at - record.ttl + bid.ttl;
        }
        if self.has(Fault::MetadataTruncated) {
            let cut = bid
                .metadata
                .map(|text| text.as_str()[..255.min(text.as_str().len())].to_owned());
            bid.metadata = cut.map(|text| Metadata::new(text).unwrap());
        }
        let outcome = record.acquire(&bid, now, SystemTime::UNIX_EPOCH);
        match outcome {
            AcquireOutcome::Refused(_) => {
                record.expires_at = before.expires_at;
                if self.has(Fault::RefusalWrites) {
                    record.expires_at = now + record.ttl;
                    record.version += 1;
                }
            }
            AcquireOutcome::Granted { .. } if self.has(Fault::TokenKeptOnExpiry) => {
                if before.holder.is_some() {
                    record.token = before.token;
                }
                return AcquireOutcome::Granted {
                    token: record.token,
                };
            }
            AcquireOutcome::Granted { .. }
                if bid.reentrant && self.has(Fault::ReentrantBidKeepsTheExpiry) =>
            {
                let was_held = before.holder.is_some() && now < before.expires_at;
                if was_held {
                    record.expires_at = before.expires_at;
                }
            }
            AcquireOutcome::Granted { .. } if self.has(Fault::HistoryForgotten) => {
                record.history.drain(..record.history.len() - 1);
            }
            AcquireOutcome::Granted { .. } => {}
        }
        outcome
    }
}

#[async_trait]
impl LeaseStore for Client {
    fn kind(&self) -> &'static str {
        "broken"
    }

    async fn acquire(&self, bid: &Bid, _: Duration) -> Result<AcquireOutcome, StoreError> {
        let (key, asked_at) = (self.key(&bid.resource), self.now());
        let first = !self.seen.lock().unwrap().contains_key(&key);
        if self.has(Fault::ObservationFromTheRequest) && self.number % 4 == 1 && first {
            // A slow first read.
            self.shared.clock.advance(bid.ttl / 2);
        }
        let outcome = self.step(&bid.resource, |record, now| {
            if self.observes() && record.holder.is_some() && record.attempt != Some(bid.attempt) {
                self.observe(&key, record, asked_at);
            }
            self.acquire_by(record, bid, now)
        });
        Ok(outcome.await)
    }

    async fn renew(
        &self,
        lease: &Lease,
        ttl: Duration,
        limit: Duration,
    ) -> Result<RenewOutcome, StoreError> {
        self.wait(Operation::Renew, limit).await?;
        let outcome = self.step(&lease.resource, |record, now| {
            let mut lease = lease.clone();
            let version = record.version;
            if self.has(Fault::ExpiredLeaseRenewed) {
                record.expires_at = record.expires_at.max(now + ttl);
            }
            if self.has(Fault::RenewalWithoutTokenCheck) {
                lease.token = record.token;
            }
            if self.has(Fault::EvictedLeaseRenewed) {
                record.closing = false;
            }
            let before = (record.expires_at, record.ttl);
            let outcome = record.renew(&lease, ttl, now);
            if self.has(Fault::RenewalDoesNotExtend) {
                record.expires_at = before.0;
            }
            if self.has(Fault::RenewalNeverShortens) {
                record.expires_at = record.expires_at.max(before.0);
            }
            if self.has(Fault::RenewalKeepsTheTtl) {
                record.ttl = before.1;
            }
            if self.has(Fault::VersionSetByTheClient) {
                // The client's own version: the same with every renewal.
                record.version = version.max(1_000);
            }
            outcome
        });
        Ok(outcome.await)
    }

    async fn release(
        &self,
        claim: &ReleaseTarget,
        limit: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        self.wait(Operation::Release, limit).await?;
        let outcome = self.step(claim.resource(), |record, now| {
            let claim = match claim {
                ReleaseTarget::Lease(lease) if self.has(Fault::ReleaseWithoutOwnerCheck) => {
                    let mut lease = lease.clone();
                    lease.token = record.token;
                    lease.holder = record.holder.clone().unwrap_or(lease.holder);
                    ReleaseTarget::Lease(lease)
                }
                ReleaseTarget::Attempt { resource, .. } if self.has(Fault::ReleaseByAnyAttempt) => {
                    let resource = resource.clone();
                    let attempt = record.attempt.expect("an attempt");
                    ReleaseTarget::Attempt { resource, attempt }
                }
                ReleaseTarget::Holder { .. } => return self.release_by_owner(record, claim, now),
                claim => claim.clone(),
            };
            let outcome = record.release(&claim, now);
            if self.has(Fault::TokenResetOnRelease) && outcome == ReleaseOutcome::Released {
                record.token = FencingToken::new(0);
            }
            outcome
        });
        Ok(outcome.await)
    }

    async fn read(
        &self,
        resource: &ResourceName,
        _: Duration,
    ) -> Result<Option<LeaseRecord>, StoreError> {
        Ok(self
            .step(resource, |record, now| record.seen(resource, now))
            .await)
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
        Ok(found
            .filter_map(|(name, record)| record.seen(&name, self.now()))
            .collect())
    }

    async fn evict(
        &self,
        resource: &ResourceName,
        token: FencingToken,
        eviction: EvictionMode,
        _: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        let outcome = self.step(resource, |record, now| {
            let eviction = if self.has(Fault::EvictionFreesAtOnce) {
                EvictionMode::Force
            } else {
                eviction
            };
            let token = if self.has(Fault::EvictionWithoutTokenCheck) {
                record.token
            } else {
                token
            };
            record.evict(resource, token, eviction, now)
        });
        Ok(outcome.await)
    }
}
