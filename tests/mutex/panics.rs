//! A store of the application whose `kind` panics.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::FutureExt as _;
use tenure::{LockManager, MemoryStore, Mutex, StartError, mutex::LockManagerBuilder};

use crate::custom_store::CustomStore;

/// Whether the application's code panics now.
#[derive(Clone, Debug, Default)]
struct Panics(Arc<AtomicBool>);

impl Panics {
    fn start(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn stop(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    fn check(&self) {
        assert!(!self.0.load(Ordering::SeqCst), "odd kind");
    }
}

/// A store whose `kind` panics.
fn odd_store(panics: Panics) -> CustomStore {
    CustomStore {
        kind: Box::new(move || {
            panics.check();
            "odd"
        }),
        ..CustomStore::new(Arc::new(MemoryStore::new()))
    }
}

/// A mutex whose store panics in `kind` from [`Panics::start`] on.
fn odd_mutex(build: fn(LockManagerBuilder) -> Result<LockManager, StartError>) -> (Mutex, Panics) {
    let panics = Panics::default();
    let store = odd_store(panics.clone());
    let locks = build(LockManager::builder(Arc::new(store)).owner("a")).unwrap();
    (locks.mutex("m").unwrap(), panics)
}

/// The text of the panic of this call.
async fn panic_of<T>(call: impl Future<Output = T>) -> String {
    let call = AssertUnwindSafe(call).catch_unwind();
    let outcome = tokio::time::timeout(Duration::from_secs(10), call).await;
    let panic = outcome.expect("the call does not hang").err();
    let panic = panic.expect("the panic reaches the caller");
    (panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap()
}

async fn assert_panics_reach_the_caller(mutex: &Mutex, panics: &Panics) {
    mutex.lock().await.unwrap();
    panics.start();
    assert_eq!(panic_of(mutex.unlock()).await, "odd kind");
    assert_eq!(panic_of(mutex.lock()).await, "odd kind");
    assert_eq!(panic_of(mutex.try_lock()).await, "odd kind");
    panics.stop();
    // The thread or runtime of the lock lives, and so does the mutex.
    mutex.unlock().await.unwrap();
    mutex.guard().await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn a_panic_on_the_lock_thread_reaches_the_caller() {
    let (mutex, panics) = odd_mutex(LockManagerBuilder::build);
    assert_panics_reach_the_caller(&mutex, &panics).await;
}

#[tokio::test]
async fn a_panic_on_the_current_runtime_reaches_the_caller() {
    let (mutex, panics) = odd_mutex(LockManagerBuilder::build_on_current_runtime);
    assert_panics_reach_the_caller(&mutex, &panics).await;
}
