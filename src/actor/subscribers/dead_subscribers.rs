use std::time::Duration;

use super::Subscribers;
use crate::clock::Moment;

impl Subscribers {
    /// When to check the subscribers that must acknowledge, if there are any. An actor that dies does not
    /// always drop the reply that it owes.
    pub(in crate::actor) fn check_at(&self) -> Option<Moment> {
        (self.unacknowledged() > 0).then_some(self.next_check)
    }

    /// Removes subscribers that have died. If there are few, it checks all of them each time; if there are
    /// many, every `every`, in batches.
    pub(in crate::actor) fn check_alive(&mut self, every: Duration, now: Moment) {
        let is_due = self.next_check <= now;
        let few = self.index.len() <= self.checks_left;
        if self.last_checked.is_none() && (is_due || few) {
            self.last_checked = Some(0);
        }
        while let Some(last) = self.last_checked {
            let Some(key) = self.index.after(last) else {
                self.last_checked = None;
                if is_due {
                    self.next_check = now + every;
                }
                return;
            };
            if self.checks_left == 0 {
                return;
            }
            self.checks_left -= 1;
            self.last_checked = Some(key);
            self.check_one(key, every, now);
        }
    }

    /// Removes one subscriber if it is dead. If it must acknowledge, the acknowledgement may be on its way:
    /// then only when it has been dead for `wait_for`.
    fn check_one(&mut self, key: u64, wait_for: Duration, now: Moment) {
        let Some(subscriber) = self.index.get(key) else {
            return;
        };
        let dead_since = (!subscriber.is_alive()).then(|| subscriber.dead_since.unwrap_or(now));
        let Some(since) = dead_since else {
            return;
        };
        if subscriber.pending == 0 || since + wait_for <= now {
            self.remove_dead(key);
        } else {
            self.index
                .update(key, |subscriber| subscriber.dead_since = dead_since);
        }
    }

    /// Removes a subscriber that has died. If it died while it led, work that it spawned may still run.
    pub(super) fn remove_dead(&mut self, key: u64) {
        let removed = self.index.remove(key);
        if removed.is_some_and(|subscriber| subscriber.working) {
            self.died_at_work();
        }
    }
}
