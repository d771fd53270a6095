use std::{fmt, io, time::Duration};

use thiserror::Error;

/// Why a run failed.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("timed out after {limit:.1?}, waiting for {what}")]
    TimedOut { what: String, limit: Duration },
    #[error("{name} {how}")]
    Ended { name: String, how: String },
    #[error("interrupted by {0}")]
    Interrupted(&'static str),
    #[error("cannot {what}: {error}")]
    System {
        what: &'static str,
        error: io::Error,
    },
    #[error("the environment variable {0} is not set; scripts/torture sets it")]
    Missing(&'static str),
    #[error("the store failed: {0}")]
    Store(String),
    /// What was checked does not hold.
    #[error("{0}")]
    Wrong(String),
}

impl Failure {
    /// Says what the operating system did not do.
    pub(crate) fn to(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::System { what, error }
    }

    /// Says what the store did not do.
    pub(crate) fn of_store(error: impl fmt::Display) -> Self {
        Self::Store(error.to_string())
    }
}
