//! Locks and guards on a store that fails.

use std::{sync::Arc, time::Duration};

use futures::FutureExt as _;
use tenure::{
    LockError, LockManager, MemoryStore, Mutex, MutexOptions, Reason, Timing,
    clock::Clock as _,
    store::StoreErrorKind,
    testing::{Fault, FaultyStore, TokioClock},
};

use crate::store_under_test::paused;

const TTL: Duration = Duration::from_secs(10);

struct Trouble {
    store: FaultyStore,
    clock: Arc<TokioClock>,
    a: Mutex,
    /// Another mutex of the same owner.
    a_too: Mutex,
    b: Mutex,
}

/// Mutexes of two owners. The store fails for the first owner only.
fn trouble() -> Trouble {
    let clock = Arc::new(TokioClock::new());
    let memory = Arc::new(MemoryStore::with_clock(clock.clone()));
    let store = FaultyStore::new(memory.clone());
    let mutex = |store: Arc<dyn tenure::LeaseStore>, owner: &str| {
        let builder = LockManager::builder(store).owner(owner).ttl(TTL);
        let locks = builder
            .clock(clock.clone())
            .build_on_current_runtime()
            .unwrap();
        locks.mutex("m").unwrap()
    };
    Trouble {
        a: mutex(Arc::new(store.clone()), "a"),
        a_too: mutex(Arc::new(store.clone()), "a"),
        b: mutex(memory, "b"),
        store,
        clock,
    }
}

fn kind(error: &LockError) -> StoreErrorKind {
    match error {
        LockError::Store(error) => error.kind(),
        other => panic!("{other}"),
    }
}

#[test]
fn a_single_store_error_does_not_lose_a_guard() {
    paused(async {
        let Trouble { store, a, .. } = trouble();
        let guard = a.guard().await.unwrap();
        store.script([Fault::Error(StoreErrorKind::Unavailable), Fault::LostReply]);
        tokio::time::sleep(TTL * 3).await;
        assert!(guard.is_current());
        guard.release().await.unwrap();
    });
}

#[test]
fn a_guard_is_lost_at_its_deadline_when_the_store_hangs() {
    paused(async {
        let trouble = trouble();
        let before = trouble.clock.now();
        let guard = trouble.a.guard().await.unwrap();
        trouble.store.always(Fault::Hang);
        assert_eq!(guard.lost().await, Reason::StoreLost);
        let held = before.until(trouble.clock.now());
        assert_eq!(held, TTL - TTL / 10);
        let error = guard.release().await.unwrap_err();
        let reason = Reason::StoreLost;
        assert!(
            matches!(&error, LockError::Lost { reason: lost, .. } if *lost == reason),
            "{error}"
        );
        trouble.b.guard().await.unwrap().release().await.unwrap();
    });
}

#[test]
fn a_grant_whose_reply_was_lost_is_found_by_the_retry() {
    paused(async {
        let Trouble { store, a, .. } = trouble();
        store.script([Fault::LostReply]);
        let guard = a.guard().await.unwrap();
        assert_eq!(guard.token().get(), 1);
        guard.release().await.unwrap();
        store.script([Fault::LostReply]);
        assert_eq!(a.lock().await.unwrap().token.get(), 2);
    });
}

#[test]
fn a_failed_try_returns_the_error_and_leaves_nothing_held() {
    paused(async {
        let Trouble { store, a, b, .. } = trouble();
        for fault in [
            Fault::LostReply,
            Fault::Error(StoreErrorKind::Unknown),
            Fault::Panic,
        ] {
            store.script([fault]);
            let error = a.try_guard().await.unwrap_err();
            assert_eq!(kind(&error), StoreErrorKind::Unknown, "{fault:?}");
            // The attempt is released in the background.
            tokio::time::sleep(Duration::from_millis(1)).await;
            b.try_guard().await.unwrap().release().await.unwrap();
        }
        store.script([Fault::Error(StoreErrorKind::Throttled)]);
        let error = a.try_lock().await.unwrap_err();
        assert_eq!(kind(&error), StoreErrorKind::Throttled);
    });
}

#[test]
fn a_wait_ends_with_permanent_store_errors_only() {
    paused(async {
        let Trouble { store, a, .. } = trouble();
        store.script([
            Fault::Error(StoreErrorKind::Unavailable),
            Fault::Error(StoreErrorKind::Throttled),
            Fault::LostRequest,
        ]);
        a.guard().await.unwrap().release().await.unwrap();
        for permanent in [
            StoreErrorKind::Denied,
            StoreErrorKind::Misconfigured,
            StoreErrorKind::Corrupt,
            StoreErrorKind::Unsupported,
        ] {
            store.script([Fault::Error(permanent)]);
            assert_eq!(kind(&a.guard().await.unwrap_err()), permanent);
        }
    });
}

