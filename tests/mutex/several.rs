use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use tenure::{
    Guard, LeaseStore as _, LockError, LockManager, MemoryStore, Mutex, MutexOptions, Reason,
    lock_all,
    mutex::{lock_all_timeout, try_lock_all},
    store::{EvictionMode, ReleaseOutcome},
    testing::{Fault, FaultyStore, TokioClock},
};

use crate::store_under_test::paused;

const SECOND: Duration = Duration::from_secs(1);

fn locks() -> LockManager {
    faulty_locks().1
}

/// Locks whose requests the returned store can disturb.
fn faulty_locks() -> (FaultyStore, LockManager) {
    let clock = Arc::new(TokioClock::new());
    let store = FaultyStore::new(Arc::new(MemoryStore::with_clock(clock.clone())));
    let builder = LockManager::builder(Arc::new(store.clone()));
    let builder = builder.clock(clock).ttl(SECOND * 10);
    (store, builder.build_on_current_runtime().unwrap())
}

/// Evicts the holder of this guard, and waits until the guard is lost.
async fn evict(store: &FaultyStore, guard: &Guard) {
    let (name, token) = (guard.resource(), guard.token());
    let evicted = store.evict(name, token, EvictionMode::Close, SECOND);
    assert_eq!(evicted.await.unwrap(), ReleaseOutcome::Released);
    assert_eq!(guard.lost().await, Reason::Evicted);
}

/// Whether another mutex of this name acquires its lock at once. It releases it again.
async fn is_free(locks: &LockManager, name: &str) -> bool {
    match locks.mutex(name).unwrap().try_guard().await {
        Ok(guard) => {
            guard.release().await.unwrap();
            true
        }
        Err(error) => {
            assert!(matches!(error, LockError::Held { .. }), "{error}");
            false
        }
    }
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

#[test]
fn releasing_several_releases_all_and_returns_the_first_error() {
    paused(async {
        let (store, locks) = faulty_locks();
        let wanted = mutexes(&locks, &["a", "b", "c"]);
        let guards = lock_all(&wanted).await.unwrap();
        for lost in &guards[1..] {
            evict(&store, lost).await;
        }
        // The last one is released first.
        let error = guards.release().await.unwrap_err();
        assert!(
            matches!(&error, LockError::Lost { resource, .. } if resource.as_str() == "c"),
            "{error}"
        );
        assert!(is_free(&locks, "a").await);
    });
}

#[test]
fn releasing_several_waits_for_the_store() {
    paused(async {
        let (store, locks) = faulty_locks();
        let wanted = mutexes(&locks, &["a", "b"]);
        let guards = lock_all(&wanted).await.unwrap();
        store.script([Fault::Delay(SECOND); 2]);
        let since = tokio::time::Instant::now();
        guards.release().await.unwrap();
        assert_eq!(since.elapsed(), SECOND * 2);
    });
}

#[test]
fn dropping_several_releases_the_last_one_first() {
    paused(async {
        let (store, locks) = faulty_locks();
        let wanted = mutexes(&locks, &["a", "b"]);
        let guards = lock_all(&wanted).await.unwrap();
        // The first request for a release takes a second, the other none.
        store.script([Fault::Delay(SECOND)]);
        drop(guards);
        tokio::time::sleep(SECOND / 2).await;
        assert!(is_free(&locks, "a").await);
        assert!(!is_free(&locks, "b").await);
        tokio::time::sleep(SECOND).await;
        assert!(is_free(&locks, "b").await);
    });
}

#[test]
fn several_locks_are_current_until_one_of_them_is_lost() {
    paused(async {
        let (store, locks) = faulty_locks();
        let wanted = mutexes(&locks, &["a", "b"]);
        let guards = lock_all(&wanted).await.unwrap();
        assert!(guards.are_current());
        evict(&store, &guards[0]).await;
        assert!(guards[1].is_current());
        assert!(!guards.are_current());
    });
}
