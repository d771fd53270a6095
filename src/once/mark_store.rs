use std::{future::Future, sync::Arc, time::Duration};

use futures::channel::oneshot;
use rand::RngExt as _;
use tokio::time::sleep;

use super::{
    OnceError,
    once_mark::{DatedMark, MarkState, OnceMark},
};
use crate::{
    driver::{ReplyWithRecord, StoreHealth, call_within},
    election::{Call, Config, Reply},
    lease::{AttemptId, Bid, Lease, LeaseRecord, ReleaseTarget, ResourceName},
    mutex::{Executor, Guard, LockError, LockManager, is_for_good},
    store::{LeaseStore, Operation, StoreError, StoreErrorKind},
    timing::{POLL_JITTER, Timing},
};

/// The record that says whether the work is done, and the requests for it. They run on the executor of the
/// locks.
#[derive(Clone, Debug)]
pub(super) struct MarkStore {
    store: Arc<dyn LeaseStore>,
    executor: Executor,
    config: Config,
    lock: ResourceName,
}

impl MarkStore {
    pub(super) fn new(
        locks: &LockManager,
        lock: ResourceName,
        mark_record: ResourceName,
        timing: Timing,
    ) -> Self {
        Self {
            store: locks.store().clone(),
            executor: locks.executor().clone(),
            config: Config {
                resource: mark_record,
                candidate: locks.owner().clone(),
                timing,
                metadata: None,
                clock: locks.clock().clone(),
            },
            lock,
        }
    }

    /// The resource that is locked while the work runs.
    pub(super) fn lock(&self) -> &ResourceName {
        &self.lock
    }

    fn timing(&self) -> &Timing {
        &self.config.timing
    }

    /// The mark that counts, after a wait.
    pub(super) async fn read_after(&self, wait: Duration) -> Result<Option<DatedMark>, OnceError> {
        let record = self.run(move |this| async move {
            if !wait.is_zero() {
                sleep(wait).await;
            }
            this.read_record(this.config.resource.clone()).await
        });
        self.mark_in(record.await?)
    }

    /// The mark that counts.
    pub(super) async fn read(&self) -> Result<Option<DatedMark>, OnceError> {
        self.read_after(Duration::ZERO).await
    }

    /// The mark that counts, including every write that the store has confirmed.
    ///
    /// A read may, for a moment after a failover, miss earlier writes. A release is a write, so this sends one
    /// that changes nothing.
    pub(super) async fn read_latest(&self) -> Result<Option<DatedMark>, OnceError> {
        let record = self.run(|this| async move {
            let claim = ReleaseTarget::Attempt {
                resource: this.config.resource.clone(),
                attempt: this.new_attempt(Operation::Release)?,
            };
            match this.send(Call::Release(claim, None)).await?.record {
                Some(record) => Ok(Some(record)),
                // A store need not show the record of a release that it refuses.
                None => this.read_record(this.config.resource.clone()).await,
            }
        });
        self.mark_in(record.await?)
    }

    /// The record of the lock.
    pub(super) async fn read_lock(&self) -> Result<Option<LeaseRecord>, OnceError> {
        self.run(|this| async move { this.read_record(this.lock.clone()).await })
            .await
    }

    /// Waits a while after an error of the store.
    pub(super) async fn wait_after_error(&self) -> Result<(), OnceError> {
        self.run(|this| async move {
            sleep(this.backoff()).await;
            Ok(())
        })
        .await
    }

    /// Writes the mark and releases the guard. Dropping the future stops neither.
    pub(super) async fn write(&self, guard: Guard, state: MarkState) -> Result<(), LockError> {
        let (sender, written) = oneshot::channel();
        let this = self.clone();
        let work = async move {
            let mark = OnceMark {
                state,
                token: guard.token(),
                by: guard.lease().holder.clone(),
            };
            let marked = match guard.run(this.write_mark(&mark)).await {
                Ok(marked) => marked.map_err(LockError::Store),
                Err(lost) => Err(lost),
            };
            let (marked, lease) = match marked {
                Ok(lease) => (Ok(()), lease),
                Err(error) => (Err(error), None),
            };
            // The mark is decided. If a release fails, its lease expires.
            let _ = futures::join!(guard.release(), this.release_mark(lease));
            // The caller may have dropped its future.
            let _ = sender.send(marked);
        };
        self.executor.spawn(work, written)?.await?
    }

