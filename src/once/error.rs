use std::{convert::Infallible, sync::Arc, time::Duration};

use thiserror::Error;

use crate::{
    duration::human,
    leadership::Reason,
    lease::{CandidateId, FencingToken, Note, ResourceName},
    mutex::LockError,
    store::StoreError,
};

/// Why a call of [`Once`](super::Once) failed. `E` is the error of the work.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OnceError<E = Infallible> {
    /// The work returned an error. The next call may try.
    #[error("the work failed: {0}")]
    Failed(E),
    /// The lock was lost while the work ran, and the work was dropped. The next call may try.
    ///
    /// From [`reset`](super::Once::reset): the lock was lost before the store confirmed the reset, which may
    /// have happened.
    #[error("the lock {resource} was lost, so the work or reset under it was stopped: {reason}")]
    Lost {
        /// The resource.
        resource: ResourceName,
        /// Why it was lost.
        reason: Reason,
    },
    /// The work succeeded, but the store did not confirm its mark while the lock was held.
    ///
    /// If the mark was not written, the next call does the work **again**.
    #[error(
        "the work of {resource} succeeded, but its mark is not confirmed: it may be done again"
    )]
    Unmarked {
        /// The resource.
        resource: ResourceName,
        /// The token under which it was done.
        token: FencingToken,
        /// Why the mark is not confirmed.
        source: LockError,
    },
    /// Another call has the lock, so the work cannot be reset.
    #[error(
        "{resource} is locked by {by}, for up to {} if it is not renewed: reset it later",
        human(*remaining)
    )]
    Running {
        /// The resource.
        resource: ResourceName,
        /// The holder.
        by: CandidateId,
        /// How long the lock stays held if it is not renewed.
        remaining: Duration,
    },
    /// An operator has [paused](crate::Operator::pause) the resource, so the work cannot be reset.
    #[error("{resource} is paused by an operator: {note}: reset it later")]
    Paused {
        /// The resource.
        resource: ResourceName,
        /// Why, for people.
        note: Note,
    },
    /// The mark record cannot be relied on, so the work does not count as done.
    #[error("the mark record {mark_record} cannot be relied on: {what}")]
    Corrupt {
        /// The resource of the mark record.
        mark_record: ResourceName,
        /// What is wrong with it, and what to do.
        what: String,
    },
    /// The store failed in a way that a retry does not fix.
    #[error(transparent)]
    Store(#[from] Arc<StoreError>),
    /// The library's lock thread has ended, so it no longer renews or releases locks.
    #[error("the library's lock thread has ended: restart the process")]
    ThreadEnded,
    /// The work was built for the current tokio runtime, but the call was awaited where there is none, the runtime
    /// has no timers, or it has ended before the call did.
    ///
    /// Only work that was built by
    /// [`build_on_current_runtime`](super::OnceBuilder::build_on_current_runtime) returns it.
    ///
    /// Tokio tells only by a panic that a runtime has no timers. The call catches it, but your panic hook runs, and
    /// with `panic = "abort"` the process ends. On a runtime with timers, and outside any runtime, nothing panics.
    #[error(
        "this work runs on the current tokio runtime, but there is none, it has no timers, or it has ended: \
         await the call on a runtime with timers, or use `build` instead of `build_on_current_runtime`"
    )]
    NoRuntime,
}

impl OnceError {
    /// The error of a lock that the work needs.
    pub(super) fn from_lock_error(error: LockError) -> Self {
        match error {
            LockError::Lost { resource, reason } => Self::Lost { resource, reason },
            LockError::Paused { resource, note } => Self::Paused { resource, note },
            LockError::Store(error) => Self::Store(error),
            LockError::NoRuntime => Self::NoRuntime,
            _ => Self::ThreadEnded,
        }
    }

    /// The same error, for work that may fail with `E`.
    pub(super) fn with_error_type<E>(self) -> OnceError<E> {
        match self {
            Self::Failed(never) => match never {},
            Self::Lost { resource, reason } => OnceError::Lost { resource, reason },
            Self::Unmarked {
                resource,
                token,
                source,
            } => OnceError::Unmarked {
                resource,
                token,
                source,
            },
            Self::Paused { resource, note } => OnceError::Paused { resource, note },
            Self::Running {
                resource,
                by,
                remaining,
            } => OnceError::Running {
                resource,
                by,
                remaining,
            },
            Self::Corrupt { mark_record, what } => OnceError::Corrupt { mark_record, what },
            Self::Store(error) => OnceError::Store(error),
            Self::ThreadEnded => OnceError::ThreadEnded,
            Self::NoRuntime => OnceError::NoRuntime,
        }
    }
}
