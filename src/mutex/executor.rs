use std::{future::Future, io};

use crate::{
    mutex::LockError,
    runtime::{LibraryThread, TaskLost, run_on_current_tokio, spawn_on_current_tokio},
};

/// What runs the tasks of a manager's locks.
#[derive(Clone, Debug)]
pub(crate) enum Executor {
    /// The library's lock thread. Renewals are not delayed by work that blocks its own thread.
    LockThread(LibraryThread),
    /// The tokio runtime of the caller, for tests under paused time.
    CurrentRuntime,
}

impl Executor {
    pub(super) fn lock_thread() -> io::Result<Self> {
        LibraryThread::of_locks().map(Self::LockThread)
    }

    /// Starts work and does not wait for its end.
    pub(crate) fn spawn(
        &self,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), LockError> {
        let started = match self {
            Self::LockThread(thread) => thread.spawn(work),
            Self::CurrentRuntime => spawn_on_current_tokio(work),
        };
        if started { Ok(()) } else { Err(self.ended()) }
    }

    /// Runs the work there and returns its result. Dropping the returned future drops the work.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, LockError> {
        let done = match self {
            Self::LockThread(thread) => thread.run(work).await,
            Self::CurrentRuntime => run_on_current_tokio(work).await,
        };
        done.map_err(|lost| match lost {
            TaskLost::Gone | TaskLost::Ended | TaskLost::Panicked(_) => self.ended(),
        })
    }

    /// The error of work that was not started or has ended without a result.
    pub(crate) fn ended(&self) -> LockError {
        match self {
            Self::LockThread(_) => LockError::ThreadEnded,
            Self::CurrentRuntime => LockError::NoRuntime,
        }
    }

    /// Whether timers fire in time after a suspend: the lock thread watches for it.
    pub(super) fn watches_for_suspend(&self) -> bool {
        matches!(self, Self::LockThread(_))
    }
}

#[cfg(test)]
mod tests;
