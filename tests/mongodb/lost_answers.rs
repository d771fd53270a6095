//! Answers to writes that never arrive: once, so that the driver's second try gets one, and twice.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use actix::prelude::*;
use tenure::{
    BecameFollower, BecameLeader, LeaseStore as _, LockActor, LockHandle, MongoStore, Reason,
    StoreError, Timing,
    actor::StepDownOutcome,
    start_actor,
    store::{ReleaseOutcome, RenewOutcome, StoreErrorKind},
};

use crate::{
    proxy::Wire,
    support::{LIMIT, TTL, TestCollection, granted, primary},
};

/// A collection that is reached through a proxy, with an open connection.
async fn wired() -> (Wire, TestCollection) {
    let wire = Wire::default();
    let test_collection = TestCollection::of(wire.lay(primary().await).await);
    test_collection
        .store
        .read(&test_collection.name, LIMIT)
        .await
        .unwrap();
    (wire, test_collection)
}

#[track_caller]
fn assert_unknown<T: std::fmt::Debug>(answer: Result<T, StoreError>) {
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unknown, "{error}");
}

async fn version(test_collection: &TestCollection) -> i64 {
    test_collection.document().await.get_i64("version").unwrap()
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn an_answer_lost_once_is_repeated_by_the_driver_without_a_second_write() {
    let (wire, test_collection) = wired().await;
    let lose = || wire.cut.store(1, SeqCst);
    lose();
    assert_eq!(test_collection.acquire("a", 1).await, granted(1));
    assert_eq!(
        (wire.cut.load(SeqCst), version(&test_collection).await),
        (0, 1)
    );
    lose();
    let renewed = test_collection
        .store
        .renew(&test_collection.lease("a", 1), TTL, LIMIT)
        .await;
    assert_eq!(renewed.unwrap(), RenewOutcome::RENEWED);
    assert_eq!(
        (wire.cut.load(SeqCst), version(&test_collection).await),
        (0, 2)
    );
    lose();
    let released = test_collection
        .store
        .release(&test_collection.claim("a", 1), None, LIMIT)
        .await;
    assert_eq!(released.unwrap(), ReleaseOutcome::Released);
    assert_eq!(
        (wire.cut.load(SeqCst), version(&test_collection).await),
        (0, 3)
    );
    assert_eq!(test_collection.read().await.token, test_collection.token(1));
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_bid_whose_answer_is_lost_twice_is_unknown_and_the_attempt_gets_its_token() {
    for (retries, cuts) in [(Some(false), 1), (Some(true), 2)] {
        let wire = Wire::default();
        let mut options = wire.lay(primary().await).await;
        options.retry_writes = retries;
        let test_collection = TestCollection::of(options);
        test_collection
            .store
            .read(&test_collection.name, LIMIT)
            .await
            .unwrap();
        wire.cut.store(cuts, SeqCst);
        assert_unknown(
            test_collection
                .store
                .acquire(&test_collection.bid("a", 1), LIMIT)
                .await,
        );
        assert_eq!(test_collection.acquire("a", 1).await, granted(1));
        assert_eq!(version(&test_collection).await, 2);
    }
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_renewal_whose_answer_is_lost_twice_is_unknown_and_the_lease_stays() {
    let (wire, test_collection) = wired().await;
    test_collection.acquire("a", 1).await;
    test_collection.advance(TTL / 2).await;
    wire.cut.store(2, SeqCst);
    assert_unknown(
        test_collection
            .store
            .renew(&test_collection.lease("a", 1), TTL, LIMIT)
            .await,
    );
    assert_eq!(
        (wire.cut.load(SeqCst), version(&test_collection).await),
        (0, 2)
    );
    // The renewal was applied.
    let record = test_collection.read().await;
    assert!(record.is_held() && record.remaining > TTL / 2, "{record:?}");
    let again = test_collection
        .store
        .renew(&test_collection.lease("a", 1), TTL, LIMIT)
        .await;
    assert_eq!(again.unwrap(), RenewOutcome::RENEWED);
    assert_eq!(test_collection.read().await.token, test_collection.token(1));
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_release_whose_answer_is_lost_twice_is_unknown_and_done_only_once() {
    for by_owner in [false, true] {
        let (wire, test_collection) = wired().await;
        test_collection.acquire("a", 1).await;
        let claim = if by_owner {
            test_collection.owner("a")
        } else {
            test_collection.claim("a", 1)
        };
        wire.cut.store(2, SeqCst);
        assert_unknown(test_collection.store.release(&claim, None, LIMIT).await);
        assert_eq!(
            (wire.cut.load(SeqCst), version(&test_collection).await),
            (0, 2)
        );
        // Another candidate holds the lease now, and the second try must not release it.
        assert_eq!(test_collection.acquire("b", 2).await, granted(2));
        match test_collection
            .store
            .release(&claim, None, LIMIT)
            .await
            .unwrap()
        {
            ReleaseOutcome::NotHeld(Some(record)) => assert!(record.is_held(), "{record:?}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(version(&test_collection).await, 3);
    }
}

#[derive(Debug, PartialEq)]
enum Event {
    Leader(u64),
    Follower(Reason),
}

struct Recorder(Arc<Mutex<Vec<Event>>>);

impl Actor for Recorder {
    type Context = Context<Self>;
}

impl Handler<BecameLeader> for Recorder {
    type Result = ();
    fn handle(&mut self, message: BecameLeader, _: &mut Context<Self>) {
        let token = message.leadership.token().get();
        self.0.lock().unwrap().push(Event::Leader(token));
    }
}

impl Handler<BecameFollower> for Recorder {
    type Result = ();
    fn handle(&mut self, message: BecameFollower, _: &mut Context<Self>) {
        self.0.lock().unwrap().push(Event::Follower(message.reason));
    }
}

/// A lock that contends, and the messages that its subscriber gets.
struct Contender {
    lock: LockHandle,
    _recorder: Addr<Recorder>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Contender {
    fn start(test_collection: &TestCollection, store: &MongoStore) -> Self {
        let timing = Timing::builder()
            .ttl(Duration::from_secs(20))
            .renew_every(Duration::from_secs(2));
        let builder = LockActor::builder(test_collection.name.as_str(), Arc::new(store.clone()));
        let lock = builder.timing(timing.build().unwrap()).start().unwrap();
        let events = Arc::<Mutex<Vec<Event>>>::default();
        let told = events.clone();
        let recorder = start_actor(|_| Recorder(told)).unwrap();
        lock.subscribe(&recorder);
        Self {
            lock,
            _recorder: recorder,
            events,
        }
    }

    async fn wait_until_it_leads(&self) {
        while self.events.lock().unwrap().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[track_caller]
    fn assert_told(&self, events: &[Event]) {
        assert_eq!(*self.events.lock().unwrap(), events);
    }
}

async fn wait_until_lost(cut: &AtomicUsize) {
    while cut.load(SeqCst) > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn wait_for_version(test_collection: &TestCollection, least: i64) {
    while version(test_collection).await < least {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Loses answers during a whole leadership, while another candidate contends for the resource.
async fn a_lock_keeps_leading_when_answers_are_lost(times: usize) {
    let (wire, test_collection) = wired().await;
    // Through a separate proxy, which loses nothing.
    let (_, other) = wired().await;
    wire.cut.store(times, SeqCst);
    let leader = Contender::start(&test_collection, &test_collection.store);
    wait_until_lost(&wire.cut).await;
    let second = Contender::start(&test_collection, &other.store);
    leader.wait_until_it_leads().await;
    let record = test_collection.read().await;
    assert_eq!(record.history.len(), 1);
    let token = record.token.get();

    wire.cut.store(times, SeqCst);
    wait_until_lost(&wire.cut).await;
    let renewed = version(&test_collection).await;
    wait_for_version(&test_collection, renewed + 2).await;
    leader.assert_told(&[Event::Follower(Reason::NotElected), Event::Leader(token)]);
    second.assert_told(&[Event::Follower(Reason::NotElected)]);

    // If another candidate acquired in between, the second try of the release could not tell that the first was
    // applied.
    second.lock.pause().await.unwrap();
    // Wait for a renewal, so that the next lost answer is that of the release.
    let renewed = version(&test_collection).await + 1;
    wait_for_version(&test_collection, renewed).await;
    wire.cut.store(times, SeqCst);
    assert_eq!(leader.lock.shutdown().await, Ok(StepDownOutcome::Released));
    assert_eq!(
        (wire.cut.load(SeqCst), version(&test_collection).await),
        (0, renewed + 1)
    );
    second.lock.resume().await.unwrap();
    second.wait_until_it_leads().await;
    second.assert_told(&[
        Event::Follower(Reason::NotElected),
        Event::Leader(token + 1),
    ]);
    assert_eq!(second.lock.shutdown().await, Ok(StepDownOutcome::Released));
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_lock_keeps_leading_when_each_answer_is_lost_once() {
    a_lock_keeps_leading_when_answers_are_lost(1).await;
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_lock_keeps_leading_when_each_answer_is_lost_twice() {
    a_lock_keeps_leading_when_answers_are_lost(2).await;
}
