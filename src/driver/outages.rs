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

/// How often an outage that goes on is logged again.
const REMIND_EVERY: Duration = Duration::from_secs(60);
/// How often an outage forgets the locks that no longer send requests.
const PRUNE_EVERY: Duration = Duration::from_secs(1);

/// The outages of this process. All locks of a store share one outage, so that the log has one line for each
/// store instead of one for each lock.
static OUTAGES: LazyLock<Mutex<HashMap<OutageKey, Outage>>> = LazyLock::new(Mutex::default);

fn outages() -> MutexGuard<'static, HashMap<OutageKey, Outage>> {
    OUTAGES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What fails: a store, or one record of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct OutageKey {
    /// The address of the store. A lock that takes part in the outage keeps the store alive.
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

/// An outage. It lasts until every lock that it concerns has an answer again.
#[derive(Debug)]
struct Outage {
    /// When the first request that failed was sent.
    since: Moment,
    /// When it was last logged.
    logged_at: Moment,
    pruned_at: Moment,
    /// The kinds of errors that were logged.
    kinds: Vec<StoreErrorKind>,
    failures: u64,
    /// The locks that it concerns, and until when each counts if it reports no other failure. A paused lock
    /// sends no requests, so it reports neither a failure nor an answer.
    locks: HashMap<u64, Moment>,
}

/// What is logged of a failure.
enum OutageReport {
    Nothing,
    Failing { failing_for: Duration },
    StillFailing { failing_for: Duration, locks: usize },
}

impl Outage {
    fn new(since: Moment, now: Moment) -> Self {
        Self {
            since,
            logged_at: now,
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

    fn prune(&mut self, now: Moment) {
        self.pruned_at = now;
        self.locks.retain(|_, until| now < *until);
    }

    /// Removes this lock. Returns true if the outage concerns no other lock.
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
pub(super) struct OutageMembership {
    key: OutageKey,
    lock: u64,
}

impl OutageMembership {
    /// Makes a lock take part in the outage of its store.
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

    /// Whether an error of this kind belongs to the same outage.
    pub(super) fn covers(&self, kind: StoreErrorKind) -> bool {
        use StoreErrorKind::{Corrupt, Unsupported};
        self.key.resource.is_some() == matches!(kind, Corrupt | Unsupported)
    }

    /// Logs the failure of a request that was sent at `sent_at`, if it is the first of its outage, the first
    /// of its kind, or the first for a minute.
    pub(super) fn failed(&self, error: &StoreError, config: &Config, sent_at: Moment, now: Moment) {
        // A lock that contends sends its next request within a ttl, and waits for the reply for up to a ttl.
        let until = now + config.timing.ttl() * 2;
        let report = outages()
            .entry(self.key.clone())
            .or_insert_with(|| Outage::new(sent_at, now))
            .failed(self.lock, until, error.kind(), now);
        match report {
            OutageReport::Nothing => {}
            OutageReport::Failing { failing_for } => lock_event!(
                warn,
                "tenure.store_failing",
                config,
                store = error.store(),
                kind = %error.kind(),
                error = %WithCauses(error),
                failing_for = %human(failing_for),
                "the store has been failing for {}; the request is repeated",
                human(failing_for)
            ),
            OutageReport::StillFailing { failing_for, locks } => lock_event!(
                warn,
                "tenure.store_still_failing",
                config,
                store = error.store(),
                kind = %error.kind(),
                error = %WithCauses(error),
                failing_for = %human(failing_for),
                locks,
                "the store has been failing for {}, which concerns {locks} {} of this process",
                human(failing_for),
                if locks == 1 { "lock" } else { "locks" }
            ),
        }
    }

    /// The lock has an answer. Logs the end of the outage if no other lock takes part in it.
    pub(super) fn recovered(self, store: &dyn LeaseStore, config: &Config, now: Moment) {
        let over = {
            let mut outages = outages();
            let outage = outages.get_mut(&self.key);
            let is_over = outage.is_some_and(|outage| outage.is_over_without(self.lock, now));
            is_over.then(|| outages.remove(&self.key)).flatten()
        };
        if let Some(outage) = over {
            lock_event!(
                info,
                "tenure.store_recovered",
                config,
                store = store.kind(),
                failures = outage.failures,
                failing_for = %human(outage.since.until(now)),
                "the store answers again"
            );
        }
    }
}

impl Drop for OutageMembership {
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
