use std::time::{Duration, SystemTime};

use crate::lease::{CandidateId, FencingToken, PauseRecord};

/// Which call completed the work: this one, or one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Completed<T> {
    /// This call did the work.
    #[non_exhaustive]
    ByThisCall {
        /// What the work returned.
        value: T,
        /// The token under which it was done.
        token: FencingToken,
    },
    /// Another call did the work, earlier or while this one waited. This call ran nothing.
    Before(Completion),
}

impl<T> Completed<T> {
    /// What the work returned, if this call did the work.
    #[must_use]
    pub fn into_value(self) -> Option<T> {
        match self {
            Self::ByThisCall { value, .. } => Some(value),
            Self::Before(_) => None,
        }
    }

    /// Whether this call did the work.
    #[must_use]
    pub fn was_by_this_call(&self) -> bool {
        matches!(self, Self::ByThisCall { .. })
    }

    /// The token under which the work was done, by this call or an earlier one.
    #[must_use]
    pub fn token(&self) -> FencingToken {
        match self {
            Self::ByThisCall { token, .. } => *token,
            Self::Before(done) => done.token,
        }
    }
}

/// The completion of the work, as it was marked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Completion {
    /// The process that did the work: its owner, a process id and a random number.
    pub by: CandidateId,
    /// The token under which it was done.
    pub token: FencingToken,
    /// When it was marked as done, by the store's wall clock. It is for people; Tenure decides nothing by it.
    pub at: SystemTime,
}

/// Whether the work is pending, running or done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnceStatus {
    /// The work is not done, and no call has its lock.
    Pending,
    /// A call has the lock: it runs the work, checks whether it is done, or resets it.
    #[non_exhaustive]
    Running {
        /// The holder.
        by: CandidateId,
        /// The token of its lease.
        token: FencingToken,
        /// When it acquired the lock, by the store's wall clock.
        since: SystemTime,
        /// How long the lock stays held if it is not renewed, for instance because its process died.
        remaining: Duration,
    },
    /// The work is not done, no call has its lock, and an operator has [paused](crate::Operator::pause) it: calls
    /// wait until it is resumed.
    Paused(PauseRecord),
    /// The work is done.
    Done(Completion),
}
