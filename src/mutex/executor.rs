use std::{future::Future, io, panic::resume_unwind};

use futures::channel::oneshot;

use crate::{
    mutex::LockError,
    runtime::{
        LibraryThread, TaskLost, detached_task, run_on_current_tokio, spawn_on_current_tokio,
    },
};

/// What runs the tasks of a manager's locks. A panic of a task reaches the caller that waits for it.
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

    /// Starts work that sends a result to this receiver. The returned future waits for the result; dropping it
    /// does not stop the work.
    pub(crate) fn spawn<T>(
        &self,
        work: impl Future<Output = ()> + Send + 'static,
        result: oneshot::Receiver<T>,
    ) -> Result<impl Future<Output = Result<T, LockError>>, LockError> {
        let (task, end) = detached_task(work);
        if !self.start(task) {
            return Err(self.error(TaskLost::Gone));
        }
        Ok(async move {
            match result.await {
                Ok(result) => Ok(result),
                Err(oneshot::Canceled) => Err(self.error(end.wait().await)),
            }
        })
    }

    /// Starts work in the background. False if there is nothing to run it on.
    pub(super) fn start(&self, work: impl Future<Output = ()> + Send + 'static) -> bool {
        match self {
            Self::LockThread(thread) => thread.spawn(work),
            Self::CurrentRuntime => spawn_on_current_tokio(work),
        }
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
        done.map_err(|lost| self.error(lost))
    }

    /// The error of work that was not started or has ended without a result. Resumes the panic of the work.
    fn error(&self, lost: TaskLost) -> LockError {
        match (lost, self) {
            (TaskLost::Panicked(panic), _) => resume_unwind(panic),
            (TaskLost::Gone | TaskLost::Ended, Self::LockThread(_)) => LockError::ThreadEnded,
            (TaskLost::Gone | TaskLost::Ended, Self::CurrentRuntime) => LockError::NoRuntime,
        }
    }

    /// Whether timers fire in time after a suspend: the lock thread watches for it.
    pub(super) fn watches_for_suspend(&self) -> bool {
        matches!(self, Self::LockThread(_))
    }
}

#[cfg(test)]
mod tests;
