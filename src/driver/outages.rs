use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    clock::Moment,
    duration::human,
    election::Config,
    lease::ResourceName,
    store::{LeaseStore, StoreError, StoreErrorKind, WithCauses},
};

/// How often the log is reminded of an outage.
const REMIND_EVERY: Duration = Duration::from_secs(60);
/// How often locks that no longer send requests are removed.
const PRUNE_EVERY: Duration = Duration::from_secs(1);

/// The outages of this process. A store has one, however many locks it concerns, so that the log has one
/// line of each store and not one of each lock.
static OUTAGES: LazyLock<Mutex<HashMap<OutageKey, Outage>>> = LazyLock::new(Mutex::default);

fn outages() -> MutexGuard<'static, HashMap<OutageKey, Outage>> {
    OUTAGES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What fails: a store, or one record of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct OutageKey {
    /// The address of the store, which stays alive as long as a lock fails on it.
    store: usize,
    resource: Option<ResourceName>,
}

impl OutageKey {
    fn new(store: &Arc<dyn LeaseStore>, kind: StoreErrorKind, resource: &ResourceName) -> Self {
        use StoreErrorKind::{Corrupt, Unsupported};
        Self {
            store: Arc::as_ptr(store).cast::<()>().addr(),
            resource: matches!(kind, Corrupt | Unsupported).then(|| resource.clone()),
        }
    }
}

/// An outage, from the first request that failed until all locks that it concerns have an answer again.
#[derive(Debug)]
struct Outage {
    since: Moment,
    /// When the log was last told of it.
    told_at: Moment,
    pruned_at: Moment,
    /// The kinds of errors that the log was told of.
    kinds: Vec<StoreErrorKind>,
    failures: u64,
    /// The locks that it concerns, and until when each counts without another failure: one that is
    /// paused asks no more, and will not say that it has an answer.
    locks: HashMap<u64, Moment>,
}

/// What the log is told of a failure.
enum OutageReport {
    Nothing,
    Failing,
    StillFailing { failing_for: Duration, locks: usize },
}

impl Outage {
    fn new(now: Moment) -> Self {
        Self {
            since: now,
            told_at: now,
            pruned_at: now,
            kinds: Vec::new(),
            failures: 0,
            locks: HashMap::new(),
        }
    }

    fn failed(
        &mut self,
        lock: u64,
        until: Moment,
        kind: StoreErrorKind,
        now: Moment,
    ) -> OutageReport {
        self.failures += 1;
        self.locks.insert(lock, until);
        if !self.kinds.contains(&kind) {
            self.kinds.push(kind);
            self.told_at = now;
            return OutageReport::Failing;
        }
        if now < self.told_at + REMIND_EVERY {
            return OutageReport::Nothing;
        }
        self.told_at = now;
        self.prune(now);
        OutageReport::StillFailing {
            failing_for: self.since.until(now),
            locks: self.locks.len(),
        }
    }

    fn prune(&mut self, now: Moment) {
        self.pruned_at = now;
        self.locks.retain(|_, until| now < *until);
    }

    /// Removes this lock; true if the outage concerns no other.
    fn is_over_without(&mut self, lock: u64, now: Moment) -> bool {
        self.locks.remove(&lock);
        if self.pruned_at + PRUNE_EVERY <= now {
            self.prune(now);
        }
        self.locks.is_empty()
    }
}

/// One lock's membership in an outage. Dropping it ends the membership.
#[derive(Debug)]
pub(super) struct Concerned {
    key: OutageKey,
    lock: u64,
}

impl Concerned {
    /// Takes part in the outage of a store from now on.
    pub(super) fn new(
        store: &Arc<dyn LeaseStore>,
        kind: StoreErrorKind,
        resource: &ResourceName,
    ) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self {
            key: OutageKey::new(store, kind, resource),
            lock: LAST.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Whether an error of this kind is of the same outage.
    pub(super) fn covers(&self, kind: StoreErrorKind) -> bool {
        use StoreErrorKind::{Corrupt, Unsupported};
        self.key.resource.is_some() == matches!(kind, Corrupt | Unsupported)
    }

    /// Tells the log of a failure, if it is the first of its outage, the first of its kind, or the
    /// first for a minute.
    pub(super) fn failed(&self, error: &StoreError, config: &Config, now: Moment) {
        // A lock that asks does so within a ttl, and an answer takes no longer.
        let until = now + config.timing.ttl() * 2;
        let told = outages()
            .entry(self.key.clone())
            .or_insert_with(|| Outage::new(now))
            .failed(self.lock, until, error.kind(), now);
        match told {
            OutageReport::Nothing => {}
            OutageReport::Failing => event!(
                warn,
                "tenure.store_failing",
                resource = %config.resource,
                candidate = %config.candidate,
                store = error.store(),
                kind = %error.kind(),
                error = %WithCauses(error),
                "the store does not answer as it should; it is asked again"
            ),
            OutageReport::StillFailing { failing_for, locks } => event!(
                warn,
                "tenure.store_still_failing",
                resource = %config.resource,
                candidate = %config.candidate,
                store = error.store(),
                kind = %error.kind(),
                error = %WithCauses(error),
                failing_for = %human(failing_for),
                locks,
                "the store has not answered as it should for {}, which concerns {locks} lock(s) of this \
                 process",
                human(failing_for)
            ),
        }
    }

    /// The lock has an answer. Tells the log if it was the last that had none.
    pub(super) fn recovered(self, store: &dyn LeaseStore, config: &Config, now: Moment) {
        let over = {
            let mut outages = outages();
            let outage = outages.get_mut(&self.key);
            let is_over = outage.is_some_and(|outage| outage.is_over_without(self.lock, now));
            is_over.then(|| outages.remove(&self.key)).flatten()
        };
        if let Some(outage) = over {
            event!(
                info,
                "tenure.store_recovered",
                resource = %config.resource,
                candidate = %config.candidate,
                store = store.kind(),
                failures = outage.failures,
                failing_for = %human(outage.since.until(now)),
                "the store answers again"
            );
        }
    }
}

impl Drop for Concerned {
    fn drop(&mut self) {
        let mut outages = outages();
        if let Some(outage) = outages.get_mut(&self.key) {
            outage.locks.remove(&self.lock);
            if outage.locks.is_empty() {
                outages.remove(&self.key);
            }
        }
    }
}
