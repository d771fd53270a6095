//! A primary that stands still for a while, and many that wait for it with one client.

use std::{
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};

use tenure::{LeaseStore as _, ResourceName};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    proxy::Wire,
    support::{Place, primary},
};

const LOCKS: usize = 20;
const LIMIT: Duration = Duration::from_millis(300);

/// A wire to the primary that is frozen, after the client has used it.
async fn frozen() -> (Wire, Place) {
    let wire = Wire::default();
    let mut place = Place::of(wire.lay(primary().await).await);
    place.store.read(&place.name, LIMIT).await.unwrap();
    place.store = place.store.call_limit(LIMIT);
    wire.frozen.store(true, SeqCst);
    (wire, place)
}

/// Bids as a lock does, again and again until it is granted. `patience` is that of the caller.
async fn bid(place: &Place, lock: usize, patience: Duration) {
    let mut bid = place.bid("a", 1);
    bid.resource = ResourceName::new(format!("{}/{lock}", place.name)).unwrap();
    while !matches!(
        timeout(patience, place.store.acquire(&bid, LIMIT)).await,
        Ok(Ok(_))
    ) {
        sleep(Duration::from_millis(100)).await;
    }
}

/// More requests than the driver's pool has connections end in its queue, and their successors there.
async fn all_come_through(patience: Duration) {
    let (wire, place) = frozen().await;
    let place = std::sync::Arc::new(place);
    let mut bids = JoinSet::new();
    for lock in 0..LOCKS {
        let place = place.clone();
        bids.spawn(async move { bid(&place, lock, patience).await });
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
async fn requests_that_a_frozen_primary_has_outlived_do_not_hold_up_those_after_the_thaw() {
    all_come_through(Duration::MAX).await;
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn nor_do_requests_that_their_callers_have_dropped() {
    all_come_through(LIMIT / 2).await;
}
