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
    lease::{CandidateId, LeaseRecord, Note, ResourceName},
};

/// What a lock is doing.
///
/// Serialized, for instance for a status page, it is an object. Durations are whole milliseconds, under
/// names that end in `_ms`. The fields of [`state`](Self::state) are fields of the object itself.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The resource.
    pub resource: ResourceName,
    /// The id of this candidate.
    pub candidate: CandidateId,
    /// The state of the election.
    #[serde(flatten)]
    pub state: ElectionState,
    /// The leadership, while it leads.
    pub leadership: Option<Leadership>,
    /// How long ago the last confirmed grant or renewal was sent; `None` while it does not lead. During an
    /// outage of the store it grows.
    #[serde(
        rename = "last_renewed_ms",
        serialize_with = "millis::serialize_option"
    )]
    pub last_renewed: Option<Duration>,
    /// The leader, as far as is known: the value of
    /// [`LockHandle::watch_leader`](super::LockHandle::watch_leader).
    pub leader: Option<KnownLeader>,
    /// The record that was read last; `None` if none was read yet, and while this lock leads.
    ///
    /// A lock that contends or is observed reads it every `poll_every`; a paused lock does not. A grant
    /// comes without a record and makes the last one out of date, so a leader has none until the store says
    /// to whom it lost the lease.
    pub last_seen: Option<SeenRecord>,
    /// The note of the pause, if an operator has [paused](crate::Operator::pause) the resource: nobody leads until it
    /// is resumed. It is what the lock last saw. That of [`LockHandle::pause`](super::LockHandle::pause) is in
    /// [`state`](Self::state) instead.
    pub pause: Option<Note>,
    /// How many actors are subscribed.
    pub subscribers: usize,
    /// How many of them have not yet acknowledged a message.
    pub unacknowledged: usize,
    /// How the store answers.
    pub store: StoreStatus,
    /// How many times the lock actor was restarted since the lock started: once for each failed request to the
    /// store. A restart ends no leadership.
    pub restarts: u64,
}

/// A record of the store, and how old it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SeenRecord {
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
            // The caller may have dropped its future.
            let _ = sender.send(self);
        }
    }
}
