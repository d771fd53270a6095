use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use tenure::{
    LockError, LockManager, MemoryStore, Mutex, MutexOptions, lock_all,
    mutex::{lock_all_timeout, try_lock_all},
    testing::TokioClock,
};

use crate::store_under_test::paused;

const SECOND: Duration = Duration::from_secs(1);

fn locks() -> LockManager {
    let clock = Arc::new(TokioClock::new());
    let store = Arc::new(MemoryStore::with_clock(clock.clone()));
    let builder = LockManager::builder(store).clock(clock).ttl(SECOND * 10);
    builder.build_on_current_runtime().unwrap()
}

fn mutexes(locks: &LockManager, names: &[&str]) -> Vec<Mutex> {
    let mutex = |name: &&str| locks.mutex(*name).unwrap();
    names.iter().map(mutex).collect()
}

#[test]
fn callers_that_want_the_same_locks_in_different_orders_do_not_deadlock() {
    paused(async {
        let locks = locks();
        let orders = [
            ["a", "b", "c"],
            ["c", "b", "a"],
            ["b", "c", "a"],
            ["c", "a", "b"],
        ];
        let worker = |order: [&'static str; 3]| {
            let locks = locks.clone();
            async move {
                let mutexes = mutexes(&locks, &order);
                for _ in 0..5 {
                    let guards = lock_all(&mutexes).await.unwrap();
                    let names: Vec<_> = guards
                        .iter()
                        .map(|guard| guard.resource().as_str())
                        .collect();
                    assert_eq!(names, ["a", "b", "c"]);
                    assert!(guards.are_current());
                    tokio::time::sleep(SECOND).await;
                    guards.release().await.unwrap();
                }
            }
        };
        let all = join_all(orders.map(worker));
        tokio::time::timeout(SECOND * 600, all).await.unwrap();
    });
}

#[test]
fn a_failure_half_way_releases_the_locks_acquired_so_far() {
    paused(async {
        let locks = locks();
        let wanted = mutexes(&locks, &["a", "b", "c"]);
        let taken = locks.mutex("b").unwrap();
        let guard = taken.guard().await.unwrap();
        let free = locks.mutex("a").unwrap();
        assert!(matches!(
            try_lock_all(&wanted).await,
            Err(LockError::Held { .. })
        ));
        free.try_guard().await.unwrap().release().await.unwrap();
        let limit = SECOND * 3;
        let since = tokio::time::Instant::now();
        let error = lock_all_timeout(&wanted, limit).await.unwrap_err();
        assert!(matches!(error, LockError::Timeout { .. }), "{error}");
        assert!(
            since.elapsed() < limit + SECOND,
            "one limit for all of them"
        );
        free.try_guard().await.unwrap().release().await.unwrap();
        // Dropped while it waits for the second lock.
        tokio::time::timeout(limit, lock_all(&wanted))
            .await
            .unwrap_err();
        tokio::time::sleep(SECOND).await;
        free.try_guard().await.unwrap().release().await.unwrap();
        guard.release().await.unwrap();
        let all = try_lock_all(&wanted).await.unwrap();
        drop(all);
    });
}

#[test]
fn a_name_passed_twice_is_refused() {
    paused(async {
        let twice = mutexes(&locks(), &["b", "a", "b"]);
        let error = lock_all(&twice).await.unwrap_err();
        assert_eq!(error.to_string(), "b is named twice: pass each lock once");
        assert!(lock_all([]).await.unwrap().is_empty());
    });
}

#[test]
fn min_hold_does_not_apply_to_locks_released_after_a_failure() {
    paused(async {
        let locks = locks();
        let kept = |name: &str| MutexOptions::new(name).min_hold(SECOND * 1000);
        let wanted = ["a", "b"].map(|name| locks.mutex(kept(name)).unwrap());
        let taken = locks.mutex("b").unwrap();
        let guard = taken.guard().await.unwrap();
        let free = locks.mutex("a").unwrap();
        assert!(try_lock_all(&wanted).await.is_err());
        free.try_guard().await.unwrap().release().await.unwrap();
        // Dropped while it waits for the second lock.
        let waiting = tokio::time::timeout(SECOND, lock_all(&wanted));
        waiting.await.unwrap_err();
        tokio::time::sleep(SECOND).await;
        free.try_guard().await.unwrap().release().await.unwrap();
        guard.release().await.unwrap();
        try_lock_all(&wanted)
            .await
            .unwrap()
            .release()
            .await
            .unwrap();
        assert!(
            free.try_guard().await.is_err(),
            "min_hold applies after all were acquired"
        );
    });
}
