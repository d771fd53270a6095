use std::{future::Future, sync::Arc, time::Duration};

use futures::channel::oneshot;
use rand::RngExt as _;
use tokio::time::sleep;

use super::{
    OnceError,
    completion_mark::{CompletionMark, DatedMark, MarkState},
};
use crate::{
    driver::{Answer, StoreHealth, call_within},
    election::{Call, Config, Reply},
    lease::{AttemptId, Bid, Claim, Lease, LeaseRecord, ResourceName},
    mutex::{Executor, Guard, LockError, LockManager, is_for_good},
    store::{LeaseStore, Operation, StoreError, StoreErrorKind},
    timing::{POLL_JITTER, Timing},
};

/// The record that says whether the work is done, and the requests for it. All of them run where the
/// locks do.
#[derive(Clone, Debug)]
pub(super) struct MarkRecord {
    store: Arc<dyn LeaseStore>,
    executor: Executor,
    config: Config,
    lock: ResourceName,
}

impl MarkRecord {
    pub(super) fn new(
        locks: &LockManager,
        lock: ResourceName,
        marker: ResourceName,
        timing: Timing,
    ) -> Self {
        Self {
            store: locks.store().clone(),
            executor: locks.executor().clone(),
            config: Config {
                resource: marker,
                candidate: locks.owner().clone(),
                timing,
                metadata: None,
                clock: locks.clock().clone(),
            },
            lock,
        }
    }

    /// The resource whose marker it is.
    pub(super) fn lock(&self) -> &ResourceName {
        &self.lock
    }

    fn timing(&self) -> &Timing {
        &self.config.timing
    }

    /// The mark that counts, after a wait.
    pub(super) async fn read_after(&self, wait: Duration) -> Result<Option<DatedMark>, OnceError> {
        let record = self.there(move |this| async move {
            if !wait.is_zero() {
                sleep(wait).await;
            }
            this.look(this.config.resource.clone()).await
        });
        self.judge(record.await?)
    }

    /// The mark that counts.
    pub(super) async fn read(&self) -> Result<Option<DatedMark>, OnceError> {
        self.read_after(Duration::ZERO).await
    }

    /// The mark that counts, asked for in a way that no store answers from the past.
    ///
    /// A release that changes nothing is a write to the store. A read may, for a moment after a
    /// failover, not show what was written before it.
    pub(super) async fn read_for_sure(&self) -> Result<Option<DatedMark>, OnceError> {
        let record = self.there(|this| async move {
            let claim = Claim::Attempt {
                resource: this.config.resource.clone(),
                attempt: this.new_attempt(Operation::Release)?,
            };
            match this.ask(Call::Release(claim)).await?.record {
                Some(record) => Ok(Some(record)),
                // A store need not show the record of a release that it refuses.
                None => this.look(this.config.resource.clone()).await,
            }
        });
        self.judge(record.await?)
    }

    /// The record of the lock.
    pub(super) async fn read_lock(&self) -> Result<Option<LeaseRecord>, OnceError> {
        self.there(|this| async move { this.look(this.lock.clone()).await })
            .await
    }

    /// A while after an error of the store.
    pub(super) async fn rest(&self) -> Result<(), OnceError> {
        self.there(|this| async move {
            sleep(this.backoff()).await;
            Ok(())
        })
        .await
    }

    /// Writes the mark and gives the guard back, both also if nobody waits for it any more.
    pub(super) async fn write(&self, guard: Guard, state: MarkState) -> Result<(), LockError> {
        let (tell, told) = oneshot::channel();
        let this = self.clone();
        let begun = self.executor.spawn(async move {
            let mark = CompletionMark {
                state,
                token: guard.token(),
                by: guard.lease().holder.clone(),
            };
            let marked = match guard.run(this.put(&mark)).await {
                Ok(marked) => marked.map_err(LockError::Store),
                Err(lost) => Err(lost),
            };
            let (marked, lease) = match marked {
                Ok(lease) => (Ok(()), lease),
                Err(error) => (Err(error), None),
            };
            // Neither says anything about the mark: what is not given back runs out.
            let _ = futures::join!(guard.release(), this.let_go(lease));
            // He who waited may have gone.
            let _ = tell.send(marked);
        });
        if begun {
            told.await.unwrap_or(Err(LockError::Stopped))
        } else {
            Err(LockError::Stopped)
        }
    }

