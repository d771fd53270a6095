//! The contract of `Once`, as tests for every store.

use std::{
    convert::Infallible,
    future::{Future, pending, ready},
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use futures::{FutureExt as _, future::join_all};
use tenure::{
    Once, Reason,
    lease::{CandidateId, Lease, ResourceName},
    once::{Completed, Completion, OnceError, OnceStatus},
    store::{AcquireOutcome, AttemptId, Bid, EvictionMode, ReleaseOutcome, ReleaseTarget},
};

use crate::store_under_test::{LIMIT, StoreUnderTest, TTL, pause};

/// The `Once` of this name in one of two processes.
fn once(store_under_test: &StoreUnderTest, process: usize, name: &str) -> Once {
    let name = format!("{}/{name}", store_under_test.prefix);
    let builder = Once::builder(store_under_test.stores[process].clone(), name)
        .owner(["a", "b"][process])
        .ttl(TTL)
        .clock(store_under_test.clock.clone());
    if store_under_test.here {
        builder.build_on_current_runtime().unwrap()
    } else {
        builder.build().unwrap()
    }
}

fn both(store_under_test: &StoreUnderTest, name: &str) -> (Once, Once) {
    (
        once(store_under_test, 0, name),
        once(store_under_test, 1, name),
    )
}

/// The longest time until a waiting call sees that the work is done or free: a poll with its jitter, and the
/// requests.
fn reaction() -> Duration {
    TTL.mul_f64(0.2 * 1.2) + TTL / 5
}

fn works() -> impl Future<Output = Result<u32, Infallible>> {
    ready(Ok(7))
}

async fn must_not_run() -> Result<u32, Infallible> {
    panic!("it was done before");
}

fn already(ran: Completed<u32>) -> Completion {
    match ran {
        Completed::Before(done) => done,
        ran => panic!("{ran:?}"),
    }
}

fn is_corrupt<E>(outcome: Result<impl Sized, OnceError<E>>) -> bool {
    matches!(outcome, Err(OnceError::Corrupt { .. }))
}

/// Acquires the mark record as this holder, and releases it or not.
async fn held_by(store_under_test: &StoreUnderTest, once: &Once, holder: &str, released: bool) {
    let store = &store_under_test.stores[1];
    let bid = Bid {
        resource: ResourceName::new(format!("{}/done", once.resource())).unwrap(),
        candidate: CandidateId::new(holder).unwrap(),
        attempt: AttemptId::generate().unwrap(),
        ttl: TTL / 2,
        metadata: None,
        reentrant: false,
        replaces: None,
        waited: None,
        internal: false,
    };
    let outcome = store.acquire(&bid, LIMIT).await.unwrap();
    let AcquireOutcome::Granted { token } = outcome else {
        panic!("{outcome:?}");
    };
    if released {
        let (resource, holder) = (bid.resource, bid.candidate);
        let lease = Lease {
            resource,
            holder,
            token,
        };
        let outcome = store
            .release(&ReleaseTarget::Lease(lease), None, LIMIT)
            .await
            .unwrap();
        assert_eq!(outcome, ReleaseOutcome::Released);
    }
}

pub(crate) async fn one_call_does_the_work_and_the_others_return_when_it_is_done(
    store_under_test: StoreUnderTest,
) {
    let (runs, finished) = (AtomicU32::new(0), AtomicU32::new(0));
    let runner = |index: usize| {
        let once = once(&store_under_test, index % 2, "five");
        let (store_under_test, runs, finished) = (&store_under_test, &runs, &finished);
        async move {
            let work = || async {
                assert_eq!(runs.fetch_add(1, SeqCst), 0, "a second time");
                pause(TTL * 2).await;
                finished.fetch_add(1, SeqCst);
                Ok::<_, Infallible>(store_under_test.clock.now())
            };
            let ran = once.run(work).await.unwrap();
            assert_eq!(
                finished.load(SeqCst),
                1,
                "returned before the work was done"
            );
            (ran, store_under_test.clock.now())
        }
    };
    let all = join_all((0..5).map(runner)).await;
    let here: Vec<_> = all
        .iter()
        .filter(|(ran, _)| ran.was_by_this_call())
        .collect();
    let [(Completed::ByThisCall { value, token, .. }, _)] = here[..] else {
        panic!("{here:?}");
    };
    for (ran, at) in &all {
        assert_eq!(ran.token(), *token);
        let late = value.until(*at);
        assert!(late <= reaction(), "after {late:?}");
    }
}

pub(crate) async fn done_work_is_not_done_again(store_under_test: StoreUnderTest) {
    let (a, b) = both(&store_under_test, "again");
    let ran = a.run(works).await.unwrap();
    let token = ran.token();
    assert_eq!(ran.into_value(), Some(7));
    for once in [&b, &a, &once(&store_under_test, 1, "again")] {
        let done = already(once.run(must_not_run).await.unwrap());
        assert_eq!(done.token, token);
        assert!(done.by.as_str().starts_with("a-"), "{}", done.by);
        assert_eq!(once.status().await.unwrap(), OnceStatus::Done(done));
    }
}

pub(crate) async fn after_an_error_the_next_call_tries(store_under_test: StoreUnderTest) {
    let (a, b) = both(&store_under_test, "error");
    let first = async {
        let work = || async {
            pause(TTL / 3).await;
            Err::<u32, _>("no room")
        };
        let error = a.run(work).await.unwrap_err();
        assert_eq!(error.to_string(), "the work failed: no room");
        store_under_test.clock.now()
    };
    let second = async {
        pause(TTL / 6).await;
        (b.run(works).await.unwrap(), store_under_test.clock.now())
    };
    let (failed, (ran, at)) = tokio::join!(first, second);
    assert!(ran.was_by_this_call());
    assert!(failed.until(at) <= reaction() + TTL / 5, "in time");
}

pub(crate) async fn after_a_panic_the_next_call_tries(store_under_test: StoreUnderTest) {
    let (a, b) = both(&store_under_test, "panic");
    let work = || async { panic!("odd") };
    let run = AssertUnwindSafe(a.run::<u32, Infallible, _>(work));
    assert!(run.catch_unwind().await.is_err());
    assert!(b.run(works).await.unwrap().was_by_this_call());
}

pub(crate) async fn after_a_dropped_run_the_next_call_tries(store_under_test: StoreUnderTest) {
    let (a, b) = both(&store_under_test, "dropped");
    let witness = Arc::new(());
    let held = witness.clone();
    let work = || async move {
        let _held = held;
        pending::<Result<u32, Infallible>>().await
    };
    let run = tokio::time::timeout(TTL * 2, a.run(work)).await;
    assert!(run.is_err(), "its work has no end");
    assert_eq!(Arc::strong_count(&witness), 1, "the work was not dropped");
    let dropped = store_under_test.clock.now();
    assert!(b.run(works).await.unwrap().was_by_this_call());
    let late = dropped.until(store_under_test.clock.now());
    assert!(late <= reaction() + TTL / 5, "after {late:?}");
}

pub(crate) async fn losing_the_lock_drops_the_work_and_returns_an_error(
    store_under_test: StoreUnderTest,
) {
    let (a, b) = both(&store_under_test, "lost");
    let witness = Arc::new(());
    let held = witness.clone();
    let store = store_under_test.stores[1].clone();
    let work = |leadership: tenure::Leadership| async move {
        let _held = held;
        let (resource, token) = (leadership.resource(), leadership.token());
        let evicted = store
            .evict(resource, token, EvictionMode::Close, LIMIT)
            .await
            .unwrap();
        assert_eq!(evicted, ReleaseOutcome::Released);
        pending::<Result<u32, Infallible>>().await
    };
    let error = a.run_with(work).await.unwrap_err();
    let reason = Reason::Evicted;
    assert!(
        matches!(&error, OnceError::Lost { reason: lost, .. } if *lost == reason),
        "{error}"
    );
    assert_eq!(Arc::strong_count(&witness), 1, "the work was not dropped");
    assert!(b.run(works).await.unwrap().was_by_this_call());
}

pub(crate) async fn the_status_is_pending_running_or_done(store_under_test: StoreUnderTest) {
    let (a, b) = both(&store_under_test, "status");
    assert_eq!(a.status().await.unwrap(), OnceStatus::Pending);
    let work = |leadership: tenure::Leadership| {
        let b = &b;
        async move {
            let status = b.status().await.unwrap();
            let OnceStatus::Running {
                by,
                token,
                remaining,
                ..
            } = status
            else {
                panic!("{status:?}");
            };
            assert_eq!(
                (&by, token),
                (&leadership.lease().holder, leadership.token())
            );
            assert!(remaining <= TTL);
            let error = b.reset().await.unwrap_err();
            assert!(
                matches!(&error, OnceError::Running { by: who, .. } if *who == by),
                "{error}"
            );
            Err::<u32, _>("once more")
        }
    };
    a.run_with(work).await.unwrap_err();
    assert_eq!(b.status().await.unwrap(), OnceStatus::Pending);
    a.run(works).await.unwrap();
    assert!(matches!(b.status().await.unwrap(), OnceStatus::Done(_)));
}

pub(crate) async fn after_a_reset_the_work_is_done_again(store_under_test: StoreUnderTest) {
    let (a, b) = both(&store_under_test, "reset");
    let first = a.run(works).await.unwrap();
    for _ in 0..3 {
        b.reset().await.unwrap();
        assert_eq!(a.status().await.unwrap(), OnceStatus::Pending);
    }
    let second = a.run(works).await.unwrap();
    assert!(second.was_by_this_call() && second.token() > first.token());
    already(b.run(must_not_run).await.unwrap());
}

pub(crate) async fn a_mark_that_arrives_after_a_reset_does_not_count(
    store_under_test: StoreUnderTest,
) {
    let (a, b) = both(&store_under_test, "late");
    let token = a.run(works).await.unwrap().token();
    b.reset().await.unwrap();
    held_by(&store_under_test, &a, &format!("done {token} a-late"), true).await;
    assert_eq!(a.status().await.unwrap(), OnceStatus::Pending);
    let token = b.run(works).await.unwrap().token();
    // Nor does a reset that arrives after the work and is not released.
    held_by(&store_under_test, &a, "open 2 b-late", false).await;
    assert_eq!(already(a.run(must_not_run).await.unwrap()).token, token);
    b.reset().await.unwrap();
    assert!(a.run(works).await.unwrap().was_by_this_call());
}

pub(crate) async fn a_mark_record_with_a_foreign_holder_is_corrupt_until_a_reset(
    store_under_test: StoreUnderTest,
) {
    let (a, b) = both(&store_under_test, "foreign");
    a.run(works).await.unwrap();
    held_by(&store_under_test, &a, "somebody-1-abc", true).await;
    assert!(is_corrupt(b.run(must_not_run).await));
    assert!(is_corrupt(b.status().await));
    b.reset().await.unwrap();
    assert!(b.run(works).await.unwrap().was_by_this_call());
}

pub(crate) async fn a_mark_with_a_larger_token_than_the_lock_is_corrupt(
    store_under_test: StoreUnderTest,
) {
    let (a, b) = both(&store_under_test, "ahead");
    held_by(
        &store_under_test,
        &a,
        "open 9000000000000000 a-before",
        true,
    )
    .await;
    assert!(is_corrupt(a.run(must_not_run).await));
    assert!(is_corrupt(b.reset().await));
    held_by(
        &store_under_test,
        &a,
        "done 9000000000000001 a-before",
        true,
    )
    .await;
    assert_eq!(
        already(b.run(must_not_run).await.unwrap()).token.get(),
        9_000_000_000_000_001
    );
}

/// Makes a test of each rule.
macro_rules! once_rules {
    ($(#[$attribute:meta])* $test:ident: $store_under_test:expr) => {
        once_rules! { @each [$(#[$attribute])*] $test $store_under_test;
            one_call_does_the_work_and_the_others_return_when_it_is_done,
            done_work_is_not_done_again,
            after_an_error_the_next_call_tries,
            after_a_panic_the_next_call_tries,
            after_a_dropped_run_the_next_call_tries,
            losing_the_lock_drops_the_work_and_returns_an_error,
            the_status_is_pending_running_or_done,
            after_a_reset_the_work_is_done_again,
            a_mark_that_arrives_after_a_reset_does_not_count,
            a_mark_record_with_a_foreign_holder_is_corrupt_until_a_reset,
            a_mark_with_a_larger_token_than_the_lock_is_corrupt,
        }
    };
    (@each $attributes:tt $test:ident $store_under_test:expr; $($rule:ident,)*) => {
        $(once_rules! { @one $attributes $test $store_under_test; $rule })*
    };
    (@one [$(#[$attribute:meta])*] $test:ident $store_under_test:expr; $rule:ident) => {
        #[test]
        $(#[$attribute])*
        fn $rule() {
            $test(async { $crate::once::$rule($store_under_test.await).await });
        }
    };
}
pub(crate) use once_rules;
