//! The stores that the rules of locks and of `Once` run on. Not every test uses all of it.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::{future::Future, sync::Arc, time::Duration};

use tenure::{
    LeaseStore, LockManager, MemoryStore, Mutex,
    clock::{Clock, Moment},
    testing::TokioClock,
};

pub(crate) const TTL: Duration = Duration::from_secs(3);
/// The time limit of calls in tests that do not test it: longer than any store needs.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Two clients of one store, as two processes have them.
pub(crate) struct StoreUnderTest {
    pub(crate) stores: [Arc<dyn LeaseStore>; 2],
    pub(crate) clock: Arc<dyn Clock>,
    /// Whether clients observe expiry, and so see it one poll late.
    pub(crate) observed: bool,
    /// A prefix that makes the names of this run unique.
    pub(crate) prefix: String,
    /// Whether the locks run on the runtime of the test, in paused time.
    pub(crate) here: bool,
}

impl StoreUnderTest {
    pub(crate) fn locks(&self, process: usize, owner: &str) -> LockManager {
        let builder = LockManager::builder(self.stores[process].clone())
            .owner(owner)
            .ttl(TTL)
            .clock(self.clock.clone());
        if self.here {
            builder.build_on_current_runtime().unwrap()
        } else {
            builder.build().unwrap()
        }
    }

    /// The mutexes of two owners in two processes.
    pub(crate) fn pair(&self, name: &str) -> (Mutex, Mutex) {
        let name = format!("{}/{name}", self.prefix);
        let other = self.locks(1, "b").mutex(name.as_str()).unwrap();
        (self.locks(0, "a").mutex(name.as_str()).unwrap(), other)
    }

    /// Another mutex of the first owner, in another process.
    pub(crate) fn again(&self, mutex: &Mutex) -> Mutex {
        self.locks(1, "a").mutex(mutex.resource()).unwrap()
    }

    pub(crate) fn now(&self) -> Moment {
        self.clock.now()
    }

    /// The longest time from the release of a lock until a waiting mutex gets it.
    pub(crate) fn reaction(&self, mutex: &Mutex) -> Duration {
        let timing = mutex.timing();
        timing.poll_every() + timing.call_timeout()
    }

    /// The same if the lock expires without a release.
    pub(crate) fn reaction_to_expiry(&self, mutex: &Mutex) -> Duration {
        let observing = if self.observed {
            mutex.timing().poll_every()
        } else {
            Duration::ZERO
        };
        self.reaction(mutex) + observing
    }
}

pub(crate) async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Runs a test in paused time.
pub(crate) fn paused<T>(test: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().unwrap();
    runtime.block_on(test)
}

/// Runs a test on a runtime with several threads. Clients of stores use it, too; the locks do not.
pub(crate) fn threads(test: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test);
}

/// A memory store for paused time.
pub(crate) fn memory() -> StoreUnderTest {
    let clock = Arc::new(TokioClock::new());
    let store = Arc::new(MemoryStore::with_clock(clock.clone()));
    StoreUnderTest {
        stores: [store.clone(), store],
        clock,
        observed: false,
        prefix: "rules".to_owned(),
        here: true,
    }
}

#[cfg(feature = "sqlite")]
pub(crate) fn sqlite() -> StoreUnderTest {
    let folder = tempfile::tempdir().unwrap().keep();
    let open = || Arc::new(tenure::SqliteStore::open(folder.join("leases.db")).unwrap());
    StoreUnderTest {
        stores: [open(), open()],
        clock: Arc::new(tenure::clock::BootClock),
        observed: false,
        prefix: "rules".to_owned(),
        here: false,
    }
}