    /// Acquires the marker as this mark, with one attempt however often it is asked for. There is no
    /// lease to give back if it was there already.
    async fn put(&self, mark: &CompletionMark) -> Result<Option<Lease>, Arc<StoreError>> {
        let (resource, holder) = (self.config.resource.clone(), mark.id());
        let bid = Bid {
            resource: resource.clone(),
            candidate: holder.clone(),
            attempt: self.new_attempt(Operation::Acquire)?,
            // Not for long: it keeps only other marks out, if it is not given back.
            ttl: self.timing().call_timeout().max(self.store.min_ttl()),
            metadata: None,
            reentrant: false,
        };
        loop {
            match self.ask(Call::Acquire(bid.clone())).await?.reply {
                Reply::Granted { token } => {
                    return Ok(Some(Lease {
                        resource,
                        holder,
                        token,
                    }));
                }
                // Granted before, and freed since by an operator.
                Reply::Refused(record)
                    if CompletionMark::of(&record).is_ok_and(|it| it.mark == *mark) =>
                {
                    return Ok(None);
                }
                // An older mark whose release was lost, or that has arrived late.
                Reply::Refused(record) => sleep(self.pause(record.remaining)).await,
                _ => sleep(self.pause(Duration::ZERO)).await,
            }
        }
    }

    async fn let_go(&self, lease: Option<Lease>) {
        if let Some(lease) = lease {
            // Once: it is short.
            let _ = self.ask_once(Call::Release(Claim::Lease(lease))).await;
        }
    }

    async fn look(&self, resource: ResourceName) -> Result<Option<LeaseRecord>, Arc<StoreError>> {
        Ok(self.ask(Call::Read(resource)).await?.record)
    }

    fn new_attempt(&self, operation: Operation) -> Result<AttemptId, Arc<StoreError>> {
        AttemptId::generate().map_err(|error| {
            let (kind, store) = (StoreErrorKind::Unavailable, self.store.kind());
            let message = "not asked: the operating system gives no random bits";
            Arc::new(StoreError::new(kind, store, operation, message).with_source(error))
        })
    }

    /// Asks until there is an answer, or an error that waiting does not mend.
    async fn ask(&self, request: Call) -> Result<Answer, Arc<StoreError>> {
        let mut health = StoreHealth::new(self.store.clone());
        loop {
            let answer = self.ask_once(request.clone()).await;
            let now = self.config.clock.now();
            match answer {
                Ok(answer) => {
                    health.succeeded(&self.config, now);
                    return Ok(answer);
                }
                Err(error) if is_for_good(&error) => return Err(Arc::new(error)),
                Err(error) => health.failed(error, &self.config, now),
            };
            sleep(self.backoff()).await;
        }
    }

    async fn ask_once(&self, request: Call) -> Result<Answer, StoreError> {
        call_within(&self.store, request, self.timing().call_timeout()).await
    }

    /// A wait of about this time, at most about the waiting interval, so that not all ask at once.
    pub(super) fn pause(&self, time: Duration) -> Duration {
        let every = self.timing().poll_every();
        let jitter = rand::rng().random_range(0.0..=POLL_JITTER);
        time.clamp(self.timing().floor(), every) + every.mul_f64(jitter)
    }

    fn backoff(&self) -> Duration {
        self.pause(self.timing().poll_every() / 4)
    }

    fn judge(&self, record: Option<LeaseRecord>) -> Result<Option<DatedMark>, OnceError> {
        let seen = record.map(|record| CompletionMark::of(&record)).transpose();
        seen.map_err(|error| {
            self.corrupt(&format!(
                "{error}; if it is used for nothing else, reset it"
            ))
        })
    }

    pub(super) fn corrupt(&self, what: &str) -> OnceError {
        OnceError::Corrupt {
            marker: self.config.resource.clone(),
            what: what.to_owned(),
        }
    }

    /// Does the work where the locks run.
    async fn there<T, F>(&self, work: impl FnOnce(Self) -> F) -> Result<T, OnceError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Arc<StoreError>>> + Send + 'static,
    {
        match self.executor.run(Box::pin(work(self.clone()))).await {
            Ok(done) => Ok(done?),
            Err(_) => Err(OnceError::Stopped),
        }
    }
}
