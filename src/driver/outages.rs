mod outage;

use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use self::outage::{Outage, OutageReport};
use crate::{
    clock::Moment,
    duration::human,
    election::Config,
    lease::ResourceName,
    store::{LeaseStore, StoreError, StoreErrorKind, WithCauses},
};

/// The outages of this process. All locks of a store share one outage, so that the log has one line for each
/// store instead of one for each lock.
static OUTAGES: LazyLock<Mutex<HashMap<OutageKey, Outage>>> = LazyLock::new(Mutex::default);

fn outages() -> MutexGuard<'static, HashMap<OutageKey, Outage>> {
    OUTAGES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What fails: a store, or one record of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct OutageKey {
    /// The address of the store.
    store: usize,
    resource: Option<ResourceName>,
}

impl OutageKey {
    fn new(store: &Arc<dyn LeaseStore>, resource: Option<&ResourceName>) -> Self {
        Self {
            store: Arc::as_ptr(store).cast::<()>().addr(),
            resource: resource.cloned(),
        }
    }
}

/// Whether an error of this kind concerns only one record.
fn concerns_one_record(kind: StoreErrorKind) -> bool {
    use StoreErrorKind::{Corrupt, Unsupported};
    matches!(kind, Corrupt | Unsupported)
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
        let resource = concerns_one_record(kind).then_some(resource);
        Self {
            key: OutageKey::new(store, resource),
            lock: LAST.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Whether an error of this kind belongs to the same outage.
    pub(super) fn covers(&self, kind: StoreErrorKind) -> bool {
        self.key.resource.is_some() == concerns_one_record(kind)
    }

    /// Logs the failure of a request that was sent at `sent_at`, if it is the first of its outage, the first
    /// of its kind, or the first for a minute.
    pub(super) fn failed(
        &self,
        store: &Arc<dyn LeaseStore>,
        error: &StoreError,
        config: &Config,
        sent_at: Moment,
        now: Moment,
    ) {
        // A lock that contends sends its next request within a ttl, and waits for the reply for up to a ttl.
        let next_within = config.timing.ttl() * 2;
        let (past, report) = {
            let mut outages = outages();
            let known = outages.get_mut(&self.key);
            let is_past = known.is_some_and(|outage| outage.is_past(now));
            let past = is_past.then(|| outages.remove(&self.key)).flatten();
            if !outages.contains_key(&self.key) {
                self.remove_past_outages(&mut outages, now);
            }
            let outage = outages.entry(self.key.clone());
            let outage = outage.or_insert_with(|| Outage::new(store, sent_at, now));
            let report = outage.failed(self.lock, next_within, error.kind(), now);
            (past, report)
        };
        if let Some(past) = past {
            log_recovery(&past, &**store, config);
        }
        log_failure(&report, error, config);
    }

    /// Removes the outages that are forgotten, so that they do not pile up. Other stores may have another
    /// clock, so theirs are removed only when the store is gone.
    fn remove_past_outages(&self, outages: &mut HashMap<OutageKey, Outage>, now: Moment) {
        outages.retain(|key, outage| {
            let same_store = key.store == self.key.store;
            outage.has_store() && !(same_store && outage.is_forgotten(now))
        });
    }
}

impl Drop for OutageMembership {
    fn drop(&mut self) {
        if let Some(outage) = outages().get_mut(&self.key) {
            outage.leave(self.lock);
        }
    }
}

/// A lock has an answer. Logs the end of the outage, also of one that it does not take part in, if no other
/// lock does.
pub(super) fn answered(
    store: &Arc<dyn LeaseStore>,
    membership: Option<OutageMembership>,
    config: &Config,
    now: Moment,
) {
    let over = {
        let mut outages = outages();
        if outages.is_empty() {
            return;
        }
        let lock = membership.as_ref().map(|membership| membership.lock);
        [None, Some(&config.resource)].map(|resource| {
            let key = OutageKey::new(store, resource);
            let outage = outages.get_mut(&key)?;
            outage.answered(lock, now);
            if !outage.is_over() {
                return None;
            }
            outages.remove(&key)
        })
    };
    for outage in over.iter().flatten() {
        log_recovery(outage, &**store, config);
    }
}

fn log_failure(report: &OutageReport, error: &StoreError, config: &Config) {
    match *report {
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

/// Logs the end of an outage, unless it was forgotten without an answer.
fn log_recovery(outage: &Outage, store: &dyn LeaseStore, config: &Config) {
    if let Some(answered_at) = outage.answered_at {
        lock_event!(
            info,
            "tenure.store_recovered",
            config,
            store = store.kind(),
            failures = outage.failures,
            failing_for = %human(outage.since.until(answered_at)),
            "the store answers again"
        );
    }
}

#[cfg(test)]
mod tests;
