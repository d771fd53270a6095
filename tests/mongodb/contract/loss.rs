//! Leases that are no longer held: expired, released or evicted.

use tenure::{
    LeaseStore as _,
    store::{EvictionMode, ReleaseOutcome, RenewOutcome},
};

use super::{lost, not_held};
use crate::support::{LIMIT, TTL, TestCollection, granted, refused};

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn an_expired_lease_or_that_of_another_candidate_is_not_renewed() {
    let test_collection = TestCollection::new().await;
    let (store, unknown) = (&test_collection.store, test_collection.lease("a", 1));
    assert_eq!(
        store.renew(&unknown, TTL, LIMIT).await.unwrap(),
        RenewOutcome::Lost(None)
    );
    let nothing = store
        .release(&test_collection.claim("a", 1), None, LIMIT)
        .await
        .unwrap();
    assert_eq!(nothing, ReleaseOutcome::NotHeld(None));
    test_collection.acquire("a", 1).await;
    assert!(
        lost(
            store
                .renew(&test_collection.lease("b", 1), TTL, LIMIT)
                .await
                .unwrap()
        )
        .is_held()
    );
    assert!(
        lost(
            store
                .renew(&test_collection.lease("a", 0), TTL, LIMIT)
                .await
                .unwrap()
        )
        .is_held()
    );
    test_collection.advance(TTL / 2).await;
    let renewed = store
        .renew(&test_collection.lease("a", 1), TTL, LIMIT)
        .await
        .unwrap();
    assert_eq!(renewed, RenewOutcome::RENEWED);
    test_collection.advance(TTL / 2).await;
    let foreign = store
        .release(&test_collection.claim("b", 1), None, LIMIT)
        .await
        .unwrap();
    assert!(not_held(foreign).is_held());
    test_collection.advance(TTL / 2).await;
    assert!(
        !lost(
            store
                .renew(&test_collection.lease("a", 1), TTL, LIMIT)
                .await
                .unwrap()
        )
        .is_held()
    );
    let lapsed = store
        .release(&test_collection.claim("a", 1), None, LIMIT)
        .await
        .unwrap();
    assert_eq!(lapsed, ReleaseOutcome::Released);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_closing_lease_is_neither_renewed_nor_acquired_before_its_expiry() {
    let test_collection = TestCollection::new().await;
    test_collection.acquire("a", 1).await;
    let (store, token) = (&test_collection.store, test_collection.token(1));
    let other = store
        .evict(
            &test_collection.name,
            test_collection.token(2),
            EvictionMode::Close,
            LIMIT,
        )
        .await
        .unwrap();
    assert!(!not_held(other).closing);
    let evicted = store
        .evict(&test_collection.name, token, EvictionMode::Close, LIMIT)
        .await
        .unwrap();
    assert_eq!(evicted, ReleaseOutcome::Released);
    let seen = lost(
        store
            .renew(&test_collection.lease("a", 1), TTL, LIMIT)
            .await
            .unwrap(),
    );
    assert!(seen.closing && seen.is_held());
    assert!(refused(test_collection.acquire("a", 1).await).closing);
    let mut again = test_collection.bid("a", 3);
    again.reentrant = true;
    assert!(refused(test_collection.acquire_by(&again).await).closing);
    assert!(refused(test_collection.acquire("b", 2).await).closing);
    test_collection.advance(TTL).await;
    let late = store
        .evict(&test_collection.name, token, EvictionMode::Force, LIMIT)
        .await
        .unwrap();
    assert!(not_held(late).holder.is_some());
    assert_eq!(test_collection.acquire("b", 2).await, granted(2));
    assert!(!test_collection.read().await.closing);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_forced_eviction_frees_the_lease_at_once_and_differs_from_an_expiry() {
    let test_collection = TestCollection::new().await;
    test_collection.acquire("a", 1).await;
    let token = test_collection.token(1);
    let evicted = test_collection
        .store
        .evict(&test_collection.name, token, EvictionMode::Force, LIMIT)
        .await
        .unwrap();
    assert_eq!(evicted, ReleaseOutcome::Released);
    let seen = lost(
        test_collection
            .store
            .renew(&test_collection.lease("a", 1), TTL, LIMIT)
            .await
            .unwrap(),
    );
    assert!(seen.closing && !seen.is_held());
    assert!(!refused(test_collection.acquire("a", 1).await).is_held());
    assert_eq!(test_collection.acquire("b", 2).await, granted(2));
}
