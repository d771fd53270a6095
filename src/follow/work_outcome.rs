use std::fmt::Display;

use crate::{actor::LockHandle, leadership::Leadership};

/// What [`became_leader`](super::LeaderCallbacks::became_leader) may return: nothing, or a result. An error means
/// that this process cannot do its work.
pub trait WorkOutcome: Send + 'static {
    /// The text of the error, if it is one.
    fn into_error(self) -> Option<String>;
}

impl WorkOutcome for () {
    fn into_error(self) -> Option<String> {
        None
    }
}

impl<E: Display + Send + 'static> WorkOutcome for Result<(), E> {
    fn into_error(self) -> Option<String> {
        self.err().map(|error| error.to_string())
    }
}

/// Says that the work has returned this error.
pub(super) fn work_failed(lock: &LockHandle, leadership: &Leadership, error: &str) {
    event!(
        warn,
        "tenure.work_failed",
        resource = %lock.resource(),
        candidate = %lock.candidate(),
        token = leadership.token().get(),
        error,
        "the work of the leader failed, so it resigns: {error}"
    );
}
