//! The clauses of the contract, one by one.

use std::time::{Duration, Instant};

use tenure::{
    FencingToken, LeaseStore as _,
    lease::{CandidateId, LeaseRecord, Metadata, ResourceName},
    store::{EvictionMode, ReleaseOutcome, RenewOutcome},
};

use crate::support::{LIMIT, TTL, TestCollection, granted, refused, unique};

fn lost(outcome: RenewOutcome) -> LeaseRecord {
    match outcome {
        RenewOutcome::Lost(Some(record)) => record,
        other => panic!("{other:?}"),
    }
}

fn not_held(outcome: ReleaseOutcome) -> LeaseRecord {
    match outcome {
        ReleaseOutcome::NotHeld(Some(record)) => record,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_record_survives_release_and_its_token_grows_on() {
    let test_collection = TestCollection::new().await;
    assert_eq!(
        test_collection
            .store
            .read(&test_collection.name, LIMIT)
            .await
            .unwrap(),
        None
    );
    assert_eq!(test_collection.acquire("a", 1).await, granted(1));
    let released = test_collection
        .store
        .release(&test_collection.claim("a", 1), LIMIT)
        .await
        .unwrap();
    assert_eq!(released, ReleaseOutcome::Released);
    let record = test_collection.read().await;
    assert_eq!(
        (record.token, record.holder.as_ref()),
        (FencingToken::new(1), None)
    );
    assert_eq!(
        (record.remaining, record.is_held()),
        (Duration::ZERO, false)
    );
    assert_eq!(test_collection.acquire("b", 2).await, granted(2));
    assert_eq!(test_collection.read().await.history.len(), 2);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn an_unexpired_attempt_gets_its_own_token_and_a_fresh_expiry_by_a_write() {
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
        .release(&test_collection.attempt(1), LIMIT)
        .await
        .unwrap();
    assert_eq!(released, ReleaseOutcome::Released);
    assert!(!refused(test_collection.acquire("a", 1).await).is_held());
    let again = test_collection
        .store
        .release(&test_collection.attempt(1), LIMIT)
        .await
        .unwrap();
    assert!(!not_held(again).is_held());
    assert_eq!(test_collection.acquire("a", 2).await, granted(2));
    // Not the attempt that holds it now.
    let late = test_collection
        .store
        .release(&test_collection.attempt(1), LIMIT)
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
    assert_eq!((seen.ttl, seen.token), (TTL, FencingToken::new(1)));
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn the_same_candidate_id_with_another_attempt_is_refused_unless_reentrant() {
    let test_collection = TestCollection::new().await;
    test_collection.acquire("a", 1).await;
    assert!(refused(test_collection.acquire("a", 2).await).is_held());
    let mut again = test_collection.bid("a", 3);
    again.reentrant = true;
    assert_eq!(
        test_collection.store.acquire(&again, LIMIT).await.unwrap(),
        granted(2)
    );
    again = test_collection.bid("b", 4);
    again.reentrant = true;
    assert!(refused(test_collection.store.acquire(&again, LIMIT).await.unwrap()).is_held());
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_lapsed_or_foreign_lease_is_not_renewed() {
    let test_collection = TestCollection::new().await;
    let (store, unknown) = (&test_collection.store, test_collection.lease("a", 1));
    assert_eq!(
        store.renew(&unknown, TTL, LIMIT).await.unwrap(),
        RenewOutcome::Lost(None)
    );
    let nothing = store
        .release(&test_collection.claim("a", 1), LIMIT)
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
    assert_eq!(renewed, RenewOutcome::Renewed);
    test_collection.advance(TTL / 2).await;
    let foreign = store
        .release(&test_collection.claim("b", 1), LIMIT)
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
        .release(&test_collection.claim("a", 1), LIMIT)
        .await
        .unwrap();
    assert_eq!(lapsed, ReleaseOutcome::Released);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_closing_lease_is_neither_renewed_nor_acquired_before_its_expiry() {
    let test_collection = TestCollection::new().await;
    let (store, token) = (&test_collection.store, FencingToken::new(1));
    test_collection.acquire("a", 1).await;
    let other = store
        .evict(
            &test_collection.name,
            FencingToken::new(2),
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
    assert!(refused(store.acquire(&again, LIMIT).await.unwrap()).closing);
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
async fn a_forced_eviction_frees_at_once_and_is_distinguishable_from_an_expiry() {
    let test_collection = TestCollection::new().await;
    test_collection.acquire("a", 1).await;
    let token = FencingToken::new(1);
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

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn history_is_capped() {
    let test_collection = TestCollection::new().await;
    for n in 0..20 {
        assert_eq!(test_collection.acquire("a", n).await, granted(n as u64 + 1));
        test_collection.advance(TTL).await;
    }
    let record = test_collection.read().await;
    assert_eq!(record.history.len(), LeaseRecord::HISTORY);
    assert_eq!(record.history[0].token, FencingToken::new(13));
    assert_eq!(record.history.last().unwrap().token, FencingToken::new(20));
    assert_eq!(record.history.last().unwrap().since, record.since);
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
            test_collection.store.acquire(&short, LIMIT).await.unwrap(),
            granted(round as u64 * 2 + 1)
        );
        assert_eq!(test_collection.read().await.ttl, Duration::from_millis(300));
        while test_collection.acquire("b", round * 2 + 1).await != granted(round as u64 * 2 + 2) {}
        assert!(sent.elapsed() >= short.ttl, "after {:?}", sent.elapsed());
        assert!(sent.elapsed() < short.ttl + Duration::from_secs(5));
        test_collection
            .store
            .release(&test_collection.attempt(round * 2 + 1), LIMIT)
            .await
            .unwrap();
    }
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn odd_names_are_only_text() {
    let mut test_collection = TestCollection::new().await;
    for odd in [
        "$holder",
        "$$NOW",
        "$$ROOT",
        "a.b",
        "{\"$ne\": 1}",
        "ä/🔑:*?%'\"\\",
        "$",
        " ",
    ] {
        test_collection.name = ResourceName::new(format!("{odd}{}/{odd}", unique())).unwrap();
        let metadata = Metadata::new(format!("{odd}\n\0")).unwrap();
        let mut bid = test_collection.bid(odd, 1);
        bid.metadata = Some(metadata.clone());
        assert_eq!(
            test_collection.store.acquire(&bid, LIMIT).await.unwrap(),
            granted(1)
        );
        let renewed = test_collection
            .store
            .renew(&test_collection.lease(odd, 1), TTL, LIMIT)
            .await
            .unwrap();
        assert_eq!(renewed, RenewOutcome::Renewed, "{odd}");
        let record = test_collection.read().await;
        assert_eq!(
            (&record.resource, record.metadata),
            (&test_collection.name, Some(metadata))
        );
        assert_eq!(record.holder, Some(CandidateId::new(odd).unwrap()));
        assert_eq!(record.history[0].holder.as_str(), odd);
        let listed = test_collection
            .store
            .list(&test_collection.scope(), LIMIT)
            .await
            .unwrap();
        assert_eq!(
            listed
                .iter()
                .filter(|record| record.resource == test_collection.name)
                .count(),
            1
        );
        let released = test_collection
            .store
            .release(&test_collection.claim(odd, 1), LIMIT)
            .await
            .unwrap();
        assert_eq!(released, ReleaseOutcome::Released);
    }
    // Longer than any other.
    test_collection.name = ResourceName::new(format!("{}{}", unique(), "x".repeat(239))).unwrap();
    let mut bid = test_collection.bid(&"ö".repeat(127), 1);
    bid.metadata = Some(Metadata::new("m".repeat(4096)).unwrap());
    bid.ttl = Duration::MAX;
    assert_eq!(
        test_collection.store.acquire(&bid, LIMIT).await.unwrap(),
        granted(1)
    );
    assert_eq!(test_collection.read().await.metadata, bid.metadata);
    assert_eq!(
        refused(test_collection.acquire("b", 2).await).metadata,
        bid.metadata
    );
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn metadata_is_that_of_the_last_acquisition() {
    let test_collection = TestCollection::new().await;
    let mut bid = test_collection.bid("a", 1);
    bid.metadata = Some(Metadata::new("here").unwrap());
    test_collection.store.acquire(&bid, LIMIT).await.unwrap();
    test_collection
        .store
        .release(&test_collection.claim("a", 1), LIMIT)
        .await
        .unwrap();
    assert_eq!(test_collection.read().await.metadata, bid.metadata);
    test_collection.acquire("b", 2).await;
    assert_eq!(test_collection.read().await.metadata, None);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_list_has_what_lies_directly_in_the_scope_ordered_by_name() {
    let mut test_collection = TestCollection::new().await;
    test_collection.store.prepare().await.unwrap();
    let scope = test_collection.scope();
    for part in ["b", "a", "B", "ä", "deeper/a", "10", "9"] {
        test_collection.name = ResourceName::new(format!("{scope}{part}")).unwrap();
        test_collection.acquire("a", 1).await;
    }
    let listed = test_collection.store.list(&scope, LIMIT).await.unwrap();
    let names = listed
        .iter()
        .map(|record| record.resource.as_str().replace(scope.as_prefix(), ""));
    assert_eq!(names.collect::<Vec<_>>(), ["10", "9", "B", "a", "b", "ä"]);
    assert!(listed.iter().all(LeaseRecord::is_held));
    // More than one batch of a cursor.
    let scope = tenure::lease::Scope::new(unique()).unwrap();
    for n in 0..120 {
        test_collection.name = ResourceName::new(format!("{scope}{n:03}")).unwrap();
        test_collection.acquire("a", 1).await;
    }
    assert_eq!(
        test_collection
            .store
            .list(&scope, LIMIT)
            .await
            .unwrap()
            .len(),
        120
    );
}
