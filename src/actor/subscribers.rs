mod dead_subscribers;
mod indexed_subscribers;
mod message_sender;
mod subscriber;

use std::sync::Arc;

use actix::WeakAddr;

use super::{
    LockActor,
    mailbox_id::MailboxId,
    messages::{BecameFollower, BecameLeader, DeliveryEnded, Subscribe, Unsubscribe},
    slow_subscriber_warning::LongestUnacknowledged,
};
use crate::{
    clock::{Clock, Moment},
    election::SubscriberState,
    leadership::{Leadership, Reason},
    lease::{CandidateId, ResourceName},
};
use indexed_subscribers::IndexedSubscribers;
use message_sender::MessageSender;
use subscriber::Subscriber;

/// How many subscribers one lock handles (their messages, messages to them, checks whether they are alive)
/// before the other locks of the thread run.
pub(super) const BATCH_SIZE: usize = 128;

/// The subscribers of a lock, what was sent to them, and what they have not yet acknowledged.
///
/// Messages to all are sent in batches, so that a lock with many subscribers does not delay the other locks
/// of its thread: [`begin_batch`](Self::begin_batch) allows the next batch, and
/// [`has_more_to_do`](Self::has_more_to_do) asks for another one.
#[derive(Debug)]
pub(super) struct Subscribers {
    resource: ResourceName,
    clock: Arc<dyn Clock>,
    index: IndexedSubscribers,
    acknowledgements: MessageSender,
    clean: bool,
    /// The end of a leadership, until it was sent to every subscriber that got its begin, and every other
    /// subscriber was sent its first message.
    ended: Option<LeadershipEnd>,
    batch_size: usize,
    /// How many subscribers may still be sent a message in this batch.
    sends_left: usize,
    /// How many subscribers may still be checked in this batch.
    checks_left: usize,
    /// How many messages of subscribers may still be handled in this batch.
    messages_left: usize,
    /// The subscriber that was checked last, while a round of checks is under way.
    last_checked: Option<u64>,
    next_check: Moment,
}

/// How a leadership ended.
#[derive(Clone, Debug)]
struct LeadershipEnd {
    reason: Reason,
    leader: Option<CandidateId>,
}

impl Subscribers {
    pub(super) fn new(resource: ResourceName, clock: Arc<dyn Clock>, batch_size: usize) -> Self {
        Self {
            resource,
            clock,
            index: IndexedSubscribers::default(),
            acknowledgements: MessageSender::default(),
            clean: true,
            ended: None,
            batch_size,
            sends_left: batch_size,
            checks_left: batch_size,
            messages_left: batch_size,
            last_checked: None,
            next_check: Moment::default(),
        }
    }

    pub(super) fn subscriber_state(&self) -> SubscriberState {
        SubscriberState {
            present: self.index.present() > 0,
            acknowledged: self.all_acknowledged(),
            clean: self.clean,
        }
    }

