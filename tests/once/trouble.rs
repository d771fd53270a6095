//! `Once` on a store that fails.

use std::{future::ready, sync::Arc, time::Duration};

use tenure::{
    LeaseStore, LockError, MemoryStore, Once, Reason,
    lease::{CandidateId, ResourceName},
    once::{OnceError, OnceStatus},
    store::{AttemptId, Bid, StoreErrorKind},
    testing::{Fault, FaultyStore, TokioClock},
    timing::POLL_JITTER,
};

use crate::store_under_test::paused;

const TTL: Duration = Duration::from_secs(10);

struct Trouble {
    store: FaultyStore,
    a: Once,
    b: Once,
}

/// Two clients of the same `Once`. The store fails for the first only.
fn trouble() -> Trouble {
    let clock = Arc::new(TokioClock::new());
    let memory = Arc::new(MemoryStore::with_clock(clock.clone()));
    let store = FaultyStore::new(memory.clone());
    let once = |store: Arc<dyn LeaseStore>, owner: &str| {
        let builder = Once::builder(store, "m").owner(owner).ttl(TTL);
        builder
            .clock(clock.clone())
            .build_on_current_runtime()
            .unwrap()
    };
    Trouble {
        a: once(Arc::new(store.clone()), "a"),
        b: once(memory, "b"),
        store,
    }
}

fn works() -> std::future::Ready<Result<u32, String>> {
    ready(Ok(7))
}