#[test]
fn a_timeout_names_the_holder_or_the_store_error() {
    paused(async {
        let Trouble { store, a, b, .. } = trouble();
        let guard = b.guard().await.unwrap();
        let error = a.lock_timeout(TTL * 2).await.unwrap_err().to_string();
        let held_by = format!(
            "m was not acquired within 20 s: {} holds it",
            guard.lease().holder
        );
        assert_eq!(error, held_by);
        store.always(Fault::Error(StoreErrorKind::Unavailable));
        let error = a.guard_timeout(TTL).await.unwrap_err();
        assert_eq!(kind(&error), StoreErrorKind::Unavailable);
    });
}

#[test]
fn an_unlock_whose_reply_was_lost_succeeds() {
    paused(async {
        let Trouble { store, a, b, .. } = trouble();
        a.lock().await.unwrap();
        store.script([Fault::LostReply]);
        a.unlock().await.unwrap();
        b.try_lock().await.unwrap();
        b.unlock().await.unwrap();
        a.lock().await.unwrap();
        store.always(Fault::Error(StoreErrorKind::Unavailable));
        assert_eq!(
            kind(&a.unlock().await.unwrap_err()),
            StoreErrorKind::Unavailable
        );
        store.always(None);
        a.unlock().await.unwrap();
    });
}

#[test]
fn an_unlock_by_another_mutex_of_the_owner_whose_reply_was_lost_succeeds() {
    paused(async {
        let trouble = trouble();
        let Trouble { store, a, b, .. } = &trouble;
        a.lock().await.unwrap();
        store.script([Fault::LostReply]);
        trouble.a_too.unlock().await.unwrap();
        b.try_lock().await.unwrap();
        b.unlock().await.unwrap();
        // This owner does not hold the lock, and a lost reply does not change that.
        store.script([Fault::LostReply]);
        let error = trouble.a_too.unlock().await.unwrap_err();
        assert!(matches!(error, LockError::NotHeld { .. }), "{error}");
    });
}

#[test]
fn an_unconfirmed_release_returns_the_error_and_the_lease_expires() {
    paused(async {
        let Trouble { store, a, b, .. } = trouble();
        let guard = a.guard().await.unwrap();
        let leadership = guard.leadership().clone();
        store.always(Fault::Error(StoreErrorKind::Denied));
        let error = guard.release().await.unwrap_err();
        assert_eq!(kind(&error), StoreErrorKind::Denied);
        assert!(!leadership.is_current(), "it is still current");
        b.guard_timeout(TTL * 2)
            .await
            .unwrap()
            .release()
            .await
            .unwrap();
    });
}

#[test]
fn a_guard_is_released_also_if_yield_for_is_zero() {
    paused(async {
        let clock = Arc::new(TokioClock::new());
        let memory = Arc::new(MemoryStore::with_clock(clock.clone()));
        let timing = Timing::builder().ttl(TTL).yield_for(Duration::ZERO);
        let locks = LockManager::builder(memory).timing(timing).clock(clock);
        let mutex = locks
            .build_on_current_runtime()
            .unwrap()
            .mutex("m")
            .unwrap();
        let guard = mutex.guard().await.unwrap();
        let leadership = guard.leadership().clone();
        guard.release().await.unwrap();
        assert!(!leadership.is_current());
        mutex.try_guard().await.unwrap().release().await.unwrap();
    });
}

#[test]
fn min_hold_does_not_apply_to_a_grant_whose_wait_was_dropped() {
    paused(async {
        let clock = Arc::new(TokioClock::new());
        let memory = Arc::new(MemoryStore::with_clock(clock.clone()));
        let builder = LockManager::builder(memory).ttl(TTL).clock(clock);
        let locks = builder.build_on_current_runtime().unwrap();
        let options = || MutexOptions::new("m").min_hold(TTL * 100);
        let (a, b) = (
            locks.mutex(options()).unwrap(),
            locks.mutex(options()).unwrap(),
        );
        let mut wait = Box::pin(a.guard());
        assert!(wait.as_mut().now_or_never().is_none());
        // The lock is granted, and the wait is dropped before it is polled again.
        assert!(b.guard_timeout(TTL / 2).await.is_err());
        drop(wait);
        let guard = b.guard_timeout(TTL / 2).await.unwrap();
        drop(guard);
        assert!(
            a.guard_timeout(TTL * 90).await.is_err(),
            "min_hold applies to a guard"
        );
    });
}

