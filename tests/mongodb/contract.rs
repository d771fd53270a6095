//! The clauses of the contract, one by one.

use std::time::{Duration, Instant};

use tenure::{
    CandidateId, Eviction, FencingToken, LeaseRecord, LeaseStore as _, Metadata, ReleaseOutcome,
    RenewOutcome, ResourceName,
};

use crate::support::{LIMIT, Place, TTL, granted, refused, unique};

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
    let place = Place::new().await;
    assert_eq!(place.store.read(&place.name, LIMIT).await.unwrap(), None);
    assert_eq!(place.acquire("a", 1).await, granted(1));
    let released = place
        .store
        .release(&place.claim("a", 1), LIMIT)
        .await
        .unwrap();
    assert_eq!(released, ReleaseOutcome::Released);
    let record = place.read().await;
    assert_eq!(
        (record.token, record.holder.as_ref()),
        (FencingToken::new(1), None)
    );
    assert_eq!(
        (record.remaining, record.is_held()),
        (Duration::ZERO, false)
    );
    assert_eq!(place.acquire("b", 2).await, granted(2));
    assert_eq!(place.read().await.history.len(), 2);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn an_unexpired_attempt_gets_its_own_token_and_a_fresh_expiry_by_a_write() {
    let place = Place::new().await;
    place.acquire("a", 1).await;
    place.advance(TTL / 2).await;
    let (before, writes) = (place.document().await, place.writes().await);
    assert_eq!(place.acquire("a", 1).await, granted(1));
    let after = place.document().await;
    assert_eq!(
        after.get_i64("version").unwrap(),
        before.get_i64("version").unwrap() + 1
    );
    assert_eq!(after.get("since"), before.get("since"));
    assert_eq!(place.writes().await, writes + 1);
    assert!(place.read().await.remaining > TTL - Duration::from_secs(20));
    assert_eq!(place.read().await.history.len(), 1);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn an_expired_attempt_gets_a_new_token() {
    let place = Place::new().await;
    place.acquire("a", 1).await;
    place.advance(TTL).await;
    assert_eq!(place.acquire("a", 1).await, granted(2));
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_released_attempt_is_spent() {
    let place = Place::new().await;
    place.acquire("a", 1).await;
    let released = place.store.release(&place.attempt(1), LIMIT).await.unwrap();
    assert_eq!(released, ReleaseOutcome::Released);
    assert!(!refused(place.acquire("a", 1).await).is_held());
    let again = place.store.release(&place.attempt(1), LIMIT).await.unwrap();
    assert!(!not_held(again).is_held());
    assert_eq!(place.acquire("a", 2).await, granted(2));
    // Not the attempt that holds it now.
    let late = place.store.release(&place.attempt(1), LIMIT).await.unwrap();
    assert!(not_held(late).is_held());
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_refusal_names_the_holder_and_the_time_left_by_the_servers_clock() {
    let place = Place::new().await;
    place.acquire("a", 1).await;
    place.advance(TTL / 2).await;
    let seen = refused(place.acquire("b", 2).await);
    assert_eq!(seen.holder, Some(CandidateId::new("a").unwrap()));
    assert!(seen.remaining <= TTL / 2 + Duration::from_millis(1));
    assert!(seen.remaining > TTL / 2 - Duration::from_secs(20));
    assert_eq!((seen.ttl, seen.token), (TTL, FencingToken::new(1)));
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn the_same_candidate_id_with_another_attempt_is_refused_unless_reentrant() {
    let place = Place::new().await;
    place.acquire("a", 1).await;
    assert!(refused(place.acquire("a", 2).await).is_held());
    let mut again = place.bid("a", 3);
    again.reentrant = true;
    assert_eq!(
        place.store.acquire(&again, LIMIT).await.unwrap(),
        granted(2)
    );
    again = place.bid("b", 4);
    again.reentrant = true;
    assert!(refused(place.store.acquire(&again, LIMIT).await.unwrap()).is_held());
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_lapsed_or_foreign_lease_is_not_renewed() {
    let place = Place::new().await;
    let (store, unknown) = (&place.store, place.lease("a", 1));
    assert_eq!(
        store.renew(&unknown, TTL, LIMIT).await.unwrap(),
        RenewOutcome::Lost(None)
    );
    let nothing = store.release(&place.claim("a", 1), LIMIT).await.unwrap();
    assert_eq!(nothing, ReleaseOutcome::NotHeld(None));
    place.acquire("a", 1).await;
    assert!(lost(store.renew(&place.lease("b", 1), TTL, LIMIT).await.unwrap()).is_held());
    assert!(lost(store.renew(&place.lease("a", 0), TTL, LIMIT).await.unwrap()).is_held());
    place.advance(TTL / 2).await;
    let renewed = store.renew(&place.lease("a", 1), TTL, LIMIT).await.unwrap();
    assert_eq!(renewed, RenewOutcome::Renewed);
    place.advance(TTL / 2).await;
    let foreign = store.release(&place.claim("b", 1), LIMIT).await.unwrap();
    assert!(not_held(foreign).is_held());
    place.advance(TTL / 2).await;
    assert!(!lost(store.renew(&place.lease("a", 1), TTL, LIMIT).await.unwrap()).is_held());
    let lapsed = store.release(&place.claim("a", 1), LIMIT).await.unwrap();
    assert_eq!(lapsed, ReleaseOutcome::Released);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_closing_lease_is_neither_renewed_nor_acquired_before_its_expiry() {
    let place = Place::new().await;
    let (store, token) = (&place.store, FencingToken::new(1));
    place.acquire("a", 1).await;
    let other = store
        .evict(&place.name, FencingToken::new(2), Eviction::Close, LIMIT)
        .await
        .unwrap();
    assert!(!not_held(other).closing);
    let evicted = store
        .evict(&place.name, token, Eviction::Close, LIMIT)
        .await
        .unwrap();
    assert_eq!(evicted, ReleaseOutcome::Released);
    let seen = lost(store.renew(&place.lease("a", 1), TTL, LIMIT).await.unwrap());
    assert!(seen.closing && seen.is_held());
    assert!(refused(place.acquire("a", 1).await).closing);
    let mut again = place.bid("a", 3);
    again.reentrant = true;
    assert!(refused(store.acquire(&again, LIMIT).await.unwrap()).closing);
    assert!(refused(place.acquire("b", 2).await).closing);
    place.advance(TTL).await;
    let late = store
        .evict(&place.name, token, Eviction::Force, LIMIT)
        .await
        .unwrap();
    assert!(not_held(late).holder.is_some());
    assert_eq!(place.acquire("b", 2).await, granted(2));
    assert!(!place.read().await.closing);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_forced_eviction_frees_at_once_and_can_be_told_from_an_expiry() {
    let place = Place::new().await;
    place.acquire("a", 1).await;
    let token = FencingToken::new(1);
    let evicted = place
        .store
        .evict(&place.name, token, Eviction::Force, LIMIT)
        .await
        .unwrap();
    assert_eq!(evicted, ReleaseOutcome::Released);
    let seen = lost(
        place
            .store
            .renew(&place.lease("a", 1), TTL, LIMIT)
            .await
            .unwrap(),
    );
    assert!(seen.closing && !seen.is_held());
    assert!(!refused(place.acquire("a", 1).await).is_held());
    assert_eq!(place.acquire("b", 2).await, granted(2));
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn history_is_capped() {
    let place = Place::new().await;
    for n in 0..20 {
        assert_eq!(place.acquire("a", n).await, granted(n as u64 + 1));
        place.advance(TTL).await;
    }
    let record = place.read().await;
    assert_eq!(record.history.len(), LeaseRecord::HISTORY);
    assert_eq!(record.history[0].token, FencingToken::new(13));
    assert_eq!(record.history.last().unwrap().token, FencingToken::new(20));
    assert_eq!(record.history.last().unwrap().since, record.since);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_lease_expires_by_the_servers_clock_and_not_before_its_ttl() {
    let place = Place::new().await;
    for round in 0..5 {
        let mut short = place.bid("a", round * 2);
        short.ttl = Duration::from_micros(299_100);
        let sent = Instant::now();
        assert_eq!(
            place.store.acquire(&short, LIMIT).await.unwrap(),
            granted(round as u64 * 2 + 1)
        );
        assert_eq!(place.read().await.ttl, Duration::from_millis(300));
        while place.acquire("b", round * 2 + 1).await != granted(round as u64 * 2 + 2) {}
        assert!(sent.elapsed() >= short.ttl, "after {:?}", sent.elapsed());
        assert!(sent.elapsed() < short.ttl + Duration::from_secs(5));
        place
            .store
            .release(&place.attempt(round * 2 + 1), LIMIT)
            .await
            .unwrap();
    }
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn odd_names_are_only_text() {
    let mut place = Place::new().await;
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
        place.name = ResourceName::new(format!("{odd}{}/{odd}", unique())).unwrap();
        let metadata = Metadata::new(format!("{odd}\n\0")).unwrap();
        let mut bid = place.bid(odd, 1);
        bid.metadata = Some(metadata.clone());
        assert_eq!(place.store.acquire(&bid, LIMIT).await.unwrap(), granted(1));
        let renewed = place
            .store
            .renew(&place.lease(odd, 1), TTL, LIMIT)
            .await
            .unwrap();
        assert_eq!(renewed, RenewOutcome::Renewed, "{odd}");
        let record = place.read().await;
        assert_eq!(
            (&record.resource, record.metadata),
            (&place.name, Some(metadata))
        );
        assert_eq!(record.holder, Some(CandidateId::new(odd).unwrap()));
        assert_eq!(record.history[0].holder.as_str(), odd);
        let listed = place.store.list(&place.scope(), LIMIT).await.unwrap();
        assert_eq!(
            listed
                .iter()
                .filter(|record| record.resource == place.name)
                .count(),
            1
        );
        let released = place
            .store
            .release(&place.claim(odd, 1), LIMIT)
            .await
            .unwrap();
        assert_eq!(released, ReleaseOutcome::Released);
    }
    // Longer than any other.
    place.name = ResourceName::new(format!("{}{}", unique(), "x".repeat(239))).unwrap();
    let mut bid = place.bid(&"ö".repeat(127), 1);
    bid.metadata = Some(Metadata::new("m".repeat(4096)).unwrap());
    bid.ttl = Duration::MAX;
    assert_eq!(place.store.acquire(&bid, LIMIT).await.unwrap(), granted(1));
    assert_eq!(place.read().await.metadata, bid.metadata);
    assert_eq!(refused(place.acquire("b", 2).await).metadata, bid.metadata);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn metadata_is_that_of_the_last_acquisition() {
    let place = Place::new().await;
    let mut bid = place.bid("a", 1);
    bid.metadata = Some(Metadata::new("here").unwrap());
    place.store.acquire(&bid, LIMIT).await.unwrap();
    place
        .store
        .release(&place.claim("a", 1), LIMIT)
        .await
        .unwrap();
    assert_eq!(place.read().await.metadata, bid.metadata);
    place.acquire("b", 2).await;
    assert_eq!(place.read().await.metadata, None);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_list_has_what_lies_directly_in_the_scope_ordered_by_name() {
    let mut place = Place::new().await;
    place.store.ensure().await.unwrap();
    let scope = place.scope();
    for part in ["b", "a", "B", "ä", "deeper/a", "10", "9"] {
        place.name = ResourceName::new(format!("{scope}{part}")).unwrap();
        place.acquire("a", 1).await;
    }
    let listed = place.store.list(&scope, LIMIT).await.unwrap();
    let names = listed
        .iter()
        .map(|record| record.resource.as_str().replace(scope.as_prefix(), ""));
    assert_eq!(names.collect::<Vec<_>>(), ["10", "9", "B", "a", "b", "ä"]);
    assert!(listed.iter().all(LeaseRecord::is_held));
    // More than one batch of a cursor.
    let scope = tenure::Scope::new(unique()).unwrap();
    for n in 0..120 {
        place.name = ResourceName::new(format!("{scope}{n:03}")).unwrap();
        place.acquire("a", 1).await;
    }
    assert_eq!(place.store.list(&scope, LIMIT).await.unwrap().len(), 120);
}
