//! A primary that freezes for a while, and many requests of one client that wait for it.

use std::{
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};

use tenure::{LeaseStore as _, lease::ResourceName};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    proxy::Wire,
    support::{TestCollection, primary},
};

const LOCKS: usize = 20;
const LIMIT: Duration = Duration::from_millis(300);

/// A wire to the primary that is frozen, after the client has used it.
async fn frozen() -> (Wire, TestCollection) {
    let wire = Wire::default();
    let mut test_collection = TestCollection::of(wire.lay(primary().await).await);
    test_collection
        .store
        .read(&test_collection.name, LIMIT)
        .await
        .unwrap();
    test_collection.store = test_collection.store.call_limit(LIMIT);
    wire.frozen.store(true, SeqCst);
    (wire, test_collection)
}

/// Bids repeatedly, as a lock does, until the lease is granted. `limit` is the time limit of the caller.
async fn bid(test_collection: &TestCollection, lock: usize, limit: Duration) {
    let mut bid = test_collection.bid("a", 1);
    bid.resource = ResourceName::new(format!("{}/{lock}", test_collection.name)).unwrap();
    while !matches!(
        timeout(limit, test_collection.store.acquire(&bid, LIMIT)).await,
        Ok(Ok(_))
    ) {
        sleep(Duration::from_millis(100)).await;
    }
}

/// Sends more requests than the driver's pool has connections, so that requests end in the driver's queue.
/// All must be granted after the thaw.
async fn all_are_granted_after_the_thaw(limit: Duration) {
    let (wire, test_collection) = frozen().await;
    let test_collection = std::sync::Arc::new(test_collection);
    let mut bids = JoinSet::new();
    for lock in 0..LOCKS {
        let test_collection = test_collection.clone();
        bids.spawn(async move { bid(&test_collection, lock, limit).await });
    }
    sleep(Duration::from_secs(6)).await;
    assert_eq!(bids.len(), LOCKS);
    wire.frozen.store(false, SeqCst);
    let since = Instant::now();
    while let Ok(Some(done)) = timeout(Duration::from_secs(10), bids.join_next()).await {
        done.unwrap();
    }
    let left = bids.len();
    assert_eq!(left, 0, "not granted {:?} after the thaw", since.elapsed());
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn requests_that_timed_out_while_the_primary_was_frozen_do_not_delay_later_ones() {
    all_are_granted_after_the_thaw(Duration::MAX).await;
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn requests_that_were_dropped_while_the_primary_was_frozen_do_not_delay_later_ones() {
    all_are_granted_after_the_thaw(LIMIT / 2).await;
}
