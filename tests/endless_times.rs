//! A time that a user may choose may be as long as a `Duration` can be: no sum overflows, nothing panics.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use actix::prelude::*;
use tenure::{
    BecameFollower, BecameLeader, LeaseStore, LockActor, LockManager, MemoryStore,
    actor::{Shutdown, StepDownOutcome},
    clock::{Clock as _, Moment},
    lease::{Lease, ResourceName},
    mutex::lock_all_timeout,
    store::{AcquireOutcome, AttemptId, Bid, RenewOutcome},
    testing::{Fault, FaultyStore, ManualClock},
};

const ENDLESS: Duration = Duration::MAX;

async fn assert_granted_and_renewed_without_an_end(store: &dyn LeaseStore) {
    let resource = ResourceName::new("r").unwrap();
    let bid = Bid {
        resource: resource.clone(),
        candidate: "me".parse().unwrap(),
        attempt: AttemptId::generate().unwrap(),
        ttl: ENDLESS,
        metadata: None,
        reentrant: false,
        replaces: None,
        waited: None,
        internal: false,
    };
    let granted = store.acquire(&bid, ENDLESS).await.unwrap();
    let AcquireOutcome::Granted { token } = granted else {
        panic!("{granted:?}");
    };
    let lease = Lease {
        resource: resource.clone(),
        holder: bid.candidate,
        token,
    };
    let renewed = store.renew(&lease, ENDLESS, ENDLESS).await.unwrap();
    assert_eq!(renewed, RenewOutcome::RENEWED);
    let record = store.read(&resource, ENDLESS).await.unwrap().unwrap();
    assert!(record.is_held() && record.remaining > Duration::from_secs(3600));
}

#[tokio::test]
async fn an_endless_lease_in_memory_does_not_overflow() {
    assert_granted_and_renewed_without_an_end(&MemoryStore::new()).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_lease_in_a_file_and_the_busy_limit_of_its_store_may_be_endless() {
    let folder = tempfile::tempdir().unwrap();
    let builder = tenure::SqliteStore::builder().busy_limit(ENDLESS);
    let store = builder.open(folder.path().join("leases.db")).unwrap();
    assert_granted_and_renewed_without_an_end(&store).await;
}

#[tokio::test]
async fn a_wait_for_a_lock_may_be_endless() {
    let locks = LockManager::new(Arc::new(MemoryStore::new())).unwrap();
    let (a, b) = (locks.mutex("a").unwrap(), locks.mutex("b").unwrap());
    let guard = a.guard_timeout(ENDLESS).await.unwrap();
    assert!(guard.require(ENDLESS).is_err());
    guard.release().await.unwrap();
    a.lock_timeout(ENDLESS).await.unwrap();
    a.unlock().await.unwrap();
    let both = lock_all_timeout([&a, &b], ENDLESS).await.unwrap();
    both.release().await.unwrap();
}

struct Follower;

impl Actor for Follower {
    type Context = Context<Self>;
}

impl Handler<BecameLeader> for Follower {
    type Result = ();
    fn handle(&mut self, message: BecameLeader, _: &mut Context<Self>) {
        assert!(message.leadership.require(ENDLESS).is_err());
    }
}

impl Handler<BecameFollower> for Follower {
    type Result = ();
    fn handle(&mut self, _: BecameFollower, _: &mut Context<Self>) {}
}

#[test]
fn a_hold_off_and_the_delay_of_a_store_may_be_endless() {
    System::new().block_on(async {
        let store = FaultyStore::new(Arc::new(MemoryStore::new()));
        let lock = LockActor::builder("r", Arc::new(store.clone()));
        let lock = lock.start().unwrap();
        let follower = Follower.start();
        lock.subscribe(&follower);
        while !lock.is_leader() {
            actix::clock::sleep(Duration::from_millis(1)).await;
        }
        let outcome = lock.step_down_for(ENDLESS).await.unwrap();
        assert_eq!(outcome, StepDownOutcome::Released);
        lock.status().await.unwrap();
        lock.resume().await.unwrap();
        store.always(Fault::Delay(ENDLESS));
        lock.status().await.unwrap();
        lock.address().do_send(Shutdown);
    });
}

#[test]
fn a_clock_that_is_moved_without_an_end_stays_at_its_last_moment() {
    let clock = ManualClock::new();
    clock.advance(ENDLESS);
    clock.advance(ENDLESS);
    assert_eq!(clock.now(), Moment::from_nanos(u64::MAX));
}
