//! The contract of plain locks and guards, as tests for every store.

use std::time::Duration;

use rand::RngExt as _;
use tenure::{
    LockError, MutexOptions, Reason,
    store::{EvictionMode, ReleaseOutcome},
};

use crate::store_under_test::{LIMIT, StoreUnderTest, TTL, pause};

fn is_held(error: &LockError) -> bool {
    matches!(error, LockError::Held { .. })
}

fn is_held_by_this_handle(error: &LockError) -> bool {
    matches!(error, LockError::HeldByThisHandle { .. })
}

fn is_not_held(error: &LockError) -> bool {
    matches!(error, LockError::NotHeld { .. })
}

pub(crate) async fn a_waiting_mutex_gets_the_lock_after_the_ttl(store_under_test: StoreUnderTest) {
    let (a, b) = store_under_test.pair("ttl");
    let before = store_under_test.now();
    let first = a.lock().await.unwrap();
    let after = store_under_test.now();
    let second = b.lock().await.unwrap();
    let got = store_under_test.now();
    assert!(before.until(got) >= TTL, "after {:?}", before.until(got));
    let latest = TTL + store_under_test.reaction_to_expiry(&b);
    assert!(after.until(got) <= latest, "after {:?}", after.until(got));
    assert!(second.token > first.token);
}

pub(crate) async fn locking_again_extends_the_expiry(store_under_test: StoreUnderTest) {
    let (a, b) = store_under_test.pair("again");
    let elsewhere = store_under_test.again(&a);
    let mut token = a.lock().await.unwrap().token;
    let mut last = store_under_test.now();
    for mutex in [&elsewhere, &a] {
        pause(TTL / 3).await;
        last = store_under_test.now();
        let lease = mutex.lock().await.unwrap();
        assert!(lease.token > token, "{lease:?}");
        token = lease.token;
    }
    let after = store_under_test.now();
    let lease = b.lock().await.unwrap();
    let got = store_under_test.now();
    assert!(last.until(got) >= TTL, "after {:?}", last.until(got));
    let latest = TTL + store_under_test.reaction_to_expiry(&b);
    assert!(after.until(got) <= latest, "after {:?}", after.until(got));
    assert!(lease.token > token);
}

pub(crate) async fn a_waiting_mutex_gets_the_lock_after_an_unlock(
    store_under_test: StoreUnderTest,
) {
    let (a, b) = store_under_test.pair("unlock");
    let first = a.lock().await.unwrap();
    let freed = async {
        pause(TTL / 3).await;
        a.unlock().await.unwrap();
        store_under_test.now()
    };
    let (freed, second) = tokio::join!(freed, async { (b.lock().await, store_under_test.now()) });
    let (second, got) = (second.0.unwrap(), second.1);
    let late = freed.until(got);
    assert!(late <= store_under_test.reaction(&b), "after {late:?}");
    assert!(second.token > first.token);
}

pub(crate) async fn mutexes_of_one_owner_unlock_each_other_but_not_those_of_another_owner(
    store_under_test: StoreUnderTest,
) {
    let (a, b) = store_under_test.pair("owners");
    let elsewhere = store_under_test.again(&a);
    a.lock().await.unwrap();
    assert!(is_not_held(&b.unlock().await.unwrap_err()));
    assert!(is_held(&b.try_lock().await.unwrap_err()), "still locked");
    elsewhere.unlock().await.unwrap();
    let lease = b.try_lock().await.unwrap();
    assert!(
        is_not_held(&a.unlock().await.unwrap_err()),
        "it was unlocked elsewhere"
    );
    assert!(is_not_held(&elsewhere.unlock().await.unwrap_err()));
    b.unlock().await.unwrap();
    assert!(a.lock().await.unwrap().token > lease.token);
    // Another mutex of the owner locks again. This one unlocks it, although its own token is older.
    elsewhere.lock().await.unwrap();
    a.unlock().await.unwrap();
    b.try_lock().await.unwrap();
}

pub(crate) async fn unlocking_a_lock_that_is_not_held_fails(store_under_test: StoreUnderTest) {
    let (a, _) = store_under_test.pair("never");
    assert!(is_not_held(&a.unlock().await.unwrap_err()), "never locked");
    a.lock().await.unwrap();
    a.unlock().await.unwrap();
    assert!(
        is_not_held(&a.unlock().await.unwrap_err()),
        "unlocked before"
    );
}

pub(crate) async fn unlocking_an_expired_lock_reports_the_loss(store_under_test: StoreUnderTest) {
    let (a, _) = store_under_test.pair("late");
    a.lock().await.unwrap();
    pause(TTL + TTL / 5).await;
    let error = a.unlock().await.unwrap_err();
    let reason = Reason::Expired;
    assert!(
        matches!(&error, LockError::Lost { reason: lost, .. } if *lost == reason),
        "{error}"
    );
}

