use actix::dev::{MessageResponse, OneshotSender};
use actix::{Actor, Message};

use crate::{
    driver::StoreStatus,
    election::ElectionState,
    leadership::Leadership,
    lease::{CandidateId, LeaseRecord, ResourceName},
};

/// What a lock is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// The resource.
    pub resource: ResourceName,
    /// The candidate that this lock is.
    pub candidate: CandidateId,
    /// What it is doing.
    pub state: ElectionState,
    /// The leadership, while it leads.
    pub leadership: Option<Leadership>,
    /// The record as it was last seen. A lock that contends or is observed looks every `poll_every`;
    /// one that leads knows its own; one that is paused does not look.
    pub record: Option<LeaseRecord>,
    /// How many actors are subscribed.
    pub subscribers: usize,
    /// How many of them have not yet acknowledged a message.
    pub unacknowledged: usize,
    /// How the store answers.
    pub store: StoreStatus,
    /// How often the lock actor was restarted after a store error.
    pub restarts: u64,
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