    /// Acquires the mark record with this mark as its holder; all retries are one attempt. Returns the lease to
    /// release, or `None` if the mark was already there.
    async fn write_mark(&self, mark: &OnceMark) -> Result<Option<Lease>, Arc<StoreError>> {
        let (resource, holder) = (self.config.resource.clone(), mark.to_holder());
        let bid = Bid {
            resource: resource.clone(),
            candidate: holder.clone(),
            attempt: self.new_attempt(Operation::Acquire)?,
            // As short as can be: if it is not released, it only delays other marks.
            ttl: self.timing().call_timeout().max(self.store.min_ttl()),
            metadata: None,
            reentrant: false,
            replaces: None,
            waited: None,
            internal: true,
        };
        loop {
            match self.send(Call::Acquire(bid.clone())).await?.reply {
                Reply::Granted { token } => {
                    return Ok(Some(Lease {
                        resource,
                        holder,
                        token,
                    }));
                }
                // An earlier try was granted, and an operator has evicted it since.
                Reply::Refused(record)
                    if OnceMark::read_from(&record).is_ok_and(|it| it.mark == *mark) =>
                {
                    return Ok(None);
                }
                // An older mark that was not released or has arrived late: wait for its expiry.
                Reply::Refused(record) => sleep(self.jittered(record.remaining)).await,
                _ => sleep(self.jittered(Duration::ZERO)).await,
            }
        }
    }

    async fn release_mark(&self, lease: Option<Lease>) {
        if let Some(lease) = lease {
            // One try: the lease is short.
            let _ = self
                .send_once(Call::Release(ReleaseTarget::Lease(lease), None))
                .await;
        }
    }

    async fn read_record(
        &self,
        resource: ResourceName,
    ) -> Result<Option<LeaseRecord>, Arc<StoreError>> {
        Ok(self.send(Call::Read(resource)).await?.record)
    }

    fn new_attempt(&self, operation: Operation) -> Result<AttemptId, Arc<StoreError>> {
        AttemptId::generate().map_err(|error| {
            let (kind, store) = (StoreErrorKind::Unavailable, self.store.kind());
            let message = "no request was sent: the operating system gives no random bits";
            Arc::new(StoreError::new(kind, store, operation, message).with_source(error))
        })
    }

    /// Sends a request until there is an answer, or an error that a retry does not fix.
    async fn send(&self, request: Call) -> Result<ReplyWithRecord, Arc<StoreError>> {
        let mut health = StoreHealth::new(self.store.clone());
        loop {
            let sent_at = self.config.clock.now();
            let answer = self.send_once(request.clone()).await;
            let now = self.config.clock.now();
            match answer {
                Ok(answer) => {
                    health.succeeded(&self.config, now);
                    return Ok(answer);
                }
                Err(error) if is_for_good(&error) => return Err(Arc::new(error)),
                Err(error) => health.failed(error, &self.config, sent_at, now),
            };
            sleep(self.backoff()).await;
        }
    }

    async fn send_once(&self, request: Call) -> Result<ReplyWithRecord, StoreError> {
        call_within(&self.store, request, self.timing().call_timeout()).await
    }

    /// This time, limited to `poll_every`, plus a random part so that not all processes ask at once.
    pub(super) fn jittered(&self, time: Duration) -> Duration {
        let every = self.timing().poll_every();
        let jitter = rand::rng().random_range(0.0..=POLL_JITTER);
        time.clamp(self.timing().floor(), every) + every.mul_f64(jitter)
    }

    fn backoff(&self) -> Duration {
        self.jittered(self.timing().poll_every() / 4)
    }

    fn mark_in(&self, record: Option<LeaseRecord>) -> Result<Option<DatedMark>, OnceError> {
        let seen = record
            .map(|record| OnceMark::read_from(&record))
            .transpose();
        seen.map_err(|error| {
            self.corrupt(&format!(
                "{error}; if nothing else uses this name, call reset()"
            ))
        })
    }

    pub(super) fn corrupt(&self, what: &str) -> OnceError {
        OnceError::Corrupt {
            mark_record: self.config.resource.clone(),
            what: what.to_owned(),
        }
    }

    /// Runs requests on the executor of the locks.
    async fn run<T, F>(&self, work: impl FnOnce(Self) -> F) -> Result<T, OnceError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Arc<StoreError>>> + Send + 'static,
    {
        match self.executor.run(Box::pin(work(self.clone()))).await {
            Ok(done) => Ok(done?),
            Err(error) => Err(OnceError::from_lock_error(error)),
        }
    }
}
