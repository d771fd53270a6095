use std::{sync::Arc, time::Duration};

use thiserror::Error;

use crate::{
    duration::human,
    leadership::Reason,
    lease::{CandidateId, ResourceName},
    store::StoreError,
};

/// Why a lock was not taken, not kept or not given back.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another holder has it, or another handle of the same owner; nothing was waited for.
    #[error("{resource} is held by {by} for up to {} more", human(*remaining))]
    Held {
        /// The resource.
        resource: ResourceName,
        /// Who holds it.
        by: CandidateId,
        /// How long it stays held if it is not renewed.
        remaining: Duration,
    },
    /// This very handle holds it already, with a guard or locked for less than a ttl: to wait for it
    /// would be a deadlock. CompletedRequest at once, without a request; release it first.
    #[error(
        "this handle already holds {resource}, for up to {} more: waiting for it would deadlock, \
         release it first",
        human(*remaining)
    )]
    HeldByThisHandle {
        /// The resource.
        resource: ResourceName,
        /// How long it stays held if it is not renewed.
        remaining: Duration,
    },
    /// It is not held, so it cannot be unlocked.
    #[error("{resource} is not held")]
    NotHeld {
        /// The resource.
        resource: ResourceName,
    },
    /// It was held, and was lost before it was given back: what it protected was not protected to
    /// the end.
    #[error("{resource} was lost: {reason}")]
    Lost {
        /// The resource.
        resource: ResourceName,
        /// Why.
        reason: Reason,
    },
    /// It was not to be had in the time given.
    #[error("{resource} was not to be had within {}{}", human(*after), holder(by))]
    Timeout {
        /// The resource.
        resource: ResourceName,
        /// The time given.
        after: Duration,
        /// Who held it when it was last asked for.
        by: Option<CandidateId>,
    },
    /// The same resource is named twice, so one would wait for the other. In two stores it would not, but
    /// locks are taken in the order of their names, so it is refused there, too.
    #[error("{resource} is named twice")]
    NamedTwice {
        /// The resource.
        resource: ResourceName,
    },
    /// The store does not answer as it should.
    #[error(transparent)]
    Store(#[from] Arc<StoreError>),
    /// The thread of the locks has ended, and the lock with it.
    #[error("the thread of the locks has ended")]
    Stopped,
}

fn holder(by: &Option<CandidateId>) -> String {
    let held = by.as_ref().map(|by| format!(": {by} holds it"));
    held.unwrap_or_default()
}
