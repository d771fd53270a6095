use std::io;

use thiserror::Error;

use crate::{lease::InvalidName, timing::InvalidTiming};

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
}
