use std::time::{Duration, SystemTime};

use crate::lease::{CandidateId, FencingToken};

/// Who completed work that is done once: this call, or one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Completed<T> {
    /// This call did it.
    #[non_exhaustive]
    ByThisCall {
        /// What the work returned.
        value: T,
        /// The token under which it was done.
        token: FencingToken,
    },
    /// Another call did it, before this one or while it waited; this one ran nothing.
    Before(Completion),
}

impl<T> Completed<T> {
    /// What the work returned, if this call did it.
    #[must_use]
    pub fn into_value(self) -> Option<T> {
        match self {
            Self::ByThisCall { value, .. } => Some(value),
            Self::Before(_) => None,
        }
    }

    /// Whether this call did it.
    #[must_use]
    pub fn was_by_this_call(&self) -> bool {
        matches!(self, Self::ByThisCall { .. })
    }

    /// The token under which it was done, by this call or before.
    #[must_use]
    pub fn token(&self) -> FencingToken {
        match self {
            Self::ByThisCall { token, .. } => *token,
            Self::Before(done) => done.token,
        }
    }
}

/// Who has done the work.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Completion {
    /// Who: the owner with something that tells its calls apart.
    pub by: CandidateId,
    /// The token under which it was done.
    pub token: FencingToken,
    /// When it was marked as done, by the store's wall clock. For people; nothing is decided by it.
    pub at: SystemTime,
}

/// How far work that is done once has come.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnceStatus {
    /// Nobody has done it, and nobody is at it.
    Pending,
    /// Somebody has its lock: runs it, looks whether it is done, or resets it.
    #[non_exhaustive]
    Running {
        /// Who.
        by: CandidateId,
        /// Under which token.
        token: FencingToken,
        /// Since when, by the store's wall clock.
        since: SystemTime,
        /// How long it stays so if the lock is not renewed, for instance because its process died.
        remaining: Duration,
    },
    /// It is done.
    Done(Completion),
}