async fn sleep(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Acquires the mark record as this holder, and does not release it.
async fn write_mark(store: &FaultyStore, holder: &str, ttl: Duration) {
    let bid = Bid {
        resource: ResourceName::new("m/done").unwrap(),
        candidate: CandidateId::new(holder).unwrap(),
        attempt: AttemptId::generate().unwrap(),
        ttl,
        metadata: None,
        reentrant: false,
        replaces: None,
        waited: None,
        internal: false,
    };
    store.acquire(&bid, TTL).await.unwrap();
}

#[test]
fn done_work_takes_one_request_and_doing_it_takes_six() {
    paused(async {
        let Trouble { store, a, b } = trouble();
        let mut before = store.calls().total();
        let mut since = || {
            let calls = store.calls().total();
            std::mem::replace(&mut before, calls).abs_diff(calls)
        };
        a.run(works).await.unwrap();
        assert_eq!(since(), 7, "there is no mark record yet");
        a.run(works).await.unwrap();
        assert_eq!(since(), 1);
        b.reset().await.unwrap();
        a.run(works).await.unwrap();
        assert_eq!(since(), 6);
        a.reset().await.unwrap();
        assert_eq!(since(), 5);
        a.status().await.unwrap();
        assert_eq!(since(), 2);
    });
}

#[test]
fn transient_store_errors_are_retried() {
    paused(async {
        let transient = [
            Fault::Error(StoreErrorKind::Unavailable),
            Fault::Error(StoreErrorKind::Throttled),
            Fault::LostRequest,
            Fault::LostReply,
            Fault::Hang,
            Fault::Panic,
        ];
        // For each request of a run in turn: read, bid, read again (two requests the first time), mark,
        // and two releases.
        for fault in transient {
            for before in 0..7 {
                let Trouble { store, a, b } = trouble();
                store.script(std::iter::repeat_n(Fault::None, before).chain([fault]));
                let ran = a.run(works).await.unwrap();
                assert!(ran.was_by_this_call(), "{fault:?} after {before}");
                assert!(!b.run(works).await.unwrap().was_by_this_call());
                store.script([fault]);
                a.status().await.unwrap();
                sleep(TTL * 2).await;
                store.script([fault]);
                a.reset().await.unwrap();
                assert_eq!(b.status().await.unwrap(), OnceStatus::Pending);
            }
        }
    });
}

#[test]
fn permanent_store_errors_are_returned() {
    paused(async {
        for kind in [
            StoreErrorKind::Denied,
            StoreErrorKind::Misconfigured,
            StoreErrorKind::Corrupt,
            StoreErrorKind::Unsupported,
        ] {
            for before in 0..4 {
                let Trouble { store, a, .. } = trouble();
                let script = std::iter::repeat_n(Fault::None, before);
                store.script(script.chain([Fault::Error(kind)]));
                let error = a.run(works).await.unwrap_err();
                assert!(
                    matches!(&error, OnceError::Store(error) if error.kind() == kind),
                    "{error}"
                );
            }
            let Trouble { store, a, .. } = trouble();
            store.always(Fault::Error(kind));
            assert!(matches!(a.status().await, Err(OnceError::Store(_))));
            assert!(matches!(a.reset().await, Err(OnceError::Store(_))));
        }
    });
}

#[test]
fn work_whose_mark_the_store_refuses_is_unmarked_and_done_again() {
    paused(async {
        let Trouble { store, a, b } = trouble();
        let work = || {
            store.always(Fault::Error(StoreErrorKind::Denied));
            works()
        };
        let error = a.run(work).await.unwrap_err();
        assert!(
            matches!(
                &error,
                OnceError::Unmarked {
                    source: LockError::Store(_),
                    ..
                }
            ),
            "{error}"
        );
        assert!(b.run(works).await.unwrap().was_by_this_call());
    });
}

#[test]
fn work_whose_mark_is_not_confirmed_by_the_deadline_is_unmarked() {
    paused(async {
        for (fault, marked) in [(Fault::LostReply, true), (Fault::Hang, false)] {
            let Trouble { store, a, b } = trouble();
            let work = || {
                store.always(Fault::Hang);
                store.script([fault]);
                works()
            };
            let error = a.run(work).await.unwrap_err();
            assert!(
                matches!(
                    &error,
                    OnceError::Unmarked {
                        source: LockError::Lost {
                            reason: Reason::StoreLost,
                            ..
                        },
                        ..
                    }
                ),
                "{error}"
            );
            assert_eq!(b.run(works).await.unwrap().was_by_this_call(), !marked);
        }
    });
}

#[test]
fn a_mark_that_was_in_flight_at_a_reset_does_not_count() {
    paused(async {
        let Trouble { store, a, b } = trouble();
        let work = || {
            store.always(Fault::Hang);
            store.script([Fault::LateRequest(TTL * 5)]);
            works()
        };
        a.run(work).await.unwrap_err();
        sleep(TTL * 2).await;
        b.reset().await.unwrap();
        sleep(TTL * 5).await;
        assert_eq!(b.status().await.unwrap(), OnceStatus::Pending);
        let ran = b.run(works).await.unwrap();
        assert!(ran.was_by_this_call());
        sleep(TTL * 5).await;
        let OnceStatus::Done(done) = b.status().await.unwrap() else {
            panic!("it was done");
        };
        assert_eq!(done.token, ran.token());
    });
}

#[test]
fn work_that_succeeded_is_marked_also_if_the_run_is_dropped() {
    paused(async {
        let Trouble { store, a, b } = trouble();
        let work = || {
            store.script([Fault::Delay(TTL / 10)]);
            works()
        };
        let run = tokio::time::timeout(TTL / 20, a.run(work)).await;
        assert!(run.is_err(), "the mark takes longer");
        assert_eq!(store.calls().acquire, 2);
        assert!(!b.run(works).await.unwrap().was_by_this_call());
    });
}

#[test]
fn work_is_dropped_at_the_deadline_when_the_store_is_unreachable() {
    paused(async {
        let Trouble { store, a, b } = trouble();
        let work = || {
            store.always(Fault::Hang);
            std::future::pending::<Result<u32, String>>()
        };
        let since = tokio::time::Instant::now();
        let error = a.run(work).await.unwrap_err();
        assert_eq!(since.elapsed(), TTL - TTL / 10);
        let text = "the lock m was lost, so the work or reset under it was stopped: ";
        assert!(error.to_string().starts_with(text), "{error}");
        assert!(b.run(works).await.unwrap().was_by_this_call());
    });
}

#[test]
fn a_reset_stops_at_the_deadline_when_the_store_is_unreachable() {
    paused(async {
        let Trouble { store, a, .. } = trouble();
        store.always(Fault::Hang);
        // The bid and the read of the mark, which takes two requests the first time.
        store.script([Fault::None; 3]);
        let error = a.reset().await.unwrap_err();
        assert!(matches!(error, OnceError::Lost { .. }), "{error}");
        let text = "the lock m was lost, so the work or reset under it was stopped: ";
        assert!(error.to_string().starts_with(text), "{error}");
    });
}

#[test]
fn work_beyond_max_hold_is_dropped_and_the_next_call_tries() {
    paused(async {
        let clock = Arc::new(TokioClock::new());
        let store = Arc::new(MemoryStore::with_clock(clock.clone()));
        let builder = Once::builder(store, "m").ttl(TTL).max_hold(TTL * 2);
        let once = builder.clock(clock).build_on_current_runtime().unwrap();
        let since = tokio::time::Instant::now();
        let hung = once.run(std::future::pending::<Result<u32, String>>).await;
        assert_eq!(since.elapsed(), TTL * 2);
        let reason = Reason::MaxHold;
        assert!(
            matches!(&hung, Err(OnceError::Lost { reason: lost, .. }) if *lost == reason),
            "{hung:?}"
        );
        assert!(once.run(works).await.unwrap().was_by_this_call());
    });
}

#[test]
fn a_retry_waits_about_a_quarter_of_the_time_between_polls() {
    paused(async {
        let poll_every = TTL / 5;
        let shortest = poll_every / 4;
        let longest = shortest + poll_every.mul_f64(POLL_JITTER);
        // The first read or the bid fails.
        for before in [0, 1] {
            let Trouble { store, a, .. } = trouble();
            let errors = [Fault::Error(StoreErrorKind::Unavailable); 3];
            store.script(std::iter::repeat_n(Fault::None, before).chain(errors));
            let since = tokio::time::Instant::now();
            a.run(works).await.unwrap();
            let waited = since.elapsed();
            assert!(
                (shortest * 3..=longest * 3).contains(&waited),
                "{waited:?} after {before}"
            );
        }
    });
}

#[test]
fn a_mark_waits_with_few_requests_until_an_older_one_expires() {
    paused(async {
        let Trouble { store, a, b } = trouble();
        b.run(works).await.unwrap();
        b.reset().await.unwrap();
        write_mark(&store, "open 2 b-late", TTL * 2).await;
        let (before, since) = (store.calls().acquire, tokio::time::Instant::now());
        assert!(a.run(works).await.unwrap().was_by_this_call());
        assert!(since.elapsed() >= TTL * 2);
        // One bid for the lock, and one for the mark at once and in each `poll_every`.
        let bids = store.calls().acquire - before;
        assert!(bids <= 12, "{bids} bids");
    });
}

#[test]
fn a_mark_with_the_token_of_the_present_guard_is_corrupt() {
    paused(async {
        let Trouble { store, a, .. } = trouble();
        // Its guard had the token that the next one has, because the record of the lock was deleted since.
        write_mark(&store, "open 1 a-before", TTL).await;
        let error = a.run(works).await.unwrap_err();
        assert!(matches!(error, OnceError::Corrupt { .. }), "{error}");
    });
}
