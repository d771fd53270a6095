use std::io;

use thiserror::Error;

use crate::{lease::InvalidName, runtime::NotHere, timing::InvalidTiming};

/// Why a lock was not started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// A name, a candidate id or metadata was not accepted.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The times do not go together, or do not fit the store.
    #[error(transparent)]
    Timing(#[from] InvalidTiming),
    /// The operating system gives no thread for the locks.
    #[error("cannot start the thread of the locks")]
    Thread(#[source] io::Error),
    /// It was to start here, where no actor can run: see
    /// [`LockBuilder::start_on_current_runtime`](crate::LockBuilder::start_on_current_runtime).
    #[error(
        "no actor can run on this thread: call it in an actix system or on a current-thread runtime \
         of tokio, or start without `here`"
    )]
    NoRuntime,
}

impl From<NotHere> for StartError {
    fn from(_: NotHere) -> Self {
        Self::NoRuntime
    }
}
