use std::{sync::Arc, time::Duration};

use super::{Mutex, MutexOptions, executor::Executor, lock_config::LockConfig};
use crate::{
    clock::{BootClock, Clock},
    driver::StartError,
    lease::{CandidateId, InvalidName},
    store::LeaseStore,
    timing::{Timing, TimingBuilder},
};

/// Makes locks on one store, with times and an owner that they share.
///
/// ```
/// # use std::{sync::Arc, time::Duration};
/// # use tenure::{LockError, LockManager, MemoryStore, MutexOptions};
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let locks = LockManager::builder(Arc::new(MemoryStore::new()))
///     .owner("billing")
///     .ttl(Duration::from_secs(30))
///     .build()?;
/// let invoices = locks.mutex("invoices")?;
/// invoices.lock().await?;
/// let other = locks.mutex(MutexOptions::new("invoices").owner("reports"))?;
/// assert!(matches!(other.try_lock().await, Err(LockError::Held { .. })));
/// invoices.unlock().await?;
/// other.lock().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct LockManager {
    store: Arc<dyn LeaseStore>,
    executor: Executor,
    clock: Arc<dyn Clock>,
    owner: CandidateId,
    timing: TimingBuilder,
}

impl LockManager {
    /// With the defaults: a ttl of 15 s, the host's name as owner, a waiting interval of 3 s.
    ///
    /// # Errors
    /// [`StartError`] if the store needs a longer ttl, or no thread can be had.
    pub fn new(store: Arc<dyn LeaseStore>) -> Result<Self, StartError> {
        Self::builder(store).build()
    }

    /// A manager whose locks are in this store; everything else has a default.
    pub fn builder(store: Arc<dyn LeaseStore>) -> LockManagerBuilder {
        LockManagerBuilder {
            store,
            clock: Arc::new(BootClock),
            owner: None,
            timing: Timing::builder(),
        }
    }

    /// A mutex of this name, or with these [options](MutexOptions). No request is sent before it is
    /// locked.
    ///
    /// # Errors
    /// [`StartError`] if a name or a time is not accepted.
    pub fn mutex(&self, options: impl Into<MutexOptions>) -> Result<Mutex, StartError> {
        self.mutex_with(options.into())
    }

    /// A mutex with these options.
    ///
    /// # Errors
    /// [`StartError`] if a name or a time is not accepted.
    pub fn mutex_with(&self, options: MutexOptions) -> Result<Mutex, StartError> {
        let (store, executor) = (self.store.clone(), self.executor.clone());
        let clock = self.clock.clone();
        let config = LockConfig::new(store, executor, clock, &self.owner, self.timing, options)?;
        Ok(Mutex::new(config))
    }

    /// Who locks, where a mutex has no owner of its own.
    #[must_use]
    pub fn owner(&self) -> &CandidateId {
        &self.owner
    }

    /// The store of its locks.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn LeaseStore> {
        &self.store
    }

    /// Where its locks run.
    pub(crate) fn executor(&self) -> &Executor {
        &self.executor
    }

    /// The clock of its holders.
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}

/// Sets up a [`LockManager`].
#[derive(Debug)]
#[must_use = "a builder does nothing until build() is called"]
pub struct LockManagerBuilder {
    store: Arc<dyn LeaseStore>,
    clock: Arc<dyn Clock>,
    owner: Option<Result<CandidateId, InvalidName>>,
    timing: TimingBuilder,
}

impl LockManagerBuilder {
    /// Who locks. Default: the host's name, which all processes of the host share.
    pub fn owner<N>(mut self, owner: N) -> Self
    where
        N: TryInto<CandidateId>,
        N::Error: Into<InvalidName>,
    {
        self.owner = Some(owner.try_into().map_err(Into::into));
        self
    }

    /// How long a lock lasts without being locked or renewed again. Default 15 s; the range is that of
    /// [`TimingBuilder::ttl`].
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.timing = self.timing.ttl(ttl);
        self
    }

    /// The waiting interval: how often a lock that another holds is asked for. Each time comes up to
    /// [`POLL_JITTER`](crate::timing::POLL_JITTER) of it later. Default ttl / 5, at least 1 ms.
    pub fn poll_every(mut self, every: Duration) -> Self {
        self.timing = self.timing.poll_every(every);
        self
    }

    /// All times at once; what is not set follows from the ttl of each mutex. `yield_for` is one ttl, whatever is
    /// set: who gives a lock back has stopped already.
    pub fn timing(mut self, timing: TimingBuilder) -> Self {
        self.timing = timing;
        self
    }

    /// The clock of the holders. Default: [`BootClock`]. For tests.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Checks what was set, and makes the manager; its locks run on the library's own thread.
    ///
    /// # Errors
    /// [`StartError`] if a name or a time is not accepted, or no thread can be had.
    pub fn build(self) -> Result<LockManager, StartError> {
        let executor = Executor::of_locks().map_err(StartError::Thread)?;
        self.build_in(executor)
    }

    /// The same with locks that run on the tokio runtime of whoever uses them, for tests under paused
    /// time. There, work that blocks its thread delays renewals.
    ///
    /// # Errors
    /// [`StartError`] if a name or a time is not accepted.
    pub fn build_on_current_runtime(self) -> Result<LockManager, StartError> {
        self.build_in(Executor::Here)
    }

    fn build_in(self, executor: Executor) -> Result<LockManager, StartError> {
        let timing = self.timing.build()?;
        timing.check_minimum(self.store.kind(), self.store.min_ttl())?;
        Ok(LockManager {
            executor,
            owner: self.owner.unwrap_or_else(|| Ok(CandidateId::of_host()))?,
            store: self.store,
            clock: self.clock,
            timing: self.timing,
        })
    }
}
