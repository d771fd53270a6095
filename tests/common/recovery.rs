//! A lock whose store fails and recovers, for the tests of several stores.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use actix::prelude::*;
use futures::future::LocalBoxFuture;
use tenure::{
    BecameFollower, BecameLeader, FencingToken, LeaseStore, LockActor, LockHandle, Reason, Timing,
    actor::ElectionState, lease::ResourceName, store::StoreErrorKind,
};

/// Counts how often the lock tells it that it has become leader or follower.
#[derive(Clone, Default)]
struct Follower {
    won: Arc<AtomicUsize>,
    lost: Arc<AtomicUsize>,
}

impl Actor for Follower {
    type Context = Context<Self>;
}

impl Handler<BecameLeader> for Follower {
    type Result = ();
    fn handle(&mut self, _: BecameLeader, _: &mut Context<Self>) {
        self.won.fetch_add(1, SeqCst);
    }
}

impl Handler<BecameFollower> for Follower {
    type Result = ();
    fn handle(&mut self, message: BecameFollower, _: &mut Context<Self>) {
        if message.reason != Reason::NotElected {
            self.lost.fetch_add(1, SeqCst);
        }
    }
}

/// Starts a lock on a store that fails with this kind of error, checks that it retries and reports the error,
/// then repairs the store and waits until the lock leads. Returns the token that it leads with.
pub(crate) async fn a_lock_retries_and_leads_when_the_store_is_repaired(
    store: Arc<dyn LeaseStore>,
    resource: &ResourceName,
    kind: StoreErrorKind,
    repair: LocalBoxFuture<'_, ()>,
) -> FencingToken {
    let timing = Timing::builder().ttl(Duration::from_secs(3)).build();
    let builder = LockActor::builder(resource, store).timing(timing.unwrap());
    let lock = builder.start().unwrap();
    let follower = Follower::default().start();
    lock.subscribe(&follower);

    let since = Instant::now();
    let failing = loop {
        let status = lock.status().await.unwrap();
        assert!(since.elapsed() < Duration::from_secs(60), "{status:?}");
        if status.store.failures >= 4 {
            break status;
        }
        actix::clock::sleep(Duration::from_millis(20)).await;
    };
    let error = failing.store.last_error.clone().unwrap();
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(failing.store.failing_for.is_some() && failing.leadership.is_none());
    assert_eq!(failing.state, ElectionState::Standby);

    repair.await;
    let repaired = Instant::now();
    let leadership = loop {
        let status = lock.status().await.unwrap();
        if let Some(leadership) = status.leadership
            && leadership.is_current()
        {
            assert_eq!((status.store.failing_for, status.store.failures), (None, 0));
            break leadership;
        }
        assert!(repaired.elapsed() < Duration::from_secs(60), "not leading");
        actix::clock::sleep(Duration::from_millis(20)).await;
    };
    lock.shutdown().await.unwrap();
    leadership.lease().token
}

/// Runs a lock whose bid, two renewals and release lose their replies: `lose` makes the connection lose the next
/// reply, and `lost` returns whether it has.
pub(crate) async fn a_lock_that_loses_replies_leads_once(
    store: Arc<dyn LeaseStore>,
    resource: &ResourceName,
    lose: impl Fn(),
    lost: impl Fn() -> bool,
) {
    let timing = Timing::builder().ttl(Duration::from_secs(6));
    let timing = timing.renew_every(Duration::from_millis(300)).build();
    let builder = LockActor::builder(resource, store).timing(timing.unwrap());
    let lock = builder.start().unwrap();
    let follower = Follower::default();
    lose();
    let address = follower.clone().start();
    lock.subscribe(&address);
    wait("it leads", || follower.won.load(SeqCst) == 1).await;
    assert!(lost(), "the reply to the bid was not lost");
    let leadership = lock.status().await.unwrap().leadership.unwrap();
    for _ in 0..2 {
        lose();
        wait("renewals lose their replies", &lost).await;
        wait_for_renewal(&lock).await;
        assert!(leadership.is_current());
    }
    lose();
    lock.shutdown().await.unwrap();
    assert!(lost(), "the reply to the release was not lost");
    let told = (follower.won.load(SeqCst), follower.lost.load(SeqCst));
    assert_eq!(told, (1, 1));
}

async fn wait_for_renewal(lock: &LockHandle) {
    loop {
        let status = lock.status().await.unwrap();
        if status.store.failing_for.is_none() {
            return;
        }
        actix::clock::sleep(Duration::from_millis(20)).await;
    }
}

async fn wait(what: &str, done: impl Fn() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(
            since.elapsed() < Duration::from_secs(60),
            "not before: {what}"
        );
        actix::clock::sleep(Duration::from_millis(20)).await;
    }
}
