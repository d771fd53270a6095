use std::{convert::Infallible, sync::Arc, time::Duration};

use thiserror::Error;

use crate::{
    duration::human,
    leadership::Reason,
    lease::{CandidateId, FencingToken, ResourceName},
    mutex::LockError,
    store::StoreError,
};

/// Why a call of a [`Once`](super::Once) did not end well. `E` is the error of the work.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OnceError<E = Infallible> {
    /// The work failed here. The next one may try.
    #[error("the work failed: {0}")]
    Failed(E),
    /// The lock was lost while the work ran, and the work was dropped. It is not marked as done; the
    /// next one may try.
    #[error("{resource} was lost while its work ran, which was dropped: {reason}")]
    Lost {
        /// The resource.
        resource: ResourceName,
        /// Why.
        reason: Reason,
    },
    /// The work has succeeded here, and the store did not confirm the mark while the lock was held:
    /// it may be marked, and if it is not, it is **done again**.
    #[error("the work of {resource} succeeded, but it is not known to be marked as done")]
    Unmarked {
        /// The resource.
        resource: ResourceName,
        /// The token under which it was done.
        token: FencingToken,
        /// What stood in the way.
        source: LockError,
    },
    /// Somebody runs it, so it cannot be reset.
    #[error(
        "{resource} is run by {by}, for up to {} more if it is not renewed",
        human(*remaining)
    )]
    Running {
        /// The resource.
        resource: ResourceName,
        /// Who.
        by: CandidateId,
        /// How long the lock stays held if it is not renewed.
        remaining: Duration,
    },
    /// The marker says nothing that could be relied on, and is not taken for done.
    #[error("the marker {marker} cannot be relied on: {what}")]
    Corrupt {
        /// The resource that is the marker.
        marker: ResourceName,
        /// What is wrong with it, and what to do.
        what: String,
    },
    /// The store does not answer as it should, and waiting does not mend it.
    #[error(transparent)]
    Store(#[from] Arc<StoreError>),
    /// The thread of the locks has ended.
    #[error("the thread of the locks has ended")]
    Stopped,
}

impl OnceError {
    /// The same where work could have failed.
    pub(super) fn of_any<E>(self) -> OnceError<E> {
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
            Self::Running {
                resource,
                by,
                remaining,
            } => OnceError::Running {
                resource,
                by,
                remaining,
            },
            Self::Corrupt { marker, what } => OnceError::Corrupt { marker, what },
            Self::Store(error) => OnceError::Store(error),
            Self::Stopped => OnceError::Stopped,
        }
    }
}
