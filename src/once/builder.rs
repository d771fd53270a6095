use std::{sync::Arc, time::Duration};

use super::{Once, mark_store::MarkStore};
use crate::{
    clock::Clock,
    driver::StartError,
    lease::{CandidateId, InvalidName, ResourceName},
    mutex::{LockManager, LockManagerBuilder, MutexOptions},
    store::LeaseStore,
    timing::TimingBuilder,
};

/// The name of the mark record is that of the resource with this added.
const MARK_SUFFIX: &str = "/done";
const MAX_NAME: usize = 255 - MARK_SUFFIX.len();

/// Sets up a [`Once`].
#[derive(Debug)]
#[must_use = "a builder does nothing until build() is called"]
pub struct OnceBuilder {
    locks: LockManagerBuilder,
    name: Result<ResourceName, InvalidName>,
    max_hold: Option<Duration>,
}

impl OnceBuilder {
    pub(super) fn new<N>(store: Arc<dyn LeaseStore>, name: N) -> Self
    where
        N: TryInto<ResourceName>,
        N::Error: Into<InvalidName>,
    {
        Self {
            locks: LockManager::builder(store),
            name: name.try_into().map_err(Into::into),
            max_hold: None,
        }
    }

    /// The owner, which other processes read in the [status](Once::status). Default: the host name.
    ///
    /// The process id and a random number are added.
    pub fn owner<N>(mut self, owner: N) -> Self
    where
        N: TryInto<CandidateId>,
        N::Error: Into<InvalidName>,
    {
        self.locks = self.locks.owner(owner);
        self
    }

    /// Publishes a text in the record of the lock while the work runs, for instance the address of this process.
    ///
    /// At most 4 KiB. Default: nothing.
    pub fn metadata(mut self, text: impl AsRef<str>) -> Self {
        self.locks = self.locks.metadata(text);
        self
    }

    /// How long the lock outlives a process that crashes while it runs the work; then the next one may try.
    ///
    /// Default: 15 s; range: that of [`TimingBuilder::ttl`]. The work may take much longer, because its lock
    /// is renewed.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.locks = self.locks.ttl(ttl);
        self
    }

    /// How often a waiting call checks whether the work is done. Default: ttl / 5; at least 1 ms.
    ///
    /// Each wait is longer by a random part of up to [`POLL_JITTER`](crate::timing::POLL_JITTER) of it.
    pub fn poll_every(mut self, every: Duration) -> Self {
        self.locks = self.locks.poll_every(every);
        self
    }

    /// Sets all times at once. Times that you do not set follow from the ttl.
    ///
    /// `yield_for` is always one ttl, whatever you set: the work has stopped when its lock is released.
    pub fn timing(mut self, timing: TimingBuilder) -> Self {
        self.locks = self.locks.timing(timing);
        self
    }

    /// The longest time that the work may take, counted from the request for its lock. Default: no limit.
    ///
    /// When it is over, the work is dropped and the next call may try. At least one ttl.
    pub fn max_hold(mut self, longest: Duration) -> Self {
        self.max_hold = Some(longest);
        self
    }

    /// The clock that holders read. Default: [`BootClock`](crate::clock::BootClock). Tests set another.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.locks = self.locks.clock(clock);
        self
    }

    /// Checks the settings. The lock and the requests run on the library's lock thread.
    ///
    /// # Errors
    /// [`StartError`] if a name or a time is out of range, or the operating system gives no thread. The name
    /// has at most 250 bytes, because that of the mark record is 5 bytes longer.
    pub fn build(self) -> Result<Once, StartError> {
        self.build_by(LockManagerBuilder::build)
    }

    /// Builds work whose lock runs on the tokio runtime of the caller, for tests under paused time.
    ///
    /// On that runtime, work that blocks its thread delays renewals. A call that is awaited outside a runtime with
    /// timers returns [`OnceError::NoRuntime`](super::OnceError::NoRuntime). If the runtime
    /// was built without timers, your panic hook runs first, and `panic = "abort"` ends the process.
    ///
    /// # Errors
    /// [`StartError`] if a name or a time is out of range.
    pub fn build_on_current_runtime(self) -> Result<Once, StartError> {
        self.build_by(LockManagerBuilder::build_on_current_runtime)
    }

    fn build_by(
        self,
        build: impl FnOnce(LockManagerBuilder) -> Result<LockManager, StartError>,
    ) -> Result<Once, StartError> {
        let name = self.name?;
        let len = name.as_str().len();
        if len > MAX_NAME {
            let (what, max) = ("Once name", MAX_NAME);
            return Err(InvalidName::TooLong { what, len, max }.into());
        }
        let mark_record = ResourceName::new(format!("{name}{MARK_SUFFIX}"))?;
        let locks = build(self.locks)?;
        let mut options = MutexOptions::new(&name);
        if let Some(longest) = self.max_hold {
            options = options.max_hold(longest);
        }
        let mutex = locks.mutex(options.clone())?;
        Ok(Once {
            mark_record: MarkStore::new(&locks, name, mark_record, *mutex.timing()),
            locks,
            options,
        })
    }
}
