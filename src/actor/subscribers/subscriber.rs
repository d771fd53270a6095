use actix::{Message, Recipient, WeakRecipient};

use super::MailboxId;
use crate::{
    actor::messages::{BecameFollower, BecameLeader, Subscribe, SubscriberMessage as _},
    clock::Moment,
    lease::FencingToken,
};

/// One subscriber, what was sent to it, and what it has not yet acknowledged.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) mailbox: MailboxId,
    /// The type of the actor.
    pub(super) actor: &'static str,
    leader: WeakRecipient<BecameLeader>,
    follower: WeakRecipient<BecameFollower>,
    /// It was sent a message, so it knows its state.
    pub(super) told: bool,
    /// The token of the leadership that was sent to it, until its end was sent.
    pub(super) leads: Option<FencingToken>,
    /// A leadership was sent to it, and it has not yet acknowledged the end: its work may be running.
    pub(super) working: bool,
    /// Messages sent and not yet acknowledged.
    pub(super) pending: u32,
    /// A `BecameLeader` is among them. While the subscriber leads, that handler may take its time.
    leader_pending: bool,
    /// Since when all of them must be acknowledged: since a `BecameFollower` was sent.
    pub(super) awaited_since: Option<Moment>,
    /// It has unsubscribed, but must still acknowledge messages from before.
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
            actor: subscribe.actor,
            leader: subscribe.leader,
            follower: subscribe.follower,
            told: false,
            leads: None,
            working: false,
            pending: 0,
            leader_pending: false,
            awaited_since: None,
            leaving: false,
            dead_since: None,
        })
    }

    /// Records that it has acknowledged a message of this name.
    pub(super) fn acknowledged(&mut self, message: &str) {
        self.pending = self.pending.saturating_sub(1);
        if mutant!(AnyAcknowledgementCounts) {
            self.pending = 0;
        }
        self.leader_pending &= message != BecameLeader::NAME;
        self.awaited_since = self.awaited_since.filter(|_| self.pending > 0);
    }

    /// Which message it has not acknowledged; the older one, if both.
    pub(super) fn unacknowledged(&self) -> &'static str {
        if self.leader_pending {
            BecameLeader::NAME
        } else {
            BecameFollower::NAME
        }
    }

    pub(super) fn leads(&self) -> bool {
        self.leads.is_some()
    }

    pub(super) fn is_alive(&self) -> bool {
        // A dead actor whose address is kept somewhere can still be upgraded.
        alive(&self.follower).is_some()
    }

    /// Records that a `BecameLeader` is sent to it. Returns where to, unless it is dead.
    pub(super) fn begin_leader(&mut self, token: FencingToken) -> Option<Recipient<BecameLeader>> {
        let address = alive(&self.leader)?;
        self.told = true;
        self.leads = Some(token);
        self.working = true;
        self.pending += 1;
        self.leader_pending = true;
        Some(address)
    }

    /// Records that a `BecameFollower` is sent to it, which ends its leadership. Returns where to, and the
    /// token of that leadership, unless it is dead.
    pub(super) fn begin_follower(
        &mut self,
        now: Moment,
    ) -> Option<(Recipient<BecameFollower>, Option<FencingToken>)> {
        let address = alive(&self.follower)?;
        self.told = true;
        self.pending += 1;
        self.awaited_since.get_or_insert(now);
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
