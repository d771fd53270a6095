use actix::{Message, Recipient, WeakRecipient};

use super::MailboxId;
use crate::{
    actor::messages::{BecameFollower, BecameLeader, Subscribe},
    clock::Moment,
    lease::FencingToken,
};

/// One who is told, what it was told, and what it has not yet acknowledged.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) mailbox: MailboxId,
    leader: WeakRecipient<BecameLeader>,
    follower: WeakRecipient<BecameFollower>,
    /// The token under which it was told that it leads, until it was told that it does not.
    pub(super) leads: Option<FencingToken>,
    /// It was told so, and has not yet acknowledged the end: its work may be running.
    pub(super) working: bool,
    /// Messages sent and not yet acknowledged.
    pub(super) pending: u32,
    /// It has unsubscribed, and has yet to hear that what it was told before is over.
    pub(super) leaving: bool,
    /// Since when it is known to be dead.
    pub(super) dead_since: Option<Moment>,
}

impl Subscriber {
    /// `None` if it is dead already.
    pub(super) fn new(subscribe: Subscribe) -> Option<Self> {
        let mailbox = MailboxId::of(&alive(&subscribe.follower)?);
        Some(Self {
            mailbox,
            leader: subscribe.leader,
            follower: subscribe.follower,
            leads: None,
            working: false,
            pending: 0,
            leaving: false,
            dead_since: None,
        })
    }

    pub(super) fn leads(&self) -> bool {
        self.leads.is_some()
    }

    pub(super) fn is_alive(&self) -> bool {
        // A dead actor whose address is kept somewhere can still be upgraded.
        alive(&self.follower).is_some()
    }

    /// Notes that it is told that it leads; where to, unless it is dead.
    pub(super) fn tell_leader(&mut self, token: FencingToken) -> Option<Recipient<BecameLeader>> {
        let address = alive(&self.leader)?;
        self.leads = Some(token);
        self.working = true;
        self.pending += 1;
        Some(address)
    }

    /// Notes that it is told that it follows, and takes back what it was told of a leadership; where
    /// to and of which token, unless it is dead.
    pub(super) fn tell_follower(
        &mut self,
    ) -> Option<(Recipient<BecameFollower>, Option<FencingToken>)> {
        let address = alive(&self.follower)?;
        self.pending += 1;
        Some((address, self.leads.take()))
    }
}

fn alive<M>(recipient: &WeakRecipient<M>) -> Option<Recipient<M>>
where
    M: Message + Send,
    M::Result: Send,
{
    recipient.upgrade().filter(Recipient::connected)
}
