//! Who gets a lease, with which token, and until when.

use std::time::{Duration, Instant};

use tenure::{LeaseStore as _, lease::CandidateId, store::ReleaseOutcome};

use super::not_held;
use crate::support::{LIMIT, TTL, TestCollection, granted, refused};

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn an_unexpired_attempt_gets_its_own_token_and_a_new_expiry_by_a_write() {
    let test_collection = TestCollection::new().await;
    test_collection.acquire("a", 1).await;
    test_collection.advance(TTL / 2).await;
    let (before, writes) = (
        test_collection.document().await,
        test_collection.writes().await,
    );
    assert_eq!(test_collection.acquire("a", 1).await, granted(1));
    let after = test_collection.document().await;
    assert_eq!(
        after.get_i64("version").unwrap(),
        before.get_i64("version").unwrap() + 1
    );
    assert_eq!(after.get("since"), before.get("since"));
    assert_eq!(test_collection.writes().await, writes + 1);
    assert!(test_collection.read().await.remaining > TTL - Duration::from_secs(20));
    assert_eq!(test_collection.read().await.history.len(), 1);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn an_expired_attempt_gets_a_new_token() {
    let test_collection = TestCollection::new().await;
    test_collection.acquire("a", 1).await;
    test_collection.advance(TTL).await;
    assert_eq!(test_collection.acquire("a", 1).await, granted(2));
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_released_attempt_is_never_granted_again() {
    let test_collection = TestCollection::new().await;
    test_collection.acquire("a", 1).await;
    let released = test_collection
        .store
        .release(&test_collection.attempt(1), None, LIMIT)
        .await
        .unwrap();
    assert_eq!(released, ReleaseOutcome::Released);
    assert!(!refused(test_collection.acquire("a", 1).await).is_held());
    let again = test_collection
        .store
        .release(&test_collection.attempt(1), None, LIMIT)
        .await
        .unwrap();
    assert!(!not_held(again).is_held());
    assert_eq!(test_collection.acquire("a", 2).await, granted(2));
    // Another attempt holds it now.
    let late = test_collection
        .store
        .release(&test_collection.attempt(1), None, LIMIT)
        .await
        .unwrap();
    assert!(not_held(late).is_held());
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_refusal_names_the_holder_and_the_time_left_by_the_servers_clock() {
    let test_collection = TestCollection::new().await;
    test_collection.acquire("a", 1).await;
    test_collection.advance(TTL / 2).await;
    let seen = refused(test_collection.acquire("b", 2).await);
    assert_eq!(seen.holder, Some(CandidateId::new("a").unwrap()));
    assert!(seen.remaining <= TTL / 2 + Duration::from_millis(1));
    assert!(seen.remaining > TTL / 2 - Duration::from_secs(20));
    assert_eq!((seen.ttl, seen.token), (TTL, test_collection.token(1)));
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn the_same_candidate_id_with_another_attempt_is_refused_unless_reentrant() {
    let test_collection = TestCollection::new().await;
    test_collection.acquire("a", 1).await;
    assert!(refused(test_collection.acquire("a", 2).await).is_held());
    let mut again = test_collection.bid("a", 3);
    again.reentrant = true;
    assert_eq!(test_collection.acquire_by(&again).await, granted(2));
    again = test_collection.bid("b", 4);
    again.reentrant = true;
    assert!(refused(test_collection.acquire_by(&again).await).is_held());
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_lease_expires_by_the_servers_clock_and_not_before_its_ttl() {
    let test_collection = TestCollection::new().await;
    for round in 0..5 {
        let mut short = test_collection.bid("a", round * 2);
        short.ttl = Duration::from_micros(299_100);
        let sent = Instant::now();
        assert_eq!(
            test_collection.acquire_by(&short).await,
            granted(round as u64 * 2 + 1)
        );
        assert_eq!(test_collection.read().await.ttl, Duration::from_millis(300));
        while test_collection.acquire("b", round * 2 + 1).await != granted(round as u64 * 2 + 2) {}
        assert!(sent.elapsed() >= short.ttl, "after {:?}", sent.elapsed());
        assert!(sent.elapsed() < short.ttl + Duration::from_secs(5));
        test_collection
            .store
            .release(&test_collection.attempt(round * 2 + 1), None, LIMIT)
            .await
            .unwrap();
    }
}
