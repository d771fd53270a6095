use actix::{Message, Recipient, WeakAddr, WeakRecipient, dev::RecipientRequest};

use super::{
    LockActor,
    messages::{Acknowledged, BecameFollower, BecameLeader, Subscribe, Unsubscribe},
};
use crate::{
    election::Audience,
    leadership::{Leadership, Reason},
    lease::{CandidateId, FencingToken, ResourceName},
};

/// Those who are told, what they were told, and what they have not yet acknowledged.
#[derive(Debug)]
pub(super) struct Subscribers {
    resource: ResourceName,
    list: Vec<Subscriber>,
    last_key: u64,
    clean: bool,
}

#[derive(Debug)]
struct Subscriber {
    key: u64,
    leader: WeakRecipient<BecameLeader>,
    follower: WeakRecipient<BecameFollower>,
    /// The token under which it was told that it leads, until it was told that it does not.
    leads: Option<FencingToken>,
    /// It was told so, and has not yet acknowledged the end: its work may be running.
    working: bool,
    /// Messages sent and not yet acknowledged.
    pending: u32,
}

impl Subscriber {
    fn is_alive(&self) -> bool {
        // A dead actor whose address is kept somewhere can still be upgraded.
        alive(&self.follower).is_some()
    }
}

fn alive<M>(recipient: &WeakRecipient<M>) -> Option<Recipient<M>>
where
    M: Message + Send,
    M::Result: Send,
{
    recipient.upgrade().filter(Recipient::connected)
}

impl Subscribers {
    pub(super) fn new(resource: ResourceName) -> Self {
        Self {
            resource,
            list: Vec::new(),
            last_key: 0,
            clean: true,
        }
    }

    pub(super) fn audience(&self) -> Audience {
        Audience {
            present: !self.list.is_empty(),
            acknowledged: self.unacknowledged() == 0,
            clean: self.clean,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn unacknowledged(&self) -> usize {
        self.list
            .iter()
            .filter(|subscriber| subscriber.pending > 0)
            .count()
    }

    /// Takes a subscriber in and tells it the present state.
    pub(super) fn subscribe(
        &mut self,
        subscribe: Subscribe,
        leadership: Option<&Leadership>,
        leader: Option<CandidateId>,
        lock: &WeakAddr<LockActor>,
    ) {
        let Some(address) = alive(&subscribe.follower) else {
            return;
        };
        let known = (self.list.iter_mut()).position(|known| {
            known
                .follower
                .upgrade()
                .is_some_and(|known| known == address)
        });
        let index = known.unwrap_or_else(|| {
            self.last_key += 1;
            self.list.push(Subscriber {
                key: self.last_key,
                leader: subscribe.leader,
                follower: subscribe.follower,
                leads: None,
                working: false,
                pending: 0,
            });
            self.list.len() - 1
        });
        let subscriber = &mut self.list[index];
        // One that restarted while it led has lost its state: it hears of the end first.
        if leadership.is_none() || subscriber.leads.is_some() {
            let message = BecameFollower {
                resource: self.resource.clone(),
                token: subscriber.leads.take(),
                reason: Reason::NotElected,
                leader,
            };
            subscriber.pending += 1;
            deliver(&address, message, subscriber.key, lock);
        }
        self.tell_leadership(leadership, lock);
    }

    /// Takes a subscriber out, at its own word that its work has stopped.
    pub(super) fn unsubscribe(&mut self, unsubscribe: &Unsubscribe) {
        let address = unsubscribe.follower.upgrade();
        self.list
            .retain(|known| known.follower.upgrade() != address);
    }

    pub(super) fn became_leader(&mut self, leadership: &Leadership, lock: &WeakAddr<LockActor>) {
        self.clean = true;
        self.tell_leadership(Some(leadership), lock);
    }

    /// Tells of the leadership those who do not know of it, once they have acknowledged everything
    /// before.
    fn tell_leadership(&mut self, leadership: Option<&Leadership>, lock: &WeakAddr<LockActor>) {
        let Some(leadership) = leadership else { return };
        for subscriber in &mut self.list {
            if subscriber.leads.is_some() || subscriber.pending > 0 {
                continue;
            }
            if let Some(recipient) = alive(&subscriber.leader) {
                let leadership = leadership.clone();
                subscriber.leads = Some(leadership.token());
                subscriber.working = true;
                subscriber.pending += 1;
                deliver(
                    &recipient,
                    BecameLeader { leadership },
                    subscriber.key,
                    lock,
                );
            }
        }
    }

    /// Tells everybody who was told of a leadership that it has ended.
    pub(super) fn became_follower(
        &mut self,
        reason: &Reason,
        leader: Option<&CandidateId>,
        lock: &WeakAddr<LockActor>,
    ) {
        for subscriber in &mut self.list {
            let Some(token) = subscriber.leads else {
                continue;
            };
            if let Some(recipient) = alive(&subscriber.follower) {
                subscriber.leads = None;
                subscriber.pending += 1;
                let message = BecameFollower {
                    resource: self.resource.clone(),
                    token: Some(token),
                    reason: reason.clone(),
                    leader: leader.cloned(),
                };
                deliver(&recipient, message, subscriber.key, lock);
            }
        }
        self.prune();
    }

    pub(super) fn acknowledged(
        &mut self,
        acknowledged: &Acknowledged,
        leadership: Option<&Leadership>,
        lock: &WeakAddr<LockActor>,
    ) {
        let subscriber = self
            .list
            .iter_mut()
            .find(|known| known.key == acknowledged.subscriber);
        if let Some(subscriber) = subscriber {
            subscriber.pending = subscriber.pending.saturating_sub(1);
            // It died, or restarted, over the message: work that it spawned may run on.
            self.clean &= acknowledged.handled || !subscriber.working;
            subscriber.working &= subscriber.leads.is_some() || subscriber.pending > 0;
        }
        self.prune();
        self.tell_leadership(leadership, lock);
    }

    /// Takes out those who have died. One that died at work leaves something behind that nobody can
    /// vouch for.
    pub(super) fn prune(&mut self) {
        let clean = &mut self.clean;
        self.list.retain(|subscriber| {
            let alive = subscriber.is_alive();
            *clean &= alive || !subscriber.working;
            alive
        });
    }
}

/// Sends a message and passes its acknowledgement on.
///
/// `Recipient::send` queues at once, and always, because each upgraded recipient has a slot of its
/// own in the mailbox: that keeps the order. The task belongs to the thread and not to the lock's
/// context, for a restart of the lock would drop it, and actix takes a message back whose sender was
/// dropped.
fn deliver<M>(recipient: &Recipient<M>, message: M, subscriber: u64, lock: &WeakAddr<LockActor>)
where
    M: Message<Result = ()> + Send + 'static,
{
    let reply: RecipientRequest<M> = recipient.send(message);
    let lock = lock.clone();
    actix::spawn(async move {
        let handled = reply.await.is_ok();
        if let Some(lock) = lock.upgrade() {
            lock.do_send(Acknowledged {
                subscriber,
                handled,
            });
        }
    });
}
