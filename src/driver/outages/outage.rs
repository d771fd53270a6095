use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use crate::{
    clock::Moment,
    store::{LeaseStore, StoreErrorKind},
};

/// How often an outage that goes on is logged again, and how long it is at least remembered.
const REMIND_EVERY: Duration = Duration::from_secs(60);
/// How often an outage forgets the locks that no longer send requests.
const PRUNE_EVERY: Duration = Duration::from_secs(1);

/// An outage. It lasts until every lock that it concerns has an answer again.
///
/// The lock of one call, for instance `try_lock`, ends while the store still fails. So an outage that concerns
/// no lock is remembered for a while: the next failure joins it, and the next answer ends it.
#[derive(Debug)]
pub(super) struct Outage {
    /// While this exists, no other store gets the address of this one.
    store: Weak<dyn LeaseStore>,
    /// When the first request that failed was sent.
    pub(super) since: Moment,
    /// When it was last logged.
    logged_at: Moment,
    pruned_at: Moment,
    /// The kinds of errors that were logged.
    kinds: Vec<StoreErrorKind>,
    pub(super) failures: u64,
    /// When the last answer came; `None` if a request has failed since.
    pub(super) answered_at: Option<Moment>,
    /// Until when it is remembered if no other request fails.
    kept_until: Moment,
    /// The locks that it concerns, and until when each counts if it reports no other failure. A paused lock
    /// sends no requests, so it reports neither a failure nor an answer.
    locks: HashMap<u64, Moment>,
}

/// What is logged of a failure.
pub(super) enum OutageReport {
    Nothing,
    Failing { failing_for: Duration },
    StillFailing { failing_for: Duration, locks: usize },
}

impl Outage {
    pub(super) fn new(store: &Arc<dyn LeaseStore>, since: Moment, now: Moment) -> Self {
        Self {
            store: Arc::downgrade(store),
            since,
            logged_at: now,
            pruned_at: now,
            kinds: Vec::new(),
            failures: 0,
            answered_at: None,
            kept_until: now,
            locks: HashMap::new(),
        }
    }

    /// Records a failure of a lock, which sends its next request within `next_within`.
    pub(super) fn failed(
        &mut self,
        lock: u64,
        next_within: Duration,
        kind: StoreErrorKind,
        now: Moment,
    ) -> OutageReport {
        self.failures += 1;
        self.answered_at = None;
        self.locks.insert(lock, now + next_within);
        self.kept_until = self.kept_until.max(now + next_within.max(REMIND_EVERY));
        let failing_for = self.since.until(now);
        if !self.kinds.contains(&kind) {
            self.kinds.push(kind);
            self.logged_at = now;
            return OutageReport::Failing { failing_for };
        }
        if now < self.logged_at + REMIND_EVERY {
            return OutageReport::Nothing;
        }
        self.logged_at = now;
        self.prune(now);
        OutageReport::StillFailing {
            failing_for,
            locks: self.locks.len(),
        }
    }

    /// Records that a lock, which need not take part in the outage, has an answer.
    pub(super) fn answered(&mut self, lock: Option<u64>, now: Moment) {
        self.answered_at = Some(now);
        if let Some(lock) = lock {
            self.leave(lock);
        }
        self.prune_if_due(now);
    }

    /// Removes a lock that sends no more requests.
    pub(super) fn leave(&mut self, lock: u64) {
        self.locks.remove(&lock);
    }

    /// Whether the store has answered, and no lock waits for an answer.
    pub(super) fn is_over(&self) -> bool {
        self.answered_at.is_some() && self.locks.is_empty()
    }

    /// Whether a failure now belongs to another outage.
    pub(super) fn is_past(&mut self, now: Moment) -> bool {
        self.prune_if_due(now);
        self.is_over() || self.is_forgotten(now)
    }

    pub(super) fn is_forgotten(&self, now: Moment) -> bool {
        self.kept_until <= now
    }

    /// Whether a lock could still join it.
    pub(super) fn has_store(&self) -> bool {
        self.store.strong_count() > 0
    }

    fn prune_if_due(&mut self, now: Moment) {
        if self.pruned_at + PRUNE_EVERY <= now {
            self.prune(now);
        }
    }

    fn prune(&mut self, now: Moment) {
        self.pruned_at = now;
        self.locks.retain(|_, until| now < *until);
    }
}
