use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound::{Excluded, Unbounded},
};

use super::{MailboxId, Subscriber};
use crate::clock::Moment;

/// All subscribers, with an index for each question that is asked of them: no answer takes longer
/// than the logarithm of their number.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// By key, which is the order in which they came.
    by_key: BTreeMap<u64, Subscriber>,
    by_mailbox: HashMap<MailboxId, u64>,
    leading: BTreeSet<u64>,
    ready: BTreeSet<u64>,
    awaited: BTreeSet<(Moment, u64)>,
    present: usize,
    unacknowledged: usize,
    quiet_leaders: usize,
    last_key: u64,
}

/// The indexes that a subscriber belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    leading: bool,
    ready: bool,
    present: bool,
    unacknowledged: bool,
    quiet_leader: bool,
    awaited_since: Option<Moment>,
}

impl Standing {
    fn of(subscriber: &Subscriber) -> Self {
        let leading = subscriber.leads();
        let unacknowledged = subscriber.pending > 0;
        let may_be_told = !unacknowledged || mutant!(LeaderToldBeforeOwnAcknowledgement);
        Self {
            leading,
            ready: !leading && may_be_told && !subscriber.leaving,
            present: !subscriber.leaving,
            unacknowledged,
            quiet_leader: leading && !unacknowledged,
            awaited_since: subscriber.awaited_since,
        }
    }
}

impl Roster {
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

    /// How many have acknowledged that they lead, and were not yet told that they follow.
    pub(super) fn quiet_leaders(&self) -> usize {
        self.quiet_leaders
    }

    /// The first that was told that it leads, and not yet that it follows.
    pub(super) fn first_leading(&self) -> Option<u64> {
        self.leading.first().copied()
    }

    /// How many may be told of a leadership.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// The first that may be told of a leadership: it knows of none, and has acknowledged everything.
    pub(super) fn first_ready(&self) -> Option<u64> {
        self.ready.first().copied()
    }

    /// The one whose acknowledgement has been waited for longest, and since when.
    pub(super) fn longest_awaited(&self) -> Option<(&Subscriber, Moment)> {
        let (since, key) = self.awaited.first()?;
        Some((self.get(*key)?, *since))
    }

    pub(super) fn newest(&self) -> Option<&Subscriber> {
        self.by_key.values().next_back()
    }

    /// The first that came after `key`.
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
        self.enter(key, Standing::of(&subscriber));
        self.by_key.insert(key, subscriber);
        key
    }

    /// Changes a subscriber and keeps the indexes true. `None` if there is no such subscriber.
    pub(super) fn update<T>(
        &mut self,
        key: u64,
        change: impl FnOnce(&mut Subscriber) -> T,
    ) -> Option<T> {
        let subscriber = self.by_key.get_mut(&key)?;
        let before = Standing::of(subscriber);
        let changed = change(subscriber);
        let after = Standing::of(subscriber);
        if before != after {
            self.leave(key, before);
            self.enter(key, after);
        }
        Some(changed)
    }

    pub(super) fn remove(&mut self, key: u64) -> Option<Subscriber> {
        let subscriber = self.by_key.remove(&key)?;
        self.by_mailbox.remove(&subscriber.mailbox);
        self.leave(key, Standing::of(&subscriber));
        Some(subscriber)
    }

    fn enter(&mut self, key: u64, standing: Standing) {
        if standing.leading {
            self.leading.insert(key);
        }
        if standing.ready {
            self.ready.insert(key);
        }
        if let Some(since) = standing.awaited_since {
            self.awaited.insert((since, key));
        }
        self.present += usize::from(standing.present);
        self.unacknowledged += usize::from(standing.unacknowledged);
        self.quiet_leaders += usize::from(standing.quiet_leader);
    }

    fn leave(&mut self, key: u64, standing: Standing) {
        if standing.leading {
            self.leading.remove(&key);
        }
        if standing.ready {
            self.ready.remove(&key);
        }
        if let Some(since) = standing.awaited_since {
            self.awaited.remove(&(since, key));
        }
        self.present -= usize::from(standing.present);
        self.unacknowledged -= usize::from(standing.unacknowledged);
        self.quiet_leaders -= usize::from(standing.quiet_leader);
    }
}
