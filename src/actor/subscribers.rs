mod mailbox;
mod replies;
mod roster;
mod subscriber;

use std::{sync::Arc, time::Duration};

use actix::WeakAddr;

use super::{
    LockActor,
    messages::{BecameFollower, BecameLeader, DeliveryEnded, Subscribe, Unsubscribe},
    slow_subscribers::Awaited,
};
use crate::{
    clock::{Clock, Moment},
    election::SubscriberState,
    leadership::{Leadership, Reason},
    lease::{CandidateId, ResourceName},
};
use mailbox::MailboxId;
use replies::Replies;
use roster::Roster;
use subscriber::Subscriber;

/// How many subscribers a lock hears, tells and looks at before the other locks of the thread have
/// their turn.
pub(super) const PORTION: usize = 128;

/// Those who are told, what they were told, and what they have not yet acknowledged.
///
/// What all must hear is told in portions, so that a lock with many subscribers does not hold up the
/// other locks of its thread: [`begin_turn`](Self::begin_turn) allows the next portion, and
/// [`has_more_to_do`](Self::has_more_to_do) asks for another turn.
#[derive(Debug)]
pub(super) struct Subscribers {
    resource: ResourceName,
    clock: Arc<dyn Clock>,
    roster: Roster,
    replies: Replies,
    clean: bool,
    /// The leadership that has ended, until everybody who was told of it has been told of its end.
    ended: Option<End>,
    portion: usize,
    /// How many may still be told in this turn.
    tells_left: usize,
    /// How many may still be looked at in this turn.
    looks_left: usize,
    /// How many messages of subscribers may still be handled in this turn.
    messages_left: usize,
    /// Who was looked at last, in a round of looks that is under way.
    looked_at: Option<u64>,
    next_look: Moment,
}

/// How a leadership has ended.
#[derive(Clone, Debug)]
struct End {
    reason: Reason,
    leader: Option<CandidateId>,
}

impl Subscribers {
    pub(super) fn new(resource: ResourceName, clock: Arc<dyn Clock>, portion: usize) -> Self {
        Self {
            resource,
            clock,
            roster: Roster::default(),
            replies: Replies::default(),
            clean: true,
            ended: None,
            portion,
            tells_left: portion,
            looks_left: portion,
            messages_left: portion,
            looked_at: None,
            next_look: Moment::default(),
        }
    }

    pub(super) fn subscriber_state(&self) -> SubscriberState {
        SubscriberState {
            present: self.roster.present() > 0,
            acknowledged: self.all_acknowledged(),
            clean: self.clean,
        }
    }

    fn all_acknowledged(&self) -> bool {
        if mutant!(NewestAcknowledges) {
            return self
                .roster
                .newest()
                .is_none_or(|newest| newest.pending == 0);
        }
        if mutant!(AcknowledgedBeforeAllTold) {
            return self.roster.unacknowledged() == 0;
        }
        self.unacknowledged() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.roster.len()
    }

    /// How many have something to acknowledge; that may be an end of which they have yet to be told.
    pub(super) fn unacknowledged(&self) -> usize {
        let untold = self.ended.as_ref().map(|_| self.roster.quiet_leaders());
        self.roster.unacknowledged() + untold.unwrap_or(0)
    }

    /// The one whose acknowledgement has been waited for longest, not counting a `BecameLeader` of one
    /// that still leads.
    pub(super) fn awaited(&self) -> Option<Awaited> {
        let (subscriber, since) = self.roster.longest_awaited()?;
        Some(Awaited {
            actor: subscriber.actor,
            message: subscriber.unacknowledged(),
            since,
            subscribers: self.unacknowledged(),
        })
    }

