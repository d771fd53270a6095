use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound::{Excluded, Unbounded},
};

use actix::{Recipient, WeakRecipient};

use crate::actor::{LeaderChanged, mailbox_id::MailboxId};

/// How many observers one delivery checks.
const CHECKS: usize = 16;

/// The actors that are sent each change of leader. Each step takes at most logarithmic time in their number,
/// except [`each`](Self::each), which sends to all of them.
#[derive(Debug, Default)]
pub(super) struct Observers {
    /// By key: the order in which they began to observe.
    by_key: BTreeMap<u64, Observer>,
    by_mailbox: HashMap<MailboxId, u64>,
    last_key: u64,
    last_checked: u64,
}

#[derive(Debug)]
struct Observer {
    mailbox: MailboxId,
    address: WeakRecipient<LeaderChanged>,
}

impl Observers {
    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Adds an observer, unless it observes already.
    pub(super) fn add(&mut self, recipient: &Recipient<LeaderChanged>) {
        let mailbox = MailboxId::of(recipient);
        if self.by_mailbox.contains_key(&mailbox) {
            return;
        }
        self.last_key += 1;
        self.by_mailbox.insert(mailbox, self.last_key);
        let address = recipient.downgrade();
        let observer = Observer { mailbox, address };
        self.by_key.insert(self.last_key, observer);
    }

    /// Those that are alive.
    pub(super) fn each(&self) -> impl Iterator<Item = Recipient<LeaderChanged>> {
        self.by_key.values().filter_map(Observer::alive)
    }

    /// Checks the next few in turn, and removes those that have died.
    pub(super) fn remove_dead(&mut self) {
        for _ in 0..self.by_key.len().min(CHECKS) {
            let next = self.after(self.last_checked).or_else(|| self.after(0));
            let Some(key) = next else {
                return;
            };
            self.last_checked = key;
            if self.by_key[&key].alive().is_none() {
                self.remove(key);
            }
        }
    }

    fn after(&self, key: u64) -> Option<u64> {
        let mut after = self.by_key.range((Excluded(key), Unbounded));
        after.next().map(|(key, _)| *key)
    }

    fn remove(&mut self, key: u64) {
        if let Some(observer) = self.by_key.remove(&key) {
            self.by_mailbox.remove(&observer.mailbox);
        }
    }
}

impl Observer {
    fn alive(&self) -> Option<Recipient<LeaderChanged>> {
        self.address.upgrade().filter(Recipient::connected)
    }
}

#[cfg(test)]
mod tests {
    use actix::{Actor, Addr, Context, Handler, System, WeakAddr};

    use super::*;

    struct Idle;

    impl Actor for Idle {
        type Context = Context<Self>;
    }

    impl Handler<LeaderChanged> for Idle {
        type Result = ();
        fn handle(&mut self, _: LeaderChanged, _: &mut Context<Self>) {}
    }

    fn observe(observers: &mut Observers) -> Addr<Idle> {
        let actor = Idle.start();
        observers.add(&actor.clone().recipient());
        actor
    }

    /// Drops the last addresses of these actors, and waits until all have stopped.
    async fn stop(actors: Vec<Addr<Idle>>) {
        let stopping: Vec<_> = actors.iter().map(Addr::downgrade).collect();
        drop(actors);
        let runs = |actor: &WeakAddr<Idle>| actor.upgrade().is_some_and(|it| it.connected());
        while stopping.iter().any(runs) {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn an_actor_that_observes_twice_is_told_once() {
        System::new().block_on(async {
            let mut observers = Observers::default();
            let first = observe(&mut observers);
            let _second = observe(&mut observers);
            observers.add(&first.recipient());
            assert_eq!(observers.each().count(), 2);
        });
    }

    #[test]
    fn one_delivery_checks_a_few_observers_and_all_dead_ones_are_removed_in_turn() {
        System::new().block_on(async {
            let mut observers = Observers::default();
            let dead: Vec<_> = (0..5 * CHECKS).map(|_| observe(&mut observers)).collect();
            let alive = observe(&mut observers);
            stop(dead).await;
            observers.remove_dead();
            assert_eq!(observers.by_key.len(), 4 * CHECKS + 1);
            for _ in 0..4 {
                observers.remove_dead();
            }
            assert_eq!(observers.by_key.len(), 1);
            assert_eq!(observers.by_mailbox.len(), 1);
            stop(vec![alive]).await;
            observers.remove_dead();
            assert!(observers.is_empty());
        });
    }
}
