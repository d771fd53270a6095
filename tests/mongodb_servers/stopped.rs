//! A server that is stopped or frozen in the middle of a request: what the error says, and whether it says that
//! the request was applied.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::FutureExt as _;
use mongodb::options::ClientOptions;
use rustix::process::Signal;
use tenure::{
    LeaseStore, StoreError,
    lease::ResourceName,
    open_store,
    store::{
        AcquireOutcome,
        StoreErrorKind::{Unavailable, Unknown},
    },
};
use tokio::time::sleep;

use crate::{
    recovery::a_lock_retries_and_leads_when_the_store_is_repaired as recovers,
    standalone::Standalone,
    support::{LIMIT, TTL, TestCollection},
};

/// The limit that a lock with a ttl of 3 s gives the store: it waits for 0.6 s itself.
const SHORT: Duration = Duration::from_millis(540);

async fn opened(server: &Standalone, parameters: &str) -> Arc<dyn LeaseStore> {
    let url = format!(
        "mongodb://{}/tenure_test?{parameters}",
        server.mongod.address()
    );
    open_store(&url).await.unwrap()
}

/// Options of a client that notices a missed heartbeat within a second.
async fn with_short_heartbeats(server: &Standalone) -> ClientOptions {
    let mut options = server.options();
    options.heartbeat_freq = Some(Duration::from_millis(500));
    options.connect_timeout = Some(Duration::from_millis(500));
    options.retry_writes = Some(false);
    options
}

/// Waits until a bid was applied. Returns `false` after 5 s.
async fn is_applied(test_collection: &TestCollection, name: &ResourceName) -> bool {
    let mut tries = 0..50;
    loop {
        let found = test_collection.store.read(name, LIMIT).await;
        if found.is_ok_and(|record| record.is_some_and(|record| record.holder.is_some())) {
            return true;
        }
        if tries.next().is_none() {
            return false;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

#[track_caller]
fn names(error: &StoreError, server: &Standalone, cause: &str) {
    let expected = format!("{}: {cause}", server.mongod.address());
    assert!(error.to_string().contains(&expected), "{error}");
}

#[tokio::test]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn on_a_stopped_server_each_error_names_the_host_and_the_cause_within_a_short_limit() {
    let mut server = Standalone::start(&[]);
    let store = opened(&server, "").await;
    store.prepare().await.unwrap();
    let test_collection = TestCollection::of(server.options());
    let acquired = store
        .acquire(&test_collection.bid("a", 1), LIMIT)
        .await
        .unwrap();
    assert!(
        matches!(acquired, AcquireOutcome::Granted { .. }),
        "{acquired:?}"
    );
    server.mongod.kill();
    // Otherwise the first request could use the connection that has just been lost.
    sleep(Duration::from_millis(200)).await;
    // More requests than the store sends at once.
    for _ in 0..15 {
        let begun = Instant::now();
        let error = store
            .renew(&test_collection.lease("a", 1), TTL, SHORT)
            .await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), Unavailable, "{error}");
        names(&error, &server, "Connection refused (os error 111)");
        let error = store
            .acquire(&test_collection.bid("b", 2), SHORT)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), Unavailable, "{error}");
        names(&error, &server, "Connection refused (os error 111)");
        assert!(begun.elapsed() < SHORT * 3, "{:?}", begun.elapsed());
    }
}

#[tokio::test]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn a_bid_that_a_frozen_server_applies_later_is_unknown_with_any_client() {
    let server = Standalone::start(&[]);
    let mut test_collection = TestCollection::of(with_short_heartbeats(&server).await);
    test_collection.store = test_collection.store.call_limit(Duration::from_secs(20));
    let parameters =
        "heartbeatFrequencyMS=500&connectTimeoutMS=500&retryWrites=false&call_limit=20s";
    let opened = opened(&server, parameters).await;
    let stores: [Arc<dyn LeaseStore>; 2] = [Arc::new(test_collection.store.clone()), opened];
    for (index, store) in stores.into_iter().enumerate() {
        let mut bid = test_collection.bid("a", 1);
        bid.resource = ResourceName::new(format!("{}/{index}", test_collection.name)).unwrap();
        store.read(&bid.resource, LIMIT).await.unwrap();
        server.mongod.signal(Signal::STOP);
        let error = store.acquire(&bid, LIMIT).await.unwrap_err();
        assert_eq!(error.kind(), Unknown, "{error}");
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("monitor timeout"), "{source}");
        server.mongod.signal(Signal::CONT);
        assert!(is_applied(&test_collection, &bid.resource).await, "{index}");
    }
}

#[tokio::test]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn on_a_frozen_server_a_bid_that_waits_for_a_connection_is_unavailable_and_never_applied() {
    let server = Standalone::start(&[]);
    let mut options = with_short_heartbeats(&server).await;
    options.max_pool_size = Some(1);
    let mut test_collection = TestCollection::of(options);
    test_collection.store = test_collection.store.call_limit(Duration::from_secs(20));
    test_collection
        .store
        .read(&test_collection.name, LIMIT)
        .await
        .unwrap();
    server.mongod.signal(Signal::STOP);
    let mut bids = [test_collection.bid("a", 1), test_collection.bid("b", 2)];
    for (index, bid) in bids.iter_mut().enumerate() {
        bid.resource = ResourceName::new(format!("{}/{index}", test_collection.name)).unwrap();
    }
    let (sent, waiting) = tokio::join!(
        test_collection.store.acquire(&bids[0], LIMIT),
        test_collection.store.acquire(&bids[1], LIMIT)
    );
    assert_eq!(sent.unwrap_err().kind(), Unknown);
    let error = waiting.unwrap_err();
    assert_eq!(error.kind(), Unavailable, "{error}");
    server.mongod.signal(Signal::CONT);
    assert!(is_applied(&test_collection, &bids[0].resource).await);
    let record = test_collection
        .store
        .read(&bids[1].resource, LIMIT)
        .await
        .unwrap();
    assert!(record.is_none(), "{record:?}");
}

#[tokio::test]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn a_bid_without_an_answer_in_time_names_the_server_that_has_it() {
    let server = Standalone::start(&[]);
    let store = opened(&server, "").await;
    let test_collection = TestCollection::of(server.options());
    store.read(&test_collection.name, LIMIT).await.unwrap();
    server.mongod.signal(Signal::STOP);
    let error = store
        .acquire(&test_collection.bid("a", 1), SHORT)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Unknown, "{error}");
    let expected = format!("no answer from {} within 540 ms", server.mongod.address());
    assert!(error.to_string().contains(&expected), "{error}");
    let error = store.read(&test_collection.name, SHORT).await.unwrap_err();
    assert_eq!(error.kind(), Unavailable, "{error}");
    server.mongod.signal(Signal::CONT);
    assert!(is_applied(&test_collection, &test_collection.name).await);
}

/// If the lock's own time limit ended first, the error would be `Unknown` and would not name the cause.
#[actix::test]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn a_lock_with_a_short_ttl_gets_the_error_of_the_store_before_its_own_limit() {
    let mut server = Standalone::start(&[]);
    let store = opened(&server, "").await;
    store.prepare().await.unwrap();
    let test_collection = TestCollection::of(server.options());
    server.mongod.kill();
    sleep(Duration::from_millis(200)).await;
    let repair = async { server.mongod.launch() };
    recovers(
        store,
        &test_collection.name,
        Unavailable,
        repair.boxed_local(),
    )
    .await;
}