#[test]
fn cancelling_a_wait_to_lock_again_keeps_the_earlier_lock() {
    paused(async {
        let Trouble { store, a, b, .. } = trouble();
        a.lock().await.unwrap();
        // The first bid finds the lock of its owner. The second locks again and is cancelled in flight.
        store.script([Fault::None, Fault::Delay(Duration::from_millis(500))]);
        let wait = tokio::time::timeout(Duration::from_millis(100), a.lock());
        assert!(wait.await.is_err());
        tokio::time::sleep(TTL / 2).await;
        assert!(matches!(b.try_lock().await, Err(LockError::Held { .. })));
    });
}

#[test]
fn an_uncontended_guard_takes_two_requests() {
    paused(async {
        let Trouble { store, a, .. } = trouble();
        a.guard().await.unwrap().release().await.unwrap();
        assert_eq!(store.calls().total(), 2);
        a.lock().await.unwrap();
        a.unlock().await.unwrap();
        assert_eq!(store.calls().total(), 4);
    });
}

#[test]
fn retrying_an_unlock_does_not_release_a_later_lock() {
    paused(async {
        let trouble = trouble();
        let Trouble {
            store, a, a_too, b, ..
        } = &trouble;
        a.lock().await.unwrap();
        store.script([Fault::LostReply]);
        // Before the retry, another mutex of the owner locks again.
        let locked = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            a_too.lock().await.unwrap()
        };
        let (unlocked, locked) = tokio::join!(a.unlock(), locked);
        assert_eq!(locked.token.get(), 2);
        assert_eq!(kind(&unlocked.unwrap_err()), StoreErrorKind::Unknown);
        assert!(matches!(b.try_lock().await, Err(LockError::Held { .. })));
        // A second call of unlock() releases it.
        a.unlock().await.unwrap();
        b.try_lock().await.unwrap();
    });
}

#[test]
fn locking_again_with_another_mutex_of_the_owner_does_not_wait() {
    paused(async {
        let Trouble { a, a_too, .. } = trouble();
        let since = tokio::time::Instant::now();
        a.lock().await.unwrap();
        assert_eq!(a_too.try_lock().await.unwrap().token.get(), 2);
        assert_eq!(a.lock().await.unwrap().token.get(), 3);
        assert_eq!(since.elapsed(), Duration::ZERO);
    });
}

#[test]
fn the_remaining_time_of_a_guard_counts_down_to_its_deadline() {
    paused(async {
        let Trouble { store, a, .. } = trouble();
        let guard = a.guard().await.unwrap();
        let whole = TTL - TTL / 10;
        assert_eq!(guard.remaining(), whole);
        store.always(Fault::Hang);
        tokio::time::sleep(TTL / 2).await;
        assert_eq!(guard.remaining(), whole - TTL / 2);
        guard.lost().await;
        assert_eq!(guard.remaining(), Duration::ZERO);
    });
}

#[test]
fn a_wait_goes_on_if_the_store_denies_the_release_of_an_unanswered_bid() {
    paused(async {
        let Trouble { store, a, .. } = trouble();
        // A bid that was not answered for a ttl is ended and released.
        store.script([Fault::LostRequest]);
        store.always(Fault::Error(StoreErrorKind::Unavailable));
        let later = async {
            tokio::time::sleep(TTL).await;
            assert_eq!(store.calls().release, 0);
            store.script([Fault::LostRequest, Fault::Error(StoreErrorKind::Denied)]);
            store.always(None);
        };
        let (guard, ()) = tokio::join!(a.guard(), later);
        assert!(guard.unwrap().is_current());
        assert_eq!(store.calls().release, 2, "it was tried again");
    });
}

#[test]
fn a_mutex_is_displayed_with_its_name_and_owner() {
    assert_eq!(trouble().a.to_string(), "m for a");
}

#[test]
fn a_mutex_tries_only_after_the_release_of_its_dropped_guard() {
    paused(async {
        let Trouble { store, a, .. } = trouble();
        let guard = a.guard().await.unwrap();
        let released_after = Duration::from_millis(500);
        store.script([Fault::Delay(released_after)]);
        drop(guard);
        let since = tokio::time::Instant::now();
        let guard = a.try_guard().await.unwrap();
        assert_eq!(since.elapsed(), released_after);
        assert_eq!(guard.token().get(), 2);
    });
}
