use std::{sync::Arc, time::Duration};

use super::{Mutex, MutexOptions, executor::Executor, mutex_config::MutexConfig};
use crate::{
    clock::{BootClock, Clock},
    driver::StartError,
    lease::{CandidateId, InvalidName, Metadata},
    store::LeaseStore,
    timing::{Timing, TimingBuilder},
};

/// Creates [`Mutex`]es on one store that share times and an owner.
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
    metadata: Option<Metadata>,
    timing: TimingBuilder,
}

impl LockManager {
    /// A manager with the defaults: ttl 15 s, `poll_every` 3 s, the host name as owner.
    ///
    /// # Errors
    /// [`StartError`] if the store needs a longer ttl, or the operating system gives no thread.
    pub fn new(store: Arc<dyn LeaseStore>) -> Result<Self, StartError> {
        Self::builder(store).build()
    }

    /// Sets up a manager for locks in this store. Everything else has a default.
    pub fn builder(store: Arc<dyn LeaseStore>) -> LockManagerBuilder {
        LockManagerBuilder {
            store,
            clock: Arc::new(BootClock),
            owner: None,
            metadata: Ok(None),
            timing: Timing::builder(),
        }
    }

    /// A mutex of this name, or with these [options](MutexOptions). This sends no request.
    ///
    /// # Errors
    /// [`StartError`] if a name or a time is out of range.
    pub fn mutex(&self, options: impl Into<MutexOptions>) -> Result<Mutex, StartError> {
        let options = options.into();
        let (store, executor) = (self.store.clone(), self.executor.clone());
        let config = MutexConfig::new(
            store,
            executor,
            self.clock.clone(),
            &self.owner,
            self.metadata.as_ref(),
            self.timing,
            options,
        )?;
        Ok(Mutex::new(config))
    }

    /// The owner of a mutex that has none of its own.
    #[must_use]
    pub fn owner(&self) -> &CandidateId {
        &self.owner
    }

    /// The store that holds the locks.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn LeaseStore> {
        &self.store
    }

    /// What runs the tasks of its locks.
    pub(crate) fn executor(&self) -> &Executor {
        &self.executor
    }

    /// The clock that its holders read.
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
    metadata: Result<Option<Metadata>, InvalidName>,
    timing: TimingBuilder,
}

impl LockManagerBuilder {
    /// The owner of the mutexes. Default: the host name, so all processes of a host share an owner.
    pub fn owner<N>(mut self, owner: N) -> Self
    where
        N: TryInto<CandidateId>,
        N::Error: Into<InvalidName>,
    {
        self.owner = Some(owner.try_into().map_err(Into::into));
        self
    }

    /// Publishes a text in the record of each lock that is held, for instance the address of this process.
    ///
    /// At most 4 KiB. Default: nothing. A mutex may have [its own](MutexOptions::metadata).
    pub fn metadata(mut self, text: impl AsRef<str>) -> Self {
        self.metadata = Metadata::new(text).map(Some);
        self
    }

    /// How long a lock lasts without being renewed or locked again. Default: 15 s; range: that of
    /// [`TimingBuilder::ttl`].
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.timing = self.timing.ttl(ttl);
        self
    }

    /// How often a waiting mutex asks for a lock that another holder has. Default: ttl / 5; at least 1 ms.
    ///
    /// Each wait is longer by a random part of up to [`POLL_JITTER`](crate::timing::POLL_JITTER) of it.
    pub fn poll_every(mut self, every: Duration) -> Self {
        self.timing = self.timing.poll_every(every);
        self
    }

    /// Sets all times at once. Times that you do not set follow from the ttl of each mutex.
    ///
    /// `yield_for` is always one ttl, whatever you set: your work has already stopped when you release a lock.
    pub fn timing(mut self, timing: TimingBuilder) -> Self {
        self.timing = timing;
        self
    }

    /// The clock that holders read. Default: [`BootClock`]. Tests set another.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Checks the settings and makes the manager. Its locks run on the library's lock thread.
    ///
    /// # Errors
    /// [`StartError`] if a name or a time is out of range, or the operating system gives no thread.
    pub fn build(self) -> Result<LockManager, StartError> {
        let executor = Executor::lock_thread().map_err(StartError::Thread)?;
        self.build_in(executor)
    }

    /// Builds a manager whose locks run on the tokio runtime of the caller, for tests under paused time.
    ///
    /// On that runtime, work that blocks its thread delays renewals. A call that is awaited outside a runtime with
    /// timers returns [`LockError::NoRuntime`](super::LockError::NoRuntime). If the runtime
    /// was built without timers, your panic hook runs first, and `panic = "abort"` ends the process.
    ///
    /// # Errors
    /// [`StartError`] if a name or a time is out of range.
    pub fn build_on_current_runtime(self) -> Result<LockManager, StartError> {
        self.build_in(Executor::CurrentRuntime)
    }

    fn build_in(self, executor: Executor) -> Result<LockManager, StartError> {
        let timing = self.timing.build()?;
        timing.check_minimum(self.store.kind(), self.store.min_ttl())?;
        Ok(LockManager {
            executor,
            owner: self.owner.unwrap_or_else(|| Ok(CandidateId::of_host()))?,
            metadata: self.metadata?,
            store: self.store,
            clock: self.clock,
            timing: self.timing,
        })
    }
}
