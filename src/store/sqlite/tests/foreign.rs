use super::*;

/// A store on the same file whose clock is another's: far ahead, under another name.
fn elsewhere(place: &Place) -> (SqliteStore, ManualClock) {
    let clock = ManualClock::new();
    clock.advance(1_000_000 * SECOND);
    let builder = SqliteStore::builder().clock(Arc::new(clock.clone()), "elsewhere");
    (builder.open(place.path()).unwrap(), clock)
}

#[tokio::test]
async fn a_lease_under_a_foreign_clock_is_free_after_its_whole_ttl_was_observed() {
    let place = Place::new();
    place.store().acquire(&bid("a", 1), LIMIT).await.unwrap();
    let (there, clock) = elsewhere(&place);
    let record = refused(there.acquire(&bid("b", 2), LIMIT).await.unwrap());
    assert_eq!(record.remaining, TTL, "never free at once");
    place.clock.advance(1_000_000 * SECOND);
    clock.advance(TTL - Duration::from_nanos(1));
    let record = refused(there.acquire(&bid("b", 2), LIMIT).await.unwrap());
    assert_eq!(record.remaining, Duration::from_nanos(1));
    clock.advance(Duration::from_nanos(1));
    assert_eq!(
        there.acquire(&bid("b", 2), LIMIT).await.unwrap(),
        granted(2)
    );
    // It is on the taker's clock now, and foreign to the old holder's.
    let renewed = there.renew(&lease("b", 2), TTL, LIMIT).await.unwrap();
    assert_eq!(renewed, RenewOutcome::Renewed);
    refused(place.store().acquire(&bid("a", 3), LIMIT).await.unwrap());
}

#[tokio::test]
async fn a_clock_behind_does_not_prolong_a_foreign_lease() {
    let place = Place::new();
    place.clock.advance(9_000_000 * SECOND);
    place.store().acquire(&bid("a", 1), LIMIT).await.unwrap();
    let (there, clock) = elsewhere(&place);
    refused(there.acquire(&bid("b", 2), LIMIT).await.unwrap());
    clock.advance(TTL);
    assert_eq!(
        there.acquire(&bid("b", 2), LIMIT).await.unwrap(),
        granted(2)
    );
}

#[tokio::test]
async fn the_ttl_that_is_observed_is_the_holders() {
    let place = Place::new();
    let mut long = bid("a", 1);
    long.ttl = 6 * TTL;
    place.store().acquire(&long, LIMIT).await.unwrap();
    let (there, clock) = elsewhere(&place);
    refused(there.acquire(&bid("b", 2), LIMIT).await.unwrap());
    clock.advance(6 * TTL - SECOND);
    refused(there.acquire(&bid("b", 2), LIMIT).await.unwrap());
    clock.advance(SECOND);
    assert_eq!(
        there.acquire(&bid("b", 2), LIMIT).await.unwrap(),
        granted(2)
    );
}

#[tokio::test]
async fn an_observation_starts_again_when_the_version_changes() {
    let place = Place::new();
    let here = place.store();
    here.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let (there, clock) = elsewhere(&place);
    refused(there.acquire(&bid("b", 2), LIMIT).await.unwrap());
    clock.advance(TTL - SECOND);
    here.renew(&lease("a", 1), TTL, LIMIT).await.unwrap();
    let record = refused(there.acquire(&bid("b", 2), LIMIT).await.unwrap());
    assert_eq!(record.remaining, TTL);
    clock.advance(TTL - SECOND);
    refused(there.acquire(&bid("b", 2), LIMIT).await.unwrap());
    clock.advance(SECOND);
    assert_eq!(
        there.acquire(&bid("b", 2), LIMIT).await.unwrap(),
        granted(2)
    );
}

#[tokio::test]
async fn a_renewal_just_before_the_takeover_prevents_it() {
    let place = Place::new();
    let here = place.store();
    here.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let (there, clock) = elsewhere(&place);
    refused(there.acquire(&bid("b", 2), LIMIT).await.unwrap());
    clock.advance(TTL);
    here.renew(&lease("a", 1), TTL, LIMIT).await.unwrap();
    refused(there.acquire(&bid("b", 2), LIMIT).await.unwrap());
}

