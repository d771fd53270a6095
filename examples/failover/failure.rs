use std::{io, time::Duration};

use thiserror::Error;

/// Why the scenario was not played to its end.
#[derive(Debug, Error)]
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
}

impl Failure {
    /// Says what the operating system did not do.
    pub(crate) fn to(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}
