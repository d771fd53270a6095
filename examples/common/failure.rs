use std::{fmt, io, time::Duration};

use thiserror::Error;

/// Why a run did not come to its end.
#[derive(Debug, Error)]
#[allow(dead_code, reason = "not every program can fail in every way")]
pub(crate) enum Failure {
    #[error("waited {limit:.1?} in vain for {what}")]
    InVain { what: String, limit: Duration },
    #[error("{name} {how}")]
    Ended { name: String, how: String },
    #[error("interrupted by {0}")]
    Interrupted(&'static str),
    #[error("cannot {what}: {source}")]
    System {
        what: &'static str,
        source: io::Error,
    },
    #[error("{0} is not set")]
    Missing(&'static str),
    #[error("the store: {0}")]
    Store(String),
}

impl Failure {
    /// Says what the operating system did not do.
    pub(crate) fn to(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }

    /// Says what the store did not do.
    #[allow(dead_code, reason = "not every program asks the store itself")]
    pub(crate) fn of_store(error: impl fmt::Display) -> Self {
        Self::Store(error.to_string())
    }
}
