use std::{future::Future, io};

use crate::{
    mutex::LockError,
    runtime::{LibraryThread, TaskLost},
};

/// Where the locks of a manager run.
#[derive(Clone, Debug)]
pub(crate) enum Executor {
    /// On the library's own thread: work that blocks its thread delays no renewal.
    Locks(LibraryThread),
    /// On the runtime of whoever calls, for tests under paused time.
    Here,
}

impl Executor {
    pub(super) fn of_locks() -> io::Result<Self> {
        LibraryThread::of_locks().map(Self::Locks)
    }

    /// Starts work whose end nobody is told. False if there is nothing left to run it.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> bool {
        match self {
            Self::Locks(host) => host.spawn(work),
            Self::Here => {
                tokio::spawn(work);
                true
            }
        }
    }

    /// Does the work there; dropped when nobody waits any more.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, LockError> {
        match self {
            Self::Locks(host) => host.run(work).await.map_err(|lost| match lost {
                TaskLost::Gone | TaskLost::Ended | TaskLost::Panicked(_) => LockError::Stopped,
            }),
            Self::Here => Ok(work.await),
        }
    }

    /// Whether the machine's sleep is watched for.
    pub(super) fn watches_for_suspend(&self) -> bool {
        matches!(self, Self::Locks(_))
    }
}
