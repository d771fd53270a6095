//! Locks that were built for the current runtime, where there is none.

use std::{sync::Arc, time::Duration};

use futures::FutureExt as _;
use tenure::{
    LockError, LockManager, MemoryStore, Mutex,
    clock::BootClock,
    lock_all,
    mutex::{lock_all_timeout, try_lock_all},
};

use crate::from_one::FromOne;
use tokio::runtime::{Builder, Runtime};

const SECOND: Duration = Duration::from_secs(1);

/// Two mutexes of different owners. They renew their guards on the current runtime.
fn pair() -> (Mutex, Mutex) {
    let builder = LockManager::builder(Arc::new(MemoryStore::with_clock(Arc::new(FromOne(
        BootClock,
    )))));
    let locks = builder.owner("a").build_on_current_runtime().unwrap();
    let other = tenure::MutexOptions::new("m").owner("b");
    (locks.mutex("m").unwrap(), locks.mutex(other).unwrap())
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn assert_no_runtime<T>(outcome: Result<T, LockError>) {
    let text = outcome.map(drop).unwrap_err().to_string();
    assert!(
        text.starts_with("this lock runs on the current tokio runtime"),
        "{text}"
    );
}

/// Every call that sends a request fails.
async fn assert_calls_fail(mutex: &Mutex) {
    assert_no_runtime(mutex.lock().await);
    assert_no_runtime(mutex.try_lock().await);
    assert_no_runtime(mutex.lock_timeout(SECOND).await);
    assert_no_runtime(mutex.unlock().await);
    assert_no_runtime(mutex.guard().await);
    assert_no_runtime(mutex.try_guard().await);
    assert_no_runtime(mutex.guard_timeout(SECOND).await);
    assert_no_runtime(lock_all([mutex]).await);
    assert_no_runtime(try_lock_all([mutex]).await);
    assert_no_runtime(lock_all_timeout([mutex], SECOND).await);
}

#[test]
fn a_call_outside_a_runtime_returns_an_error() {
    let (mutex, _) = pair();
    let calls = assert_calls_fail(&mutex).now_or_never();
    calls.expect("they do not wait");
}

#[test]
fn a_call_on_a_runtime_without_timers_returns_an_error() {
    let (mutex, _) = pair();
    let without_timers = Builder::new_current_thread().build().unwrap();
    without_timers.block_on(assert_calls_fail(&mutex));
}

#[test]
fn a_call_whose_runtime_ends_returns_an_error() {
    let ((holder, waiter), runtime) = (pair(), runtime());
    let guard = runtime.block_on(holder.guard()).unwrap();
    let mut wait = Box::pin(waiter.guard());
    let waited = runtime.block_on(async { tokio::time::timeout(SECOND / 100, &mut wait).await });
    assert!(waited.is_err(), "the other one holds the lock");
    drop(runtime);
    assert_no_runtime(wait.now_or_never().expect("it does not wait"));
    assert!(!guard.is_current());
    let released = guard.release().now_or_never().expect("it does not wait");
    assert!(
        matches!(released, Err(LockError::Lost { .. })),
        "{released:?}"
    );
}

#[test]
fn locking_again_does_not_wait_for_a_runtime_that_is_not_driven() {
    let ((mutex, _), first, second) = (pair(), runtime(), runtime());
    first.block_on(mutex.lock()).unwrap();
    let again = async { tokio::time::timeout(SECOND, mutex.lock()).await };
    let again = second.block_on(again).expect("it does not wait");
    assert_eq!(again.unwrap().token.get(), 2);
}
