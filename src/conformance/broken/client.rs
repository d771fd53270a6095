use std::{
    collections::BTreeMap,
    future::pending,
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;

use super::{Database, Fault};
use crate::{
    clock::{Clock as _, Moment},
    lease::{
        Bid, EndReason, FencingToken, Instruction, Lease, LeaseRecord, ReleaseTarget, ResourceName,
        Scope,
    },
    store::{
        AcquireOutcome, EvictionMode, InstructOutcome, LeaseStore, Operation, ReleaseOutcome,
        RenewOutcome, StoreError, StoreErrorKind, StoredRecord,
    },
};

/// What a client has observed: the token, the version, and since when.
type Observation = (FencingToken, u64, Moment);

/// A client of the database, as one process has it.
#[derive(Debug)]
pub(super) struct Client {
    fault: Option<Fault>,
    shared: Arc<Database>,
    number: u64,
    seen: Mutex<BTreeMap<String, Observation>>,
}

impl Client {
    pub(super) fn new(fault: Option<Fault>, shared: Arc<Database>) -> Self {
        Self {
            fault,
            number: shared.clients.fetch_add(1, Ordering::SeqCst),
            shared,
            seen: Mutex::default(),
        }
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
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
            let before = record.clone();
            let outcome = step(&mut record, self.now());
            if record != before {
                self.shared.records.lock().unwrap().insert(key, record);
            }
            return outcome;
        }
        let mut records = self.shared.records.lock().unwrap();
        let mut record = records.get(&key).cloned().unwrap_or_default();
        let outcome = step(&mut record, self.now());
        if record.version > 0 {
            if self.has(Fault::UnknownFieldsDropped) {
                self.shared.unknown_fields.lock().unwrap().remove(&key);
            }
            records.insert(key, record);
        }
        outcome
    }

    /// Waits for the time limit while the database does not answer writes.
    async fn wait(&self, operation: Operation, limit: Duration) -> Result<(), StoreError> {
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
        let outcome = self.step(&bid.resource, |record, now| {
            if self.observes() && record.holder.is_some() && record.attempt != Some(bid.attempt) {
                self.observe(&key, record, asked_at);
            }
            self.acquire_by(record, bid, now)
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
        let outcome = self.step(&lease.resource, |record, now| {
            let mut lease = lease.clone();
            let version = record.version;
            if self.has(Fault::ExpiredLeaseRenewed) {
                record.expires_at = record.expires_at.max(now + ttl);
            }
            if self.has(Fault::RenewalWithoutTokenCheck) {
                lease.token = record.token;
            }
            if self.has(Fault::RenewalByAnybody) {
                lease.token = record.token;
                lease.holder = record.holder.clone().unwrap_or(lease.holder);
            }
            if self.has(Fault::RenewalMakesARecord) {
                record.version = record.version.max(1);
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
        reason: Option<EndReason>,
        limit: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        self.check_format(claim.resource(), Operation::Release)?;
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
                ReleaseTarget::Holder { .. } => {
                    return self.release_by_owner(record, claim, reason, now);
                }
                claim => claim.clone(),
            };
            let outcome = record.release(&claim, reason, now, SystemTime::now());
            if self.has(Fault::TokenResetOnRelease) && outcome == ReleaseOutcome::Released {
                record.token = FencingToken::new(0);
            }
            if self.has(Fault::ReleaseDropsTheMetadata) {
                record.metadata = None;
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
            } else if self.has(Fault::ForcedEvictionCloses) {
                EvictionMode::Close
            } else {
                eviction
            };
            let token = if self.has(Fault::EvictionWithoutTokenCheck) {
                record.token
            } else {
                token
            };
            record.evict(resource, token, eviction, now, SystemTime::now())
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
        let outcome = self.step(resource, |record, now| {
            record.instruct(resource, instruction, now, SystemTime::now())
        });
        Ok(outcome.await)
    }

    async fn purge(
        &self,
        scope: &Scope,
        untouched_for: Duration,
        _: Duration,
    ) -> Result<u64, StoreError> {
        let since = SystemTime::now() - untouched_for;
        let mut records = self.shared.records.lock().unwrap();
        let (before, now) = (records.len(), self.now());
        records.retain(|name, record| {
            let name = ResourceName::new(name).unwrap();
            name.scope() != *scope || !record.is_purged(since, now)
        });
        Ok((before - records.len()) as u64)
    }

    async fn renew_many(
        &self,
        leases: &[(Lease, Duration)],
        limit: Duration,
    ) -> Vec<Result<RenewOutcome, StoreError>> {
        let mut answers = Vec::new();
        let mut has_lost = false;
        for (lease, ttl) in leases {
            let answer = if has_lost && self.has(Fault::RenewManyStopsAtALoss) {
                Ok(RenewOutcome::Lost(None))
            } else {
                self.renew(lease, *ttl, limit).await
            };
            has_lost |= matches!(answer, Ok(RenewOutcome::Lost(_)));
            answers.push(answer);
        }
        if self.has(Fault::RenewManyReversesItsAnswers) {
            answers.reverse();
        }
        answers
    }
}