#[tokio::test]
async fn a_foreign_holder_that_keeps_renewing_is_never_taken_over() {
    let place = Place::new();
    let here = place.store();
    here.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let (there, clock) = elsewhere(&place);
    for _ in 0..40 {
        for _ in 0..3 {
            refused(there.acquire(&bid("b", 2), LIMIT).await.unwrap());
            clock.advance(TTL / 3);
            place.clock.advance(TTL / 3);
        }
        place.clock.advance_to(place.clock.now());
        let renewed = here.renew(&lease("a", 1), TTL, LIMIT).await.unwrap();
        assert_eq!(renewed, RenewOutcome::Renewed);
    }
}

#[tokio::test]
async fn observations_are_the_stores_and_outlive_a_request() {
    let place = Place::new();
    place.store().acquire(&bid("a", 1), LIMIT).await.unwrap();
    let (there, clock) = elsewhere(&place);
    let record = there.read(&resource(), LIMIT).await.unwrap().unwrap();
    assert_eq!(record.remaining, TTL);
    clock.advance(TTL / 2);
    let listed = there
        .clone()
        .list(&resource().scope(), LIMIT)
        .await
        .unwrap();
    assert_eq!(listed[0].remaining, TTL / 2);
    clock.advance(TTL / 2);
    assert_eq!(
        there.acquire(&bid("b", 2), LIMIT).await.unwrap(),
        granted(2)
    );
}

#[tokio::test]
async fn a_list_begins_no_observation() {
    let place = Place::new();
    place.store().acquire(&bid("a", 1), LIMIT).await.unwrap();
    let (there, clock) = elsewhere(&place);
    there.list(&resource().scope(), LIMIT).await.unwrap();
    clock.advance(TTL);
    let listed = there.list(&resource().scope(), LIMIT).await.unwrap();
    assert_eq!(listed[0].remaining, TTL);
}

#[tokio::test]
async fn a_lease_on_a_foreign_clock_is_not_renewed_but_may_be_released() {
    let place = Place::new();
    place.store().acquire(&bid("a", 1), LIMIT).await.unwrap();
    let (there, _) = elsewhere(&place);
    let before = place.row();
    let lost = there.renew(&lease("a", 1), TTL, LIMIT).await.unwrap();
    assert!(matches!(lost, RenewOutcome::Lost(Some(_))), "{lost:?}");
    assert_eq!(place.row(), before);
    let released = there.release(&claim("a", 1), LIMIT).await.unwrap();
    assert_eq!(released, ReleaseOutcome::Released);
    assert_eq!(
        there.acquire(&bid("b", 2), LIMIT).await.unwrap(),
        granted(2)
    );
}

#[tokio::test]
async fn an_attempt_under_a_foreign_clock_gets_no_token_back() {
    let place = Place::new();
    place.store().acquire(&bid("a", 1), LIMIT).await.unwrap();
    let (there, clock) = elsewhere(&place);
    refused(there.acquire(&bid("a", 1), LIMIT).await.unwrap());
    clock.advance(TTL);
    assert_eq!(
        there.acquire(&bid("a", 1), LIMIT).await.unwrap(),
        granted(2)
    );
}

#[tokio::test]
async fn an_eviction_leaves_a_foreign_expiry_as_it_stands() {
    let place = Place::new();
    let here = place.store();
    here.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let (there, _) = elsewhere(&place);
    let stamp = "SELECT expires_at, clock FROM tenure_leases";
    let stamp = || -> (i64, String) {
        let row = place.sql();
        row.query_row(stamp, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
    };
    let before = stamp();
    let evicted = evict(&there, 1, Eviction::Close).await;
    assert_eq!(evicted, ReleaseOutcome::Released);
    assert_eq!(stamp(), before);
    place.clock.advance(TTL);
    assert_eq!(here.acquire(&bid("c", 3), LIMIT).await.unwrap(), granted(2));
}

#[tokio::test]
async fn a_clock_that_was_set_back_under_its_own_name_is_foreign() {
    let place = Place::new();
    let ahead = ManualClock::new();
    ahead.advance(1_000 * SECOND);
    let builder = SqliteStore::builder().clock(Arc::new(ahead), "test");
    let before = builder.open(place.path()).unwrap();
    before.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let store = place.store();
    let record = refused(store.acquire(&bid("b", 2), LIMIT).await.unwrap());
    assert_eq!(record.remaining, TTL);
    place.clock.advance(TTL);
    assert_eq!(
        store.acquire(&bid("b", 2), LIMIT).await.unwrap(),
        granted(2)
    );
}
