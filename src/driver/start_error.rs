use std::io;

use thiserror::Error;

use crate::{lease::InvalidName, runtime::NoActorRuntime, timing::InvalidTiming};

/// Why a lock was not started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// A name, a candidate id or metadata was not accepted.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The times conflict with each other, or do not suit the store.
    #[error(transparent)]
    Timing(#[from] InvalidTiming),
    /// The operating system refused a thread for the locks.
    #[error("cannot start the thread of the locks")]
    Thread(#[source] io::Error),
    /// [`LockBuilder::start_on_current_runtime`](crate::LockBuilder::start_on_current_runtime) was called on
    /// a thread that cannot run actors.
    #[error(
        "cannot start the lock on the current thread, which runs no actors: call it in an actix system or \
         on a current-thread runtime of tokio, or use `start`"
    )]
    NoRuntime,
}

impl From<NoActorRuntime> for StartError {
    fn from(_: NoActorRuntime) -> Self {
        Self::NoRuntime
    }
}
