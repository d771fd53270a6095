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
    /// It has unsubscribed, and has yet to hear that what it was told before is over.
    leaving: bool,
    /// It was dead at the last look already.
    missed: bool,
}

impl Subscriber {
    fn is_alive(&self) -> bool {
        // A dead actor whose address is kept somewhere can still be upgraded.
        alive(&self.follower).is_some()
    }

    /// Tells it that it follows, and takes back what it was told of a leadership.
    fn follow(&mut self, address: &Recipient<BecameFollower>, news: &News<'_>) {
        let message = BecameFollower {
            resource: news.resource.clone(),
            token: self.leads.take(),
            reason: news.reason.clone(),
            leader: news.leader.cloned(),
        };
        self.pending += 1;
        deliver(address, message, self.key, news.lock);
    }
}

/// What those hear who follow, and from which lock.
struct News<'a> {
    resource: &'a ResourceName,
    reason: Reason,
    leader: Option<&'a CandidateId>,
    lock: &'a WeakAddr<LockActor>,
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
            present: self.list.iter().any(|subscriber| !subscriber.leaving),
            acknowledged: self.all_acknowledged(),
            clean: self.clean,
        }
    }

    fn all_acknowledged(&self) -> bool {
        if mutant!(NewestAcknowledges) {
            return self.list.last().is_none_or(|newest| newest.pending == 0);
        }
        self.unacknowledged() == 0
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

    /// Takes a subscriber in and tells it the present state; of a leadership it hears by
    /// [`tell_leadership`](Self::tell_leadership).
    pub(super) fn subscribe(
        &mut self,
        subscribe: Subscribe,
        leading: bool,
        leader: Option<&CandidateId>,
        lock: &WeakAddr<LockActor>,
    ) {
        let Some(address) = alive(&subscribe.follower) else {
            return;
        };
        let known = self.position(&address);
        let index = known.unwrap_or_else(|| {
            self.last_key += 1;
            self.list.push(Subscriber {
                key: self.last_key,
                leader: subscribe.leader,
                follower: subscribe.follower,
                leads: None,
                working: false,
                pending: 0,
                leaving: false,
                missed: false,
            });
            self.list.len() - 1
        });
        let subscriber = &mut self.list[index];
        subscriber.leaving = false;
        // One that subscribes again has restarted, and cannot vouch for what it had spawned before.
        self.clean &= !subscriber.working || mutant!(RestartedTakenForClean);
        // It has lost its state, and hears of the end first.
        if !leading || subscriber.leads.is_some() {
            let news = News {
                resource: &self.resource,
                reason: Reason::NotElected,
                leader,
                lock,
            };
            subscriber.follow(&address, &news);
        }
    }

    /// Takes a subscriber out, at its own word that its work has stopped. That word cannot be about
    /// a message that it has not yet handled: of such a leadership it hears the end first.
    pub(super) fn unsubscribe(&mut self, unsubscribe: &Unsubscribe, lock: &WeakAddr<LockActor>) {
        let address = &unsubscribe.follower;
        let Some(index) = self.position(address) else {
            return;
        };
        let subscriber = &mut self.list[index];
        if subscriber.pending == 0 || mutant!(UnsubscribedNotAwaited) {
            self.list.remove(index);
            return;
        }
        subscriber.leaving = true;
        if subscriber.leads.is_some() {
            let news = News {
                resource: &self.resource,
                reason: Reason::SteppedDown,
                leader: None,
                lock,
            };
            subscriber.follow(address, &news);
        }
    }

    fn position(&self, address: &Recipient<BecameFollower>) -> Option<usize> {
        let is_it = |known: &Subscriber| known.follower.upgrade().as_ref() == Some(address);
        self.list.iter().position(is_it)
    }

    pub(super) fn became_leader(&mut self, leadership: &Leadership, lock: &WeakAddr<LockActor>) {
        self.clean = true;
        self.tell_leadership(leadership, lock);
    }

    /// Tells of the leadership those who do not know of it, once they have acknowledged everything
    /// before.
    pub(super) fn tell_leadership(&mut self, leadership: &Leadership, lock: &WeakAddr<LockActor>) {
        for subscriber in &mut self.list {
            let pending = subscriber.pending > 0 && !mutant!(ToldWhilePending);
            if subscriber.leads.is_some() || pending || subscriber.leaving {
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
        reason: Reason,
        leader: Option<&CandidateId>,
        lock: &WeakAddr<LockActor>,
    ) {
        let news = News {
            resource: &self.resource,
            reason,
            leader,
            lock,
        };
        let told = self
            .list
            .iter_mut()
            .filter(|subscriber| subscriber.leads.is_some());
        for subscriber in told {
            if let Some(address) = alive(&subscriber.follower) {
                subscriber.follow(&address, &news);
            }
        }
    }

    /// A subscriber has handled a message, or has died or restarted over it.
    pub(super) fn acknowledged(&mut self, message: &Acknowledged, lock: &WeakAddr<LockActor>) {
        let is_it = |known: &Subscriber| known.key == message.subscriber;
        let Some(index) = self.list.iter().position(is_it) else {
            return;
        };
        let subscriber = &mut self.list[index];
        subscriber.pending = match mutant!(AnyAcknowledgementCounts) {
            true => 0,
            false => subscriber.pending.saturating_sub(1),
        };
        if !message.handled && subscriber.working {
            // Work that it spawned may run on; and if it lives, it no longer knows that it leads.
            self.clean &= mutant!(RestartedTakenForClean);
            let address = alive(&subscriber.follower).filter(|_| subscriber.leads.is_some());
            if let Some(address) = address {
                let news = News {
                    resource: &self.resource,
                    reason: Reason::NotElected,
                    leader: None,
                    lock,
                };
                subscriber.follow(&address, &news);
            }
        }
        subscriber.working &= subscriber.leads.is_some() || subscriber.pending > 0;
        if subscriber.leaving && subscriber.pending == 0 {
            self.list.remove(index);
        }
    }

    /// The facts outlive a restart of the lock; but for faults there is nothing to do.
    pub(super) fn restarted(&mut self) {
        for subscriber in &mut self.list {
            if mutant!(RestartForgetsTold) {
                subscriber.leads = None;
            }
            if mutant!(RestartForgetsPending) {
                subscriber.pending = 0;
            }
        }
    }

    /// Takes out those who have died. One that died at work leaves something behind that nobody can
    /// vouch for.
    ///
    /// Of one that owes an acknowledgement, that may be on its way: only when it is dead at two
    /// `look`s, which lie a while apart, is nothing more expected from it.
    pub(super) fn prune(&mut self, look: bool) {
        let clean = &mut self.clean;
        self.list.retain_mut(|subscriber| {
            let dead = !subscriber.is_alive();
            let gone = dead && (subscriber.pending == 0 || (look && subscriber.missed));
            if look {
                subscriber.missed = dead;
            }
            *clean &= !gone || !subscriber.working || mutant!(DeadTakenForClean);
            !gone
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
