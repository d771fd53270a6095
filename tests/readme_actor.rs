//! How to test an actor of your own: on the memory store, in paused time, with planted faults.
//!
//! In paused time, the clock moves only when every task waits, so 15 seconds pass at once.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix::prelude::*;
use tenure::{
    BecameFollower, BecameLeader, FencingToken, LockActor, LockHandle, MemoryStore, Reason, Timing,
    lease::{CandidateId, Lease, ResourceName},
    testing::{Fault, FaultyStore, ManualClock, TestLeadership, TokioClock},
};

#[derive(Debug, PartialEq)]
enum Received {
    Leader,
    Follower(Reason),
}

/// The actor under test. It records the messages that it gets.
struct Reports(Arc<Mutex<Vec<Received>>>);

impl Actor for Reports {
    type Context = Context<Self>;
}

impl Handler<BecameLeader> for Reports {
    type Result = ();
    fn handle(&mut self, _: BecameLeader, _: &mut Context<Self>) {
        self.0.lock().unwrap().push(Received::Leader);
    }
}

impl Handler<BecameFollower> for Reports {
    type Result = ();
    fn handle(&mut self, message: BecameFollower, _: &mut Context<Self>) {
        self.0
            .lock()
            .unwrap()
            .push(Received::Follower(message.reason));
    }
}

/// Runs a test in an actix system whose time is paused.
fn paused(test: impl Future<Output = ()>) {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap()
    };
    System::with_tokio_rt(runtime).block_on(test);
}

/// A store with faults on demand, a lock on it, and a subscriber of the lock.
fn started() -> (
    FaultyStore,
    LockHandle,
    Addr<Reports>,
    Arc<Mutex<Vec<Received>>>,
) {
    let clock = Arc::new(TokioClock::new());
    let store = FaultyStore::new(Arc::new(MemoryStore::with_clock(clock.clone())));
    let lock = LockActor::builder("jobs/reports", Arc::new(store.clone()))
        .timing(Timing::default())
        .clock(clock)
        .start_on_current_runtime()
        .unwrap();
    let received = Arc::default();
    let reports = Reports(Arc::clone(&received)).start();
    lock.subscribe(&reports);
    (store, lock, reports, received)
}

#[test]
fn reports_stop_before_the_lease_expires_when_the_store_is_unreachable() {
    paused(async {
        let (store, _lock, _reports, received) = started();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(received.lock().unwrap().last(), Some(&Received::Leader));

        store.always(Fault::Hang);
        // The ttl is 15 s: the work must have stopped by then.
        tokio::time::sleep(Duration::from_secs(15)).await;
        let lost = Received::Follower(Reason::StoreLost);
        assert_eq!(received.lock().unwrap().last(), Some(&lost));
    });
}

#[test]
fn reports_stop_when_the_lock_steps_down() {
    paused(async {
        let (_store, lock, _reports, received) = started();
        tokio::time::sleep(Duration::from_secs(1)).await;
        lock.step_down().await.unwrap();
        let stepped_down = Received::Follower(Reason::SteppedDown);
        assert_eq!(received.lock().unwrap().last(), Some(&stepped_down));
    });
}

/// The same on plain tokio. Actors need a `LocalSet` there.
#[tokio::test(start_paused = true)]
async fn reports_stop_before_the_lease_expires_under_paused_tokio_time() {
    let test = async {
        let (store, _lock, _reports, received) = started();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(received.lock().unwrap().last(), Some(&Received::Leader));

        store.always(Fault::Hang);
        tokio::time::sleep(Duration::from_secs(15)).await;
        let lost = Received::Follower(Reason::StoreLost);
        assert_eq!(received.lock().unwrap().last(), Some(&lost));
    };
    tokio::task::LocalSet::new().run_until(test).await;
}

/// Without a lock: the test itself sends the messages, and says how long the leadership lasts.
#[actix::test]
async fn reports_are_told_by_the_test_itself() {
    let lease = Lease {
        resource: ResourceName::new("jobs/reports").unwrap(),
        holder: CandidateId::new("replica-1").unwrap(),
        token: FencingToken::new(7),
    };
    let clock = ManualClock::new();
    let granted = TestLeadership::grant(lease, Duration::from_secs(15), Arc::new(clock.clone()));
    let leadership = granted.leadership().clone();
    let received = Arc::default();
    let reports = Reports(Arc::clone(&received)).start();
    reports
        .send(BecameLeader {
            leadership: leadership.clone(),
        })
        .await
        .unwrap();
    assert_eq!(received.lock().unwrap().last(), Some(&Received::Leader));

    // A freeze: the lease is over, and nobody has told the actor.
    clock.advance(Duration::from_secs(15));
    assert!(!leadership.is_current());
}
