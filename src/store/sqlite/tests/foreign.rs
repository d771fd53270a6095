use super::*;

/// A store on the same file whose clock is another's: far ahead, under another name.
fn elsewhere(test_file: &TestFile) -> (SqliteStore, ManualClock) {
    let clock = ManualClock::new();
    clock.advance(1_000_000 * SECOND);
    let builder = SqliteStore::builder().clock(Arc::new(clock.clone()), "elsewhere");
    (builder.open(test_file.path()).unwrap(), clock)
}

#[tokio::test]
async fn a_lease_under_a_foreign_clock_is_free_after_its_whole_ttl_was_observed() {
    let test_file = TestFile::new();
    test_file
        .store()
        .acquire(&bid("a", 1), LIMIT)
        .await
        .unwrap();
    let (there, clock) = elsewhere(&test_file);
    let record = refused(there.acquire(&bid("b", 2), LIMIT).await.unwrap());
    assert_eq!(record.remaining, TTL, "never free at once");
    test_file.clock.advance(1_000_000 * SECOND);
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
    refused(
        test_file
            .store()
            .acquire(&bid("a", 3), LIMIT)
            .await
            .unwrap(),
    );
}

#[tokio::test]
async fn a_clock_behind_does_not_prolong_a_foreign_lease() {
    let test_file = TestFile::new();
    test_file.clock.advance(9_000_000 * SECOND);
    test_file
        .store()
        .acquire(&bid("a", 1), LIMIT)
        .await
        .unwrap();
    let (there, clock) = elsewhere(&test_file);
    refused(there.acquire(&bid("b", 2), LIMIT).await.unwrap());
    clock.advance(TTL);
    assert_eq!(
        there.acquire(&bid("b", 2), LIMIT).await.unwrap(),
        granted(2)
    );
}

#[tokio::test]
async fn the_ttl_that_is_observed_is_the_holders() {
    let test_file = TestFile::new();
    let mut long = bid("a", 1);
    long.ttl = 6 * TTL;
    test_file.store().acquire(&long, LIMIT).await.unwrap();
    let (there, clock) = elsewhere(&test_file);
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
    let test_file = TestFile::new();
    let here = test_file.store();
    here.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let (there, clock) = elsewhere(&test_file);
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
    let test_file = TestFile::new();
    let here = test_file.store();
    here.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let (there, clock) = elsewhere(&test_file);
    refused(there.acquire(&bid("b", 2), LIMIT).await.unwrap());
    clock.advance(TTL);
    here.renew(&lease("a", 1), TTL, LIMIT).await.unwrap();
    refused(there.acquire(&bid("b", 2), LIMIT).await.unwrap());
}

#[tokio::test]
async fn a_foreign_holder_that_keeps_renewing_is_never_taken_over() {
    let test_file = TestFile::new();
    let here = test_file.store();
    here.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let (there, clock) = elsewhere(&test_file);
    for _ in 0..40 {
        for _ in 0..3 {
            refused(there.acquire(&bid("b", 2), LIMIT).await.unwrap());
            clock.advance(TTL / 3);
            test_file.clock.advance(TTL / 3);
        }
        test_file.clock.advance_to(test_file.clock.now());
        let renewed = here.renew(&lease("a", 1), TTL, LIMIT).await.unwrap();
        assert_eq!(renewed, RenewOutcome::Renewed);
    }
}

#[tokio::test]
async fn observations_are_the_stores_and_outlive_a_request() {
    let test_file = TestFile::new();
    test_file
        .store()
        .acquire(&bid("a", 1), LIMIT)
        .await
        .unwrap();
    let (there, clock) = elsewhere(&test_file);
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
    let test_file = TestFile::new();
    test_file
        .store()
        .acquire(&bid("a", 1), LIMIT)
        .await
        .unwrap();
    let (there, clock) = elsewhere(&test_file);
    there.list(&resource().scope(), LIMIT).await.unwrap();
    clock.advance(TTL);
    let listed = there.list(&resource().scope(), LIMIT).await.unwrap();
    assert_eq!(listed[0].remaining, TTL);
}

#[tokio::test]
async fn a_lease_on_a_foreign_clock_is_not_renewed_but_may_be_released() {
    let test_file = TestFile::new();
    test_file
        .store()
        .acquire(&bid("a", 1), LIMIT)
        .await
        .unwrap();
    let (there, _) = elsewhere(&test_file);
    let before = test_file.row();
    let lost = there.renew(&lease("a", 1), TTL, LIMIT).await.unwrap();
    assert!(matches!(lost, RenewOutcome::Lost(Some(_))), "{lost:?}");
    assert_eq!(test_file.row(), before);
    let released = there.release(&claim("a", 1), LIMIT).await.unwrap();
    assert_eq!(released, ReleaseOutcome::Released);
    assert_eq!(
        there.acquire(&bid("b", 2), LIMIT).await.unwrap(),
        granted(2)
    );
}

#[tokio::test]
async fn an_attempt_under_a_foreign_clock_gets_no_token_back() {
    let test_file = TestFile::new();
    test_file
        .store()
        .acquire(&bid("a", 1), LIMIT)
        .await
        .unwrap();
    let (there, clock) = elsewhere(&test_file);
    refused(there.acquire(&bid("a", 1), LIMIT).await.unwrap());
    clock.advance(TTL);
    assert_eq!(
        there.acquire(&bid("a", 1), LIMIT).await.unwrap(),
        granted(2)
    );
}

#[tokio::test]
async fn an_eviction_leaves_a_foreign_expiry_as_it_stands() {
    let test_file = TestFile::new();
    let here = test_file.store();
    here.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let (there, _) = elsewhere(&test_file);
    let stamp = "SELECT expires_at, clock FROM tenure_leases";
    let stamp = || -> (i64, String) {
        let row = test_file.sql();
        row.query_row(stamp, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
    };
    let before = stamp();
    let evicted = evict(&there, 1, EvictionMode::Close).await;
    assert_eq!(evicted, ReleaseOutcome::Released);
    assert_eq!(stamp(), before);
    test_file.clock.advance(TTL);
    assert_eq!(here.acquire(&bid("c", 3), LIMIT).await.unwrap(), granted(2));
}

#[tokio::test]
async fn a_clock_that_was_set_back_under_its_own_name_is_foreign() {
    let test_file = TestFile::new();
    let ahead = ManualClock::new();
    ahead.advance(1_000 * SECOND);
    let builder = SqliteStore::builder().clock(Arc::new(ahead), "test");
    let before = builder.open(test_file.path()).unwrap();
    before.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let store = test_file.store();
    let record = refused(store.acquire(&bid("b", 2), LIMIT).await.unwrap());
    assert_eq!(record.remaining, TTL);
    test_file.clock.advance(TTL);
    assert_eq!(
        store.acquire(&bid("b", 2), LIMIT).await.unwrap(),
        granted(2)
    );
}
