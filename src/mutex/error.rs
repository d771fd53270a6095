use std::{sync::Arc, time::Duration};

use thiserror::Error;

use crate::{
    duration::human,
    leadership::Reason,
    lease::{CandidateId, Note, ResourceName},
    store::StoreError,
};

/// Why a lock was not acquired, was lost or was not released.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another holder has the lock, or another handle of the same owner, and the call does not wait.
    #[error("{resource} is held by {by}, for up to {} if it is not renewed", human(*remaining))]
    Held {
        /// The resource.
        resource: ResourceName,
        /// The holder.
        by: CandidateId,
        /// How long the lock stays held if it is not renewed.
        remaining: Duration,
    },
    /// An operator has [paused](crate::Operator::pause) the resource, and the call does not wait.
    ///
    /// What is held goes on; nobody acquires the lock until it is resumed. A plain lock is not extended, either.
    #[error("{resource} is paused by an operator: {note}")]
    Paused {
        /// The resource.
        resource: ResourceName,
        /// Why, for people.
        note: Note,
    },
    /// This handle already holds the lock, so waiting for it would deadlock. Release it first.
    ///
    /// It has a guard, or it called [`lock`](super::Mutex::lock) less than a ttl ago. The call returns at
    /// once and sends no request.
    #[error(
        "this handle already holds {resource}, for up to {} if it is not renewed: waiting for it would \
         deadlock, release it first",
        human(*remaining)
    )]
    HeldByThisHandle {
        /// The resource.
        resource: ResourceName,
        /// How long the lock stays held if it is not renewed.
        remaining: Duration,
    },
    /// The lock is not held, so it cannot be released.
    #[error("{resource} is not held, so it cannot be released")]
    NotHeld {
        /// The resource.
        resource: ResourceName,
    },
    /// The lock was lost before it was released, so the work under it was not protected to its end.
    #[error("{resource} was lost before it was released: {reason}")]
    Lost {
        /// The resource.
        resource: ResourceName,
        /// Why it was lost.
        reason: Reason,
    },
    /// The lock was not acquired within the time limit.
    #[error(
        "{resource} was not acquired within {}{}{}",
        human(*after),
        holder(by),
        paused(pause)
    )]
    Timeout {
        /// The resource.
        resource: ResourceName,
        /// The time limit.
        after: Duration,
        /// The holder when the lock was last asked for.
        by: Option<CandidateId>,
        /// Why the resource was paused, if it was when the lock was last asked for.
        pause: Option<Note>,
    },
    /// The same resource was passed twice, so one guard would wait for the other.
    ///
    /// Two resources of the same name in two stores are refused, too: locks are acquired in the order of
    /// their names, and these two have no order.
    #[error("{resource} is named twice: pass each lock once")]
    NamedTwice {
        /// The resource.
        resource: ResourceName,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Arc<StoreError>),
    /// The library's lock thread has ended, so it no longer renews or releases locks.
    #[error("the library's lock thread has ended: restart the process")]
    ThreadEnded,
    /// The lock runs on the current tokio runtime, but the call was awaited where there is none, the runtime has
    /// no timers, or it has ended before the call did.
    ///
    /// Only locks that were built by
    /// [`build_on_current_runtime`](super::LockManagerBuilder::build_on_current_runtime) return it.
    ///
    /// Tokio tells only by a panic that a runtime has no timers. The call catches it, but your panic hook runs, and
    /// with `panic = "abort"` the process ends. On a runtime with timers, and outside any runtime, nothing panics.
    #[error(
        "this lock runs on the current tokio runtime, but there is none, it has no timers, or it has ended: \
         await the call on a runtime with timers, or use `build` instead of `build_on_current_runtime`"
    )]
    NoRuntime,
}

fn holder(by: &Option<CandidateId>) -> String {
    let held = by.as_ref().map(|by| format!(": {by} holds it"));
    held.unwrap_or_default()
}

fn paused(note: &Option<Note>) -> String {
    let paused = note
        .as_ref()
        .map(|note| format!(": it is paused by an operator: {note}"));
    paused.unwrap_or_default()
}
