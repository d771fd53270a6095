use std::time::Duration;

use actix::dev::{MessageResponse, OneshotSender};
use actix::{Actor, Message};
use serde::Serialize;

use super::KnownLeader;
use crate::{
    driver::StoreStatus,
    duration::millis,
    election::ElectionState,
    leadership::Leadership,
    lease::{CandidateId, LeaseRecord, ResourceName},
};

/// What a lock is doing.
///
/// Serialized, for instance for a status page, it is an object whose durations are whole milliseconds under
/// names that end in `_ms`; the fields of [`state`](Self::state) stand beside the others.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The resource.
    pub resource: ResourceName,
    /// The candidate that this lock is.
    pub candidate: CandidateId,
    /// What it is doing.
    #[serde(flatten)]
    pub state: ElectionState,
    /// The leadership, while it leads.
    pub leadership: Option<Leadership>,
    /// While it leads: how long ago the last confirmed grant or renewal was sent. During an outage of the
    /// store it grows.
    #[serde(
        rename = "last_renewed_ms",
        serialize_with = "millis::serialize_option"
    )]
    pub last_renewed: Option<Duration>,
    /// Who leads, as far as is known: what
    /// [`LockHandle::watch_leader`](super::LockHandle::watch_leader) shows.
    pub leader: Option<KnownLeader>,
    /// The record that the store showed last; `None` if it has shown none yet.
    ///
    /// A lock that contends or is observed looks every `poll_every`; one that is paused does not look. A
    /// grant shows no record and makes the one before it out of date: a lock that leads has none, until
    /// the store says to whom the lease was lost.
    pub last_seen: Option<Seen>,
    /// How many actors are subscribed.
    pub subscribers: usize,
    /// How many of them have not yet acknowledged a message.
    pub unacknowledged: usize,
    /// How the store answers.
    pub store: StoreStatus,
    /// How often the lock actor was restarted after a store error.
    pub restarts: u64,
}

/// A record of the store, and how old it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Seen {
    /// The record. Its [`remaining`](LeaseRecord::remaining) has been counted down since it was read:
    /// zero if the lease has run out, unless it was renewed since.
    pub record: LeaseRecord,
    /// How long ago it was read.
    #[serde(rename = "age_ms", with = "millis")]
    pub age: Duration,
}

impl<A, M> MessageResponse<A, M> for Status
where
    A: Actor,
    M: Message<Result = Self>,
{
    fn handle(self, _: &mut A::Context, sender: Option<OneshotSender<Self>>) {
        if let Some(sender) = sender {
            // Whoever asked may have gone.
            let _ = sender.send(self);
        }
    }
}
