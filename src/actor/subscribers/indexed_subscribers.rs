use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound::{Excluded, Unbounded},
};

use super::{MailboxId, Subscriber};
use crate::clock::Moment;

/// All subscribers, indexed for each question that is asked of them. Each answer and each change takes at
/// most logarithmic time in their number.
#[derive(Debug, Default)]
pub(super) struct IndexedSubscribers {
    /// By key: the order in which they subscribed.
    by_key: BTreeMap<u64, Subscriber>,
    by_mailbox: HashMap<MailboxId, u64>,
    leading: BTreeSet<u64>,
    untold: BTreeSet<u64>,
    ready: BTreeSet<u64>,
    awaited: BTreeSet<(Moment, u64)>,
    present: usize,
    unacknowledged: usize,
    idle_leaders: usize,
    last_key: u64,
}

/// Which of the indexes a subscriber is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct IndexMembership {
    leading: bool,
    untold: bool,
    ready: bool,
    present: bool,
    unacknowledged: bool,
    idle_leader: bool,
    awaited_since: Option<Moment>,
}

impl IndexMembership {
    fn of(subscriber: &Subscriber) -> Self {
        let leading = subscriber.leads();
        let unacknowledged = subscriber.pending > 0;
        let mut may_be_sent = !unacknowledged;
        if mutant!(LeaderToldBeforeOwnAcknowledgement) {
            may_be_sent = true;
        }
        Self {
            leading,
            untold: !subscriber.told,
            ready: !leading && may_be_sent && !subscriber.leaving,
            present: !subscriber.leaving,
            unacknowledged,
            idle_leader: leading && !unacknowledged,
            awaited_since: subscriber.awaited_since,
        }
    }
}

impl IndexedSubscribers {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// How many are subscribed and have not asked to leave.
    pub(super) fn present(&self) -> usize {
        self.present
    }

    /// How many have messages to acknowledge.
    pub(super) fn unacknowledged(&self) -> usize {
        self.unacknowledged
    }

    /// How many lead and have acknowledged all messages.
    pub(super) fn idle_leaders(&self) -> usize {
        self.idle_leaders
    }

    /// The first subscriber whose last message was `BecameLeader`.
    pub(super) fn first_leading(&self) -> Option<u64> {
        self.leading.first().copied()
    }

    /// The first subscriber that was sent no message.
    pub(super) fn first_untold(&self) -> Option<u64> {
        self.untold.first().copied()
    }

    /// How many may be sent a `BecameLeader`.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// The first that may be sent a `BecameLeader`: it does not lead, and has acknowledged everything.
    pub(super) fn first_ready(&self) -> Option<u64> {
        self.ready.first().copied()
    }

    /// The subscriber whose acknowledgement has been awaited longest, and since when.
    pub(super) fn longest_awaited(&self) -> Option<(&Subscriber, Moment)> {
        let (since, key) = self.awaited.first()?;
        Some((self.get(*key)?, *since))
    }

    pub(super) fn newest(&self) -> Option<&Subscriber> {
        self.by_key.values().next_back()
    }

    /// The first that subscribed after `key`.
    pub(super) fn after(&self, key: u64) -> Option<u64> {
        let mut after = self.by_key.range((Excluded(key), Unbounded));
        after.next().map(|(key, _)| *key)
    }

    pub(super) fn find(&self, mailbox: MailboxId) -> Option<u64> {
        self.by_mailbox.get(&mailbox).copied()
    }

    pub(super) fn get(&self, key: u64) -> Option<&Subscriber> {
        self.by_key.get(&key)
    }

    pub(super) fn add(&mut self, subscriber: Subscriber) -> u64 {
        self.last_key += 1;
        let key = self.last_key;
        self.by_mailbox.insert(subscriber.mailbox, key);
        self.insert_entry(key, IndexMembership::of(&subscriber));
        self.by_key.insert(key, subscriber);
        key
    }

    /// Changes a subscriber and updates the indexes. `None` if there is no such subscriber.
    pub(super) fn update<T>(
        &mut self,
        key: u64,
        change: impl FnOnce(&mut Subscriber) -> T,
    ) -> Option<T> {
        let subscriber = self.by_key.get_mut(&key)?;
        let before = IndexMembership::of(subscriber);
        let changed = change(subscriber);
        let after = IndexMembership::of(subscriber);
        if before != after {
            self.remove_entry(key, before);
            self.insert_entry(key, after);
        }
        Some(changed)
    }

    pub(super) fn remove(&mut self, key: u64) -> Option<Subscriber> {
        let subscriber = self.by_key.remove(&key)?;
        self.by_mailbox.remove(&subscriber.mailbox);
        self.remove_entry(key, IndexMembership::of(&subscriber));
        Some(subscriber)
    }

    fn insert_entry(&mut self, key: u64, entry: IndexMembership) {
        if entry.leading {
            self.leading.insert(key);
        }
        if entry.untold {
            self.untold.insert(key);
        }
        if entry.ready {
            self.ready.insert(key);
        }
        if let Some(since) = entry.awaited_since {
            self.awaited.insert((since, key));
        }
        self.present += usize::from(entry.present);
        self.unacknowledged += usize::from(entry.unacknowledged);
        self.idle_leaders += usize::from(entry.idle_leader);
    }

    fn remove_entry(&mut self, key: u64, entry: IndexMembership) {
        if entry.leading {
            self.leading.remove(&key);
        }
        if entry.untold {
            self.untold.remove(&key);
        }
        if entry.ready {
            self.ready.remove(&key);
        }
        if let Some(since) = entry.awaited_since {
            self.awaited.remove(&(since, key));
        }
        self.present -= usize::from(entry.present);
        self.unacknowledged -= usize::from(entry.unacknowledged);
        self.idle_leaders -= usize::from(entry.idle_leader);
    }
}
