//! Uncontended guards, whose first bid and whose release are sent from the task of the caller.

use std::{
    sync::{Arc, Mutex, OnceLock},
    thread,
    time::{Duration, Instant},
};

use tenure::{
    Guard, LeaseStore, LockError, LockManager, MemoryStore,
    leadership::Leadership,
    store::Operation,
    testing::{Fault, FaultyStore},
};
use tokio::time::{sleep, timeout};

use crate::custom_store::CustomStore;

const TTL: Duration = Duration::from_secs(3);

struct Lab {
    faulty: FaultyStore,
    locks: LockManager,
    /// The requests, and the threads that sent them.
    sent: Arc<Mutex<Vec<(Operation, String)>>>,
    /// The leadership that must not be current when a release is sent.
    led: Arc<OnceLock<Leadership>>,
}

impl Lab {
    fn new() -> Self {
        let faulty = FaultyStore::new(Arc::new(MemoryStore::new()));
        let sent: Arc<Mutex<Vec<_>>> = Arc::default();
        let led: Arc<OnceLock<Leadership>> = Arc::default();
        let (log, leader) = (sent.clone(), led.clone());
        let store = CustomStore {
            runs_in_callers_task: true,
            before: Box::new(move |operation| {
                let thread = thread::current().name().unwrap_or("?").to_owned();
                log.lock().unwrap().push((operation, thread));
                if operation == Operation::Release {
                    let led = leader.get();
                    assert!(led.is_none_or(|led| !led.is_current()), "still current");
                }
            }),
            ..CustomStore::new(Arc::new(faulty.clone()))
        };
        let locks = LockManager::builder(Arc::new(store)).owner("me").ttl(TTL);
        Self {
            faulty,
            locks: locks.build().unwrap(),
            sent,
            led,
        }
    }

    async fn guard(&self) -> Guard {
        let guard = self.locks.mutex("m").unwrap().guard().await.unwrap();
        self.led.set(guard.leadership().clone()).unwrap();
        guard
    }

    /// Waits until another mutex gets the lock, which then is free.
    async fn is_freed_within(&self, limit: Duration) -> bool {
        let other = self.locks.mutex("m").unwrap();
        let guard = timeout(limit, other.guard()).await;
        guard.is_ok_and(|guard| guard.is_ok())
    }

    fn threads(&self) -> Vec<(Operation, String)> {
        self.sent.lock().unwrap().clone()
    }
}

fn here() -> String {
    thread::current().name().unwrap_or("?").to_owned()
}

#[tokio::test]
async fn the_first_bid_and_the_release_are_sent_by_the_caller() {
    let lab = Lab::new();
    lab.guard().await.release().await.unwrap();
    let sent = [(Operation::Acquire, here()), (Operation::Release, here())];
    assert_eq!(lab.threads(), sent);
    assert!(lab.is_freed_within(TTL / 10).await);
}

#[tokio::test]
async fn a_guard_that_was_granted_here_is_renewed_over_there() {
    let lab = Lab::new();
    let guard = lab.guard().await;
    sleep(TTL + TTL / 2).await;
    assert!(guard.is_current());
    assert!(lab.faulty.calls().renew >= 3);
    guard.release().await.unwrap();
}

#[tokio::test]
async fn a_guard_that_is_dropped_is_released_over_there() {
    let lab = Lab::new();
    drop(lab.guard().await);
    assert!(lab.is_freed_within(TTL / 2).await);
    // The other mutex may have asked before.
    let sent = lab.threads().into_iter();
    let released = sent.filter(|(operation, _)| *operation == Operation::Release);
    let threads: Vec<_> = released.map(|(_, thread)| thread).collect();
    assert_eq!(threads[0], "tenure-locks");
}

#[tokio::test]
async fn a_wait_that_is_dropped_during_the_bid_gives_the_grant_back() {
    let lab = Lab::new();
    lab.faulty.script([Fault::Delay(TTL / 20)]);
    let mutex = lab.locks.mutex("m").unwrap();
    let dropped = timeout(TTL / 100, mutex.guard()).await;
    assert!(dropped.is_err(), "the bid is still under way");
    assert!(lab.is_freed_within(TTL / 2).await);
}

#[tokio::test]
async fn a_bid_that_hangs_does_not_hold_the_caller_beyond_its_limit() {
    let lab = Lab::new();
    lab.faulty.always(Fault::Hang);
    let mutex = lab.locks.mutex("m").unwrap();
    let begun = Instant::now();
    let error = mutex.guard_timeout(TTL / 2).await.unwrap_err();
    assert!(matches!(error, LockError::Store(_)), "{error:?}");
    assert!(begun.elapsed() < TTL, "{:?}", begun.elapsed());
    lab.faulty.always(None);
    assert!(lab.is_freed_within(TTL).await);
}

#[tokio::test]
async fn a_contended_guard_waits_over_there_and_gets_its_turn() {
    let lab = Lab::new();
    let guard = lab.guard().await;
    let other = lab.locks.mutex("m").unwrap();
    let (waited, released) = futures::join!(other.guard(), async {
        sleep(TTL / 10).await;
        guard.release().await
    });
    released.unwrap();
    assert!(waited.unwrap().is_current());
}

#[tokio::test]
async fn a_release_that_gets_no_answer_is_tried_again_over_there() {
    for fault in [Fault::LostReply, Fault::LostRequest, Fault::Hang] {
        let lab = Lab::new();
        let guard = lab.guard().await;
        lab.faulty.script([fault]);
        guard.release().await.unwrap();
        assert!(lab.is_freed_within(TTL / 10).await, "{fault:?}");
    }
}

#[tokio::test]
async fn dropping_the_release_does_not_stop_it() {
    let lab = Lab::new();
    let guard = lab.guard().await;
    lab.faulty.script([Fault::Hang]);
    assert!(timeout(TTL / 100, guard.release()).await.is_err());
    assert!(lab.is_freed_within(TTL / 2).await);
}

#[tokio::test]
async fn a_guard_that_was_evicted_says_so() {
    let lab = Lab::new();
    let guard = lab.guard().await;
    let (resource, token) = (guard.resource().clone(), guard.token());
    let mode = tenure::store::EvictionMode::Force;
    let evicted = lab.faulty.evict(&resource, token, mode, TTL).await;
    evicted.unwrap();
    let error = guard.release().await.unwrap_err();
    let expected = matches!(error, LockError::NotHeld { .. } | LockError::Lost { .. });
    assert!(expected, "{error:?}");
}