pub(crate) async fn a_guard_is_renewed_beyond_the_ttl_until_it_is_released(
    store_under_test: StoreUnderTest,
) {
    let (a, b) = store_under_test.pair("guard");
    let guard = a.guard().await.unwrap();
    pause(TTL * 2).await;
    assert!(guard.is_current() && guard.remaining() <= TTL);
    let error = b.try_guard().await.unwrap_err();
    let LockError::Held { by, remaining, .. } = &error else {
        panic!("{error}");
    };
    assert!(by.as_str().starts_with("a-"), "{by}");
    assert!(*remaining <= TTL);
    let error = b.guard_timeout(TTL / 10).await.unwrap_err();
    assert!(matches!(error, LockError::Timeout { .. }), "{error}");
    let (token, leadership) = (guard.token(), guard.leadership().clone());
    guard.release().await.unwrap();
    assert!(!leadership.is_current());
    assert_eq!(leadership.lost().await, Reason::Shutdown);
    assert!(b.try_guard().await.unwrap().token() > token);
}

pub(crate) async fn a_guard_is_never_reentrant(store_under_test: StoreUnderTest) {
    let (a, _) = store_under_test.pair("entered");
    let elsewhere = store_under_test.again(&a);
    let guard = a.guard().await.unwrap();
    assert!(
        is_held_by_this_handle(&a.try_guard().await.unwrap_err()),
        "a second one"
    );
    assert!(
        is_held_by_this_handle(&a.guard().await.unwrap_err()),
        "it must not wait for itself"
    );
    assert!(is_held_by_this_handle(&a.lock().await.unwrap_err()));
    assert!(
        is_held(&elsewhere.try_lock().await.unwrap_err()),
        "by its owner"
    );
    assert!(
        is_not_held(&elsewhere.unlock().await.unwrap_err()),
        "by its owner"
    );
    assert!(guard.is_current());
    guard.release().await.unwrap();
    a.lock().await.unwrap();
    assert!(
        is_held_by_this_handle(&a.guard().await.unwrap_err()),
        "locked by this handle"
    );
    a.unlock().await.unwrap();
    a.guard().await.unwrap().release().await.unwrap();
}

pub(crate) async fn a_dropped_guard_is_released_in_the_background(
    store_under_test: StoreUnderTest,
) {
    let (a, b) = store_under_test.pair("dropped");
    drop(a.guard().await.unwrap());
    let freed = store_under_test.now();
    let guard = b.guard().await.unwrap();
    let late = freed.until(store_under_test.now());
    assert!(late <= store_under_test.reaction(&b), "after {late:?}");
    guard.release().await.unwrap();
}

pub(crate) async fn a_lost_guard_reports_the_reason(store_under_test: StoreUnderTest) {
    let (a, b) = store_under_test.pair("evicted");
    let guard = a.guard().await.unwrap();
    let store = &store_under_test.stores[1];
    let evicted = store
        .evict(guard.resource(), guard.token(), EvictionMode::Close, LIMIT)
        .await
        .unwrap();
    assert_eq!(evicted, ReleaseOutcome::Released);
    assert_eq!(guard.lost().await, Reason::Evicted);
    assert!(!guard.is_current());
    let error = guard.run(std::future::pending::<()>()).await.unwrap_err();
    assert!(error.to_string().ends_with("evicted"), "{error}");
    assert!(guard.require(Duration::from_millis(1)).is_err());
    let error = guard.release().await.unwrap_err();
    assert!(
        matches!(
            &error,
            LockError::Lost {
                reason: Reason::Evicted,
                ..
            }
        ),
        "{error}"
    );
    drop(b.guard().await.unwrap());
}

pub(crate) async fn a_guard_is_lost_at_its_max_hold(store_under_test: StoreUnderTest) {
    let (a, b) = store_under_test.pair("longest");
    let options = MutexOptions::new(a.resource()).max_hold(TTL + TTL / 2);
    let mutex = store_under_test.locks(0, "a").mutex(options).unwrap();
    let before = store_under_test.now();
    let guard = mutex.guard().await.unwrap();
    assert_eq!(guard.lost().await, Reason::MaxHold);
    let held = before.until(store_under_test.now());
    assert!(held >= TTL + TTL / 2, "{held:?}");
    assert!(!guard.is_current());
    // Dropping the guard frees the lock at once. Otherwise the lease would expire on its own.
    drop(guard);
    let freed = store_under_test.now();
    drop(b.guard().await.unwrap());
    let late = freed.until(store_under_test.now());
    assert!(late <= store_under_test.reaction(&b), "after {late:?}");
}