    /// Takes a subscriber in and tells it the present state; of a leadership it hears by
    /// [`tell`](Self::tell).
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
        let known = self.roster.find(subscriber.mailbox);
        let key = known.unwrap_or_else(|| self.roster.add(subscriber));
        let known = self.roster.update(key, |subscriber| {
            subscriber.leaving = false;
            (subscriber.leads(), subscriber.working)
        });
        let (leads, working) = known.unwrap_or_default();
        // It has lost its state, and hears of the end first.
        if !leading || leads {
            self.follow(key, Reason::NotElected, leader, lock);
        }
        // One that subscribes again has restarted, and cannot vouch for what it had spawned before.
        self.clean &= !working || mutant!(RestartedSubscriberCountsAsAcknowledged);
    }

    /// Takes a subscriber out, at its own word that its work has stopped. That word cannot be about
    /// a message that it has not yet handled: of such a leadership it hears the end first.
    pub(super) fn unsubscribe(&mut self, unsubscribe: &Unsubscribe, lock: &WeakAddr<LockActor>) {
        let mailbox = MailboxId::of(&unsubscribe.follower);
        let Some(key) = self.roster.find(mailbox) else {
            return;
        };
        let waits = self.roster.update(key, |subscriber| {
            subscriber.leaving = subscriber.pending > 0 && !mutant!(UnsubscribedNotAwaited);
            subscriber.leaving.then_some(subscriber.leads())
        });
        match waits.flatten() {
            Some(true) => drop(self.follow(key, Reason::SteppedDown, None, lock)),
            Some(false) => {}
            None => drop(self.roster.remove(key)),
        }
    }

    /// Tells one that it follows: how its leadership has ended if it has yet to hear that, and this
    /// otherwise. False if it is dead.
    fn follow(
        &mut self,
        key: u64,
        reason: Reason,
        leader: Option<&CandidateId>,
        lock: &WeakAddr<LockActor>,
    ) -> bool {
        let now = self.clock.now();
        let told = self
            .roster
            .update(key, |subscriber| subscriber.tell_follower(now));
        let Some((address, token)) = told.flatten() else {
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
        self.replies.deliver(&address, message, key, lock);
        true
    }

    /// A leadership begins: what happened under the last one no longer counts.
    pub(super) fn became_leader(&mut self) {
        if mutant!(UncleanTermNotReset) {
            return;
        }
        self.clean = true;
    }

    /// A leadership has ended: everybody who was told of it is to be told so.
    pub(super) fn became_follower(&mut self, reason: Reason, leader: Option<CandidateId>) {
        self.ended = Some(End { reason, leader });
    }

    /// Allows the next portion to be heard, told and looked at.
    pub(super) fn begin_turn(&mut self) {
        self.tells_left = self.portion;
        self.looks_left = self.portion;
        self.messages_left = self.portion;
    }

    /// A message of a subscriber has come; whether it was the last of this turn.
    pub(super) fn took_message(&mut self) -> bool {
        self.messages_left = self.messages_left.saturating_sub(1);
        self.messages_left == 0
    }

    /// Whether the next portion waits for its turn.
    pub(super) fn has_more_to_do(&self, leads: bool) -> bool {
        self.has_more_to_tell() || (leads && self.roster.ready() > 0) || self.looked_at.is_some()
    }

    /// Whether some have yet to be told that a leadership has ended.
    pub(super) fn has_more_to_tell(&self) -> bool {
        self.ended.is_some()
    }

    /// Tells the next portion what it has to know: of the end of a leadership those who were told of
    /// it; then of the present leadership those who do not know of it, once they have acknowledged
    /// everything before.
    pub(super) fn tell(&mut self, leadership: Option<&Leadership>, lock: &WeakAddr<LockActor>) {
        self.tell_end(lock);
        let Some(leadership) = leadership.filter(|_| self.ended.is_none()) else {
            return;
        };
        while let Some(key) = self.roster.first_ready()
            && self.may_tell()
        {
            let token = leadership.token();
            let told = self
                .roster
                .update(key, |subscriber| subscriber.tell_leader(token));
            let Some(address) = told.flatten() else {
                self.bury(key);
                continue;
            };
            let leadership = leadership.clone();
            let message = BecameLeader { leadership };
            self.replies.deliver(&address, message, key, lock);
        }
    }

    fn tell_end(&mut self, lock: &WeakAddr<LockActor>) {
        if self.ended.is_none() {
            return;
        }
        while let Some(key) = self.roster.first_leading() {
            if !self.may_tell() {
                return;
            }
            if !self.follow(key, Reason::NotElected, None, lock) {
                // It has died at work, and can acknowledge no end.
                self.clean &= mutant!(DeadSubscriberCountsAsAcknowledged);
                self.roster.update(key, |subscriber| {
                    (subscriber.leads, subscriber.working) = (None, false);
                });
            }
        }
        self.ended = None;
    }

    fn may_tell(&mut self) -> bool {
        let may = self.tells_left > 0;
        self.tells_left = self.tells_left.saturating_sub(1);
        may
    }

    /// A subscriber has handled a message, or has died or restarted over it.
    pub(super) fn acknowledged(&mut self, message: &DeliveryEnded, lock: &WeakAddr<LockActor>) {
        let key = message.subscriber;
        let known = self.roster.update(key, |subscriber| {
            subscriber.acknowledged(message.message);
            (subscriber.leads(), subscriber.working)
        });
        let (leads, working) = known.unwrap_or_default();
        if !message.handled && working {
            // Work that it spawned may run on; and if it lives, it no longer knows that it leads.
            self.clean &= mutant!(RestartedSubscriberCountsAsAcknowledged);
            if leads {
                self.follow(key, Reason::NotElected, None, lock);
            }
        }
        let gone = self.roster.update(key, |subscriber| {
            subscriber.working &= subscriber.leads() || subscriber.pending > 0;
            subscriber.leaving && subscriber.pending == 0
        });
        if gone == Some(true) {
            self.roster.remove(key);
        }
    }

    /// The facts outlive a restart of the lock; but for faults there is nothing to do.
    pub(super) fn restarted(&mut self) {
        if !mutant!(RestartForgetsDeliveries) && !mutant!(RestartForgetsUnacknowledged) {
            return;
        }
        let mut next = self.roster.after(0);
        while let Some(key) = next {
            self.roster.update(key, |subscriber| {
                if mutant!(RestartForgetsDeliveries) {
                    subscriber.leads = None;
                } else {
                    subscriber.pending = 0;
                }
            });
            next = self.roster.after(key);
        }
    }

    /// When those who owe an acknowledgement are to be looked at, if any do: an actor that dies does
    /// not always let go of the answer that it owes.
    pub(super) fn look_at(&self) -> Option<Moment> {
        (self.unacknowledged() > 0).then_some(self.next_look)
    }

    /// Looks for subscribers who have died and takes them out: for a few each time, for many once in a
    /// while and in portions.
    pub(super) fn look(&mut self, every: Duration, now: Moment) {
        let is_due = self.next_look <= now;
        let few = self.roster.len() <= self.looks_left;
        if self.looked_at.is_none() && (is_due || few) {
            self.looked_at = Some(0);
        }
        while let Some(last) = self.looked_at {
            let Some(key) = self.roster.after(last) else {
                self.looked_at = None;
                if is_due {
                    self.next_look = now + every;
                }
                return;
            };
            if self.looks_left == 0 {
                return;
            }
            self.looks_left -= 1;
            self.looked_at = Some(key);
            self.look_for(key, every, now);
        }
    }

    /// Of one that owes an acknowledgement, that may be on its way: only when it has been dead for a
    /// while is nothing more expected from it.
    fn look_for(&mut self, key: u64, patience: Duration, now: Moment) {
        let Some(subscriber) = self.roster.get(key) else {
            return;
        };
        let dead_since = (!subscriber.is_alive()).then(|| subscriber.dead_since.unwrap_or(now));
        let Some(since) = dead_since else {
            return;
        };
        if subscriber.pending == 0 || since + patience <= now {
            self.bury(key);
        } else {
            self.roster
                .update(key, |subscriber| subscriber.dead_since = dead_since);
        }
    }

    /// Takes out one that has died. If it died at work, it leaves something behind that nobody can
    /// vouch for.
    fn bury(&mut self, key: u64) {
        if let Some(subscriber) = self.roster.remove(key) {
            self.clean &= !subscriber.working || mutant!(DeadSubscriberCountsAsAcknowledged);
        }
    }
}