    fn all_acknowledged(&self) -> bool {
        if mutant!(NewestAcknowledges) {
            return self.index.newest().is_none_or(|newest| newest.pending == 0);
        }
        if mutant!(AcknowledgedBeforeAllTold) {
            return self.index.unacknowledged() == 0;
        }
        self.unacknowledged() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// How many have something to acknowledge, also those to which the end of a leadership is yet to be sent.
    pub(super) fn unacknowledged(&self) -> usize {
        let unsent = self.ended.as_ref().map(|_| self.index.idle_leaders());
        self.index.unacknowledged() + unsent.unwrap_or(0)
    }

    /// The subscriber whose acknowledgement has been awaited longest. A `BecameLeader` of a subscriber that
    /// still leads does not count.
    pub(super) fn awaited(&self) -> Option<LongestUnacknowledged> {
        let (subscriber, since) = self.index.longest_awaited()?;
        Some(LongestUnacknowledged {
            actor: subscriber.actor,
            message: subscriber.unacknowledged(),
            since,
            subscribers: self.unacknowledged(),
        })
    }

    /// Adds a subscriber. If the lock follows, sends it that; of a leadership, [`send_due`](Self::send_due)
    /// tells it.
    pub(super) fn subscribe(
        &mut self,
        subscribe: Subscribe,
        leading: bool,
        leader: Option<&CandidateId>,
        lock: &WeakAddr<LockActor>,
    ) {
        let Some(subscriber) = Subscriber::new(subscribe) else {
            return;
        };
        let known = self.index.find(subscriber.mailbox);
        let key = known.unwrap_or_else(|| self.index.add(subscriber));
        let known = self.index.update(key, |subscriber| {
            subscriber.leaving = false;
            (subscriber.leads(), subscriber.working)
        });
        let (leads, working) = known.unwrap_or_default();
        // If it led, it has lost its state: it gets the end of that leadership first.
        if !leading || leads {
            self.send_follower(key, Reason::NotElected, leader, lock);
        }
        // An actor that subscribes again has restarted. Work that it spawned before may still run.
        if working {
            self.restarted_at_work();
        }
    }

    /// Removes a subscriber whose work has stopped. If it has not handled a `BecameLeader` yet, the work may
    /// still begin: then it gets the end of that leadership first.
    pub(super) fn unsubscribe(&mut self, unsubscribe: &Unsubscribe, lock: &WeakAddr<LockActor>) {
        let mailbox = MailboxId::of(&unsubscribe.follower);
        let Some(key) = self.index.find(mailbox) else {
            return;
        };
        let waits = self.index.update(key, |subscriber| {
            subscriber.leaving = subscriber.pending > 0;
            if mutant!(UnsubscribedNotAwaited) {
                subscriber.leaving = false;
            }
            subscriber.leaving.then_some(subscriber.leads())
        });
        match waits.flatten() {
            Some(true) => drop(self.send_follower(key, Reason::SteppedDown, None, lock)),
            Some(false) => {}
            None => drop(self.index.remove(key)),
        }
    }

    /// Sends one subscriber a `BecameFollower`: with the end of its leadership if that is yet to be sent,
    /// otherwise with the given reason. False if it is dead.
    fn send_follower(
        &mut self,
        key: u64,
        reason: Reason,
        leader: Option<&CandidateId>,
        lock: &WeakAddr<LockActor>,
    ) -> bool {
        let now = self.clock.now();
        let recipient = self
            .index
            .update(key, |subscriber| subscriber.begin_follower(now));
        let Some((address, token)) = recipient.flatten() else {
            return false;
        };
        let ended = self.ended.as_ref().filter(|_| token.is_some());
        let (reason, leader) = match ended {
            Some(end) => (end.reason.clone(), end.leader.clone()),
            None => (reason, leader.cloned()),
        };
        let message = BecameFollower {
            resource: self.resource.clone(),
            token,
            reason,
            leader,
        };
        self.acknowledgements.send(&address, message, key, lock);
        true
    }

    /// A leadership begins. What happened under the last one no longer counts.
    pub(super) fn became_leader(&mut self) {
        if mutant!(UncleanTermNotReset) {
            return;
        }
        self.clean = true;
    }

    /// A leadership has ended. Every subscriber that got its begin must get its end, and the others must get
    /// to know that they follow.
    pub(super) fn became_follower(&mut self, reason: Reason, leader: Option<CandidateId>) {
        self.ended = Some(LeadershipEnd { reason, leader });
    }

    /// Allows the next batch of messages and checks.
    pub(super) fn begin_batch(&mut self) {
        self.sends_left = self.batch_size;
        self.checks_left = self.batch_size;
        self.messages_left = self.batch_size;
    }

    /// Counts a message of a subscriber. True if it is the last one of this batch.
    pub(super) fn is_last_message_of_batch(&mut self) -> bool {
        self.messages_left = self.messages_left.saturating_sub(1);
        self.messages_left == 0
    }

    /// Whether another batch is needed.
    pub(super) fn has_more_to_do(&self, leads: bool) -> bool {
        self.has_end_to_send() || (leads && self.index.ready() > 0) || self.last_checked.is_some()
    }

    /// Whether the end of a leadership, or a first message after it, is yet to be sent to some subscribers.
    pub(super) fn has_end_to_send(&self) -> bool {
        self.ended.is_some()
    }

    /// Sends the next batch of messages: first the end of a leadership to those that got its begin, then a
    /// first message to those that the leadership was too short to reach, then the present leadership to those
    /// that have acknowledged everything before.
    pub(super) fn send_due(&mut self, leadership: Option<&Leadership>, lock: &WeakAddr<LockActor>) {
        self.send_end(lock);
        let Some(leadership) = leadership.filter(|_| self.ended.is_none()) else {
            return;
        };
        while let Some(key) = self.index.first_ready()
            && self.may_send()
        {
            let token = leadership.token();
            let recipient = self
                .index
                .update(key, |subscriber| subscriber.begin_leader(token));
            let Some(address) = recipient.flatten() else {
                self.remove_dead(key);
                continue;
            };
            let leadership = leadership.clone();
            let message = BecameLeader { leadership };
            self.acknowledgements.send(&address, message, key, lock);
        }
    }

    fn send_end(&mut self, lock: &WeakAddr<LockActor>) {
        if self.ended.is_none() {
            return;
        }
        while let Some(key) = self.index.first_leading() {
            if !self.may_send() {
                return;
            }
            if !self.send_follower(key, Reason::NotElected, None, lock) {
                // It has died while it led, and cannot acknowledge the end.
                self.died_at_work();
                self.index.update(key, |subscriber| {
                    (subscriber.leads, subscriber.working) = (None, false);
                });
            }
        }
        let leader = self.ended.as_ref().and_then(|end| end.leader.clone());
        while let Some(key) = self.index.first_untold() {
            if !self.may_send() {
                return;
            }
            if !self.send_follower(key, Reason::NotElected, leader.as_ref(), lock) {
                self.remove_dead(key);
            }
        }
        self.ended = None;
    }

    fn may_send(&mut self) -> bool {
        let may = self.sends_left > 0;
        self.sends_left = self.sends_left.saturating_sub(1);
        may
    }

    /// A subscriber has handled a message, or has died or restarted before it had.
    pub(super) fn acknowledged(&mut self, message: &DeliveryEnded, lock: &WeakAddr<LockActor>) {
        let key = message.subscriber;
        let known = self.index.update(key, |subscriber| {
            subscriber.acknowledged(message.message);
            (subscriber.leads(), subscriber.working)
        });
        let (leads, working) = known.unwrap_or_default();
        if !message.handled && working {
            // Work that it spawned may still run; and if it is alive, it no longer knows that it leads.
            self.restarted_at_work();
            if leads {
                self.send_follower(key, Reason::NotElected, None, lock);
            }
        }
        let gone = self.index.update(key, |subscriber| {
            subscriber.working &= subscriber.leads() || subscriber.pending > 0;
            subscriber.leaving && subscriber.pending == 0
        });
        if gone == Some(true) {
            self.index.remove(key);
        }
    }

    /// The lock has restarted. All of this stays; only switched-on faults change something.
    pub(super) fn restarted(&mut self) {
        if mutant!(RestartForgetsDeliveries) {
            self.forget(|subscriber| subscriber.leads = None);
        }
        if mutant!(RestartForgetsUnacknowledged) {
            self.forget(|subscriber| subscriber.pending = 0);
        }
    }

    /// Applies a fault to every subscriber.
    fn forget(&mut self, change: fn(&mut Subscriber)) {
        let mut next = self.index.after(0);
        while let Some(key) = next {
            self.index.update(key, change);
            next = self.index.after(key);
        }
    }

    /// A subscriber has died at work. Work that it spawned may still run, so this leadership has no clean end.
    fn died_at_work(&mut self) {
        if mutant!(DeadSubscriberCountsAsAcknowledged) {
            return;
        }
        self.clean = false;
    }

    /// The same for a subscriber that has restarted at work.
    fn restarted_at_work(&mut self) {
        if mutant!(RestartedSubscriberCountsAsAcknowledged) {
            return;
        }
        self.clean = false;
    }
}

#[cfg(test)]
mod tests;
