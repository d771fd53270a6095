use std::{sync::Arc, time::Duration};

use super::{Once, mark_record::MarkRecord};
use crate::{
    clock::Clock,
    driver::StartError,
    lease::{CandidateId, InvalidName, ResourceName},
    mutex::{LockManager, LockManagerBuilder, MutexOptions},
    store::LeaseStore,
    timing::TimingBuilder,
};

/// What the marker's name has after that of the resource.
const DONE: &str = "/done";
const LONGEST: usize = 255 - DONE.len();

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

    /// Who runs it, for the others to read; a process id and a random number are added. Default: the
    /// host's name.
    pub fn owner<N>(mut self, owner: N) -> Self
    where
        N: TryInto<CandidateId>,
        N::Error: Into<InvalidName>,
    {
        self.locks = self.locks.owner(owner);
        self
    }

    /// How long after a crash of the one that runs it the next one may try, at the earliest. Default
    /// 15 s; the range is that of [`TimingBuilder::ttl`]. The work may take much longer than that.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.locks = self.locks.ttl(ttl);
        self
    }

    /// The waiting interval: how often those who wait look whether it is done. Each time comes up to
    /// [`POLL_JITTER`](crate::timing::POLL_JITTER) of it later. Default ttl / 5, at least 1 ms.
    pub fn poll_every(mut self, every: Duration) -> Self {
        self.locks = self.locks.poll_every(every);
        self
    }

    /// All times at once; what is not set follows from the ttl. `yield_for` is one ttl, whatever is
    /// set: who gives a lock back has stopped already.
    pub fn timing(mut self, timing: TimingBuilder) -> Self {
        self.locks = self.locks.timing(timing);
        self
    }

    /// How long the work may take, counted from when its lock was asked for; not shorter than the ttl.
    /// Then it is dropped, and the next one may try. Default: no limit.
    pub fn max_hold(mut self, longest: Duration) -> Self {
        self.max_hold = Some(longest);
        self
    }

    /// The clock of the holders. Default: [`BootClock`](crate::clock::BootClock). For tests.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.locks = self.locks.clock(clock);
        self
    }

    /// Checks what was set; its lock and its requests run on the library's own thread.
    ///
    /// # Errors
    /// [`StartError`] if a name or a time is not accepted, or no thread can be had. The name has 5 bytes
    /// less than others, at most 250: the marker's is longer.
    pub fn build(self) -> Result<Once, StartError> {
        self.build_by(LockManagerBuilder::build)
    }

    /// The same with a lock that runs on the tokio runtime of whoever uses it, for tests under paused
    /// time. There, work that blocks its thread delays renewals.
    ///
    /// # Errors
    /// [`StartError`] if a name or a time is not accepted.
    pub fn build_on_current_runtime(self) -> Result<Once, StartError> {
        self.build_by(LockManagerBuilder::build_on_current_runtime)
    }

    fn build_by(
        self,
        build: impl FnOnce(LockManagerBuilder) -> Result<LockManager, StartError>,
    ) -> Result<Once, StartError> {
        let name = self.name?;
        let len = name.as_str().len();
        if len > LONGEST {
            let (what, max) = ("name of what is done once", LONGEST);
            return Err(InvalidName::TooLong { what, len, max }.into());
        }
        let marker = ResourceName::new(format!("{name}{DONE}"))?;
        let locks = build(self.locks)?;
        let mut options = MutexOptions::new(&name);
        if let Some(longest) = self.max_hold {
            options = options.max_hold(longest);
        }
        let mutex = locks.mutex_with(options.clone())?;
        Ok(Once {
            marker: MarkRecord::new(&locks, name, marker, *mutex.timing()),
            locks,
            options,
        })
    }
}