pub(crate) async fn others_get_the_lock_only_after_min_hold(store_under_test: StoreUnderTest) {
    let (a, b) = store_under_test.pair("shortest");
    for least in [TTL / 2, TTL * 2] {
        let options = MutexOptions::new(a.resource()).min_hold(least);
        let mutex = store_under_test.locks(0, "a").mutex(options).unwrap();
        let guard = mutex.guard().await.unwrap();
        let granted = store_under_test.now();
        guard.release().await.unwrap();
        let released = granted.until(store_under_test.now());
        assert!(released <= mutex.timing().call_timeout(), "{released:?}");
        assert!(is_held(&b.try_guard().await.unwrap_err()));
        let guard = b.guard().await.unwrap();
        let got = granted.until(store_under_test.now());
        // The store made the grant before the reply arrived.
        let shortest = least - mutex.timing().call_timeout();
        assert!(got >= shortest, "{got:?} of {least:?}");
        let latest = least + store_under_test.reaction_to_expiry(&b);
        assert!(got <= latest, "{got:?} of {least:?}");
        guard.release().await.unwrap();
    }
}

pub(crate) async fn a_dropped_guard_does_not_block_the_next_guard_of_its_mutex(
    store_under_test: StoreUnderTest,
) {
    let (a, _) = store_under_test.pair("next");
    let mut token = a.guard().await.unwrap().token();
    for _ in 0..5 {
        let guard = a.try_guard().await.unwrap();
        assert!(guard.token() > token);
        token = guard.token();
    }
}

/// The number of waits to cancel.
fn waits() -> u32 {
    std::env::var("TENURE_CANCELLED_WAITS").map_or(40, |waits| waits.parse().unwrap())
}

#[allow(clippy::print_stdout, reason = "it prints the longest time")]
pub(crate) async fn a_cancelled_wait_leaves_nothing_held(store_under_test: StoreUnderTest) {
    let (a, b) = store_under_test.pair("cancelled");
    let mut worst = Duration::ZERO;
    let mut won = 0;
    for wait in 0..waits() {
        // A grant takes up to about this long, so the limit falls before, within or after it.
        let limit = rand::rng().random_range(Duration::ZERO..Duration::from_millis(12));
        let plain = wait % 2 == 0;
        let cancelled = if plain {
            tokio::time::timeout(limit, async { a.lock().await.map(drop) }).await
        } else {
            tokio::time::timeout(limit, async { a.guard().await.map(drop) }).await
        };
        let left = store_under_test.now();
        if let Ok(outcome) = cancelled {
            outcome.unwrap();
            won += 1;
            if plain {
                a.unlock().await.unwrap();
            }
        }
        // Tries often, to measure how long a cancelled wait keeps the lock.
        let free = loop {
            match b.try_guard().await {
                Ok(guard) => break guard,
                Err(error) => assert!(is_held(&error), "{error}"),
            }
            pause(Duration::from_millis(2)).await;
        };
        let late = left.until(store_under_test.now());
        worst = worst.max(late);
        let limit = a.timing().call_timeout() * 2;
        assert!(late <= limit, "wait {wait} left the lock for {late:?}");
        free.release().await.unwrap();
    }
    println!(
        "{won} of {} waits won, the worst left it for {worst:?}",
        waits()
    );
}

/// Makes a test of each rule.
macro_rules! lock_rules {
    ($(#[$attribute:meta])* $test:ident: $store_under_test:expr) => {
        lock_rules! { @each [$(#[$attribute])*] $test $store_under_test;
            a_waiting_mutex_gets_the_lock_after_the_ttl,
            locking_again_extends_the_expiry,
            a_waiting_mutex_gets_the_lock_after_an_unlock,
            mutexes_of_one_owner_unlock_each_other_but_not_those_of_another_owner,
            unlocking_a_lock_that_is_not_held_fails,
            unlocking_an_expired_lock_reports_the_loss,
            a_guard_is_renewed_beyond_the_ttl_until_it_is_released,
            a_guard_is_never_reentrant,
            a_dropped_guard_is_released_in_the_background,
            a_lost_guard_reports_the_reason,
            a_dropped_guard_does_not_block_the_next_guard_of_its_mutex,
            a_guard_is_lost_at_its_max_hold,
            others_get_the_lock_only_after_min_hold,
            a_cancelled_wait_leaves_nothing_held,
        }
    };
    (@each $attributes:tt $test:ident $store_under_test:expr; $($rule:ident,)*) => {
        $(lock_rules! { @one $attributes $test $store_under_test; $rule })*
    };
    (@one [$(#[$attribute:meta])*] $test:ident $store_under_test:expr; $rule:ident) => {
        #[test]
        $(#[$attribute])*
        fn $rule() {
            $test(async { $crate::locks::$rule($store_under_test.await).await });
        }
    };
}
pub(crate) use lock_rules;
