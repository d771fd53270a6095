use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

use rand::RngExt as _;

/// How much longer the current request may wait for other connections. The busy handler shares it.
///
/// SQLite's own handler sleeps for up to 100 ms at a time and has no queue: beside a few processes in tight
/// loops, one waited for seconds. With short random sleeps, every process gets the lock.
#[derive(Clone, Debug)]
pub(super) struct BusyTimeout(Arc<Mutex<BusyDeadline>>);

#[derive(Debug)]
struct BusyDeadline {
    since: Instant,
    /// The limit of the store, and that of the current request.
    limits: [Duration; 2],
    /// No longer upgradable once the caller has dropped its request.
    caller: Weak<()>,
}

impl BusyTimeout {
    const SHORTEST: Duration = Duration::from_micros(200);
    const LONGEST: Duration = Duration::from_millis(3);

    pub(super) fn new(limit: Duration, caller: Weak<()>) -> Self {
        let since = Instant::now();
        Self(Arc::new(Mutex::new(BusyDeadline {
            since,
            limits: [limit, Duration::MAX],
            caller,
        })))
    }

    /// Starts a new wait, for the request of another caller: it counts from `since`, with this limit.
    pub(super) fn renew(&self, since: Instant, limit: Duration, caller: Weak<()>) {
        let mut until = self.lock();
        (until.since, until.limits[1], until.caller) = (since, limit, caller);
    }

    /// Sleeps for a moment. Returns `false` at once if the time is up.
    pub(super) fn pause(&self) -> bool {
        let left = {
            let until = self.lock();
            match until.caller.strong_count() {
                0 => Duration::ZERO,
                _ => {
                    let [store, request] = until.limits;
                    store.min(request).saturating_sub(until.since.elapsed())
                }
            }
        };
        if left.is_zero() {
            return false;
        }
        let sleep = rand::rng().random_range(Self::SHORTEST..Self::LONGEST);
        thread::sleep(sleep.min(left));
        true
    }

    fn lock(&self) -> MutexGuard<'_, BusyDeadline> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
