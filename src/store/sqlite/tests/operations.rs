use super::*;

/// The commits in the write-ahead log, by the file format: a frame that ends a transaction holds the
/// size of the database.
pub(super) fn commits(test_file: &TestFile) -> usize {
    let log = std::fs::read(test_file.companion("-wal")).unwrap();
    let number = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().unwrap());
    let (page, salts) = (number(8) as usize, &log[16..24]);
    (32..log.len())
        .step_by(24 + page)
        .filter(|&frame| log[frame + 8..frame + 16] == *salts && number(frame + 4) != 0)
        .count()
}

#[tokio::test]
async fn acquire_renew_and_release_are_one_transaction_each() {
    let test_file = TestFile::new();
    let store = test_file.store();
    // Opening has written the log back, so the next commit starts it again.
    let mut other = bid("a", 1);
    other.resource = ResourceName::new("jobs/other").unwrap();
    store.acquire(&other, LIMIT).await.unwrap();
    let before = commits(&test_file);
    assert_eq!(
        store.acquire(&bid("a", 1), LIMIT).await.unwrap(),
        granted(1)
    );
    assert_eq!(commits(&test_file), before + 1);
    let renewed = store.renew(&lease("a", 1), TTL, LIMIT).await.unwrap();
    assert_eq!(renewed, RenewOutcome::RENEWED);
    assert_eq!(commits(&test_file), before + 2);
    let released = store.release(&claim("a", 1), None, LIMIT).await.unwrap();
    assert_eq!(released, ReleaseOutcome::Released);
    assert_eq!(commits(&test_file), before + 3);
    store.acquire(&bid("a", 2), LIMIT).await.unwrap();
    let released = store.release(&owner("a"), None, LIMIT).await.unwrap();
    assert_eq!(released, ReleaseOutcome::Released);
    assert_eq!(commits(&test_file), before + 5);
}

#[tokio::test]
async fn a_request_that_changes_nothing_commits_nothing_and_waits_for_no_lock() {
    let test_file = TestFile::new();
    let store = test_file.store();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let before = commits(&test_file);
    let writer = test_file.sql();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let record = refused(store.acquire(&bid("b", 2), LIMIT).await.unwrap());
    assert_eq!(record.holder, Some(CandidateId::new("a").unwrap()));
    assert_eq!(record.remaining, TTL);
    let lost = store.renew(&lease("b", 1), TTL, LIMIT).await.unwrap();
    assert_eq!(lost, RenewOutcome::Lost(Some(record.clone())));
    let not_held = store.release(&claim("b", 1), None, LIMIT).await.unwrap();
    assert_eq!(not_held, ReleaseOutcome::NotHeld(Some(record.clone())));
    let not_held = store.release(&owner("b"), None, LIMIT).await.unwrap();
    assert_eq!(not_held, ReleaseOutcome::NotHeld(Some(record.clone())));
    let read = store.read(&resource(), LIMIT).await.unwrap();
    assert_eq!(read, Some(record.clone()));
    let listed = store.list(&resource().scope(), LIMIT).await.unwrap();
    assert_eq!(listed, [record]);
    assert_eq!(commits(&test_file), before);
}

#[tokio::test]
async fn a_resource_that_was_never_acquired_has_no_record() {
    let test_file = TestFile::new();
    let store = test_file.store();
    assert_eq!(store.read(&resource(), LIMIT).await.unwrap(), None);
    let lost = store.renew(&lease("a", 1), TTL, LIMIT).await.unwrap();
    assert_eq!(lost, RenewOutcome::Lost(None));
    let not_held = store.release(&claim("a", 1), None, LIMIT).await.unwrap();
    assert_eq!(not_held, ReleaseOutcome::NotHeld(None));
    assert!(store.list(&Scope::root(), LIMIT).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_token_grows_across_release_and_reopening() {
    let test_file = TestFile::new();
    for token in 1..=5 {
        let store = test_file.store();
        let name = format!("candidate {token}");
        let bid = bid(&name, token.into());
        assert_eq!(store.acquire(&bid, LIMIT).await.unwrap(), granted(token));
        let released = store
            .release(&claim(&name, token), None, LIMIT)
            .await
            .unwrap();
        assert_eq!(released, ReleaseOutcome::Released);
        let copy = refused(store.acquire(&bid, LIMIT).await.unwrap());
        assert_eq!(copy.holder, None, "the attempt was released");
    }
}

#[tokio::test]
async fn a_lease_expires_by_the_clock_that_its_stores_share() {
    let test_file = TestFile::new();
    let (a, b) = (test_file.store(), test_file.store());
    a.acquire(&bid("a", 1), LIMIT).await.unwrap();
    test_file.clock.advance(TTL - Duration::from_nanos(1));
    let record = refused(b.acquire(&bid("b", 2), LIMIT).await.unwrap());
    assert_eq!(record.remaining, Duration::from_nanos(1));
    a.renew(&lease("a", 1), TTL, LIMIT).await.unwrap();
    test_file.clock.advance(TTL);
    let lapsed = a.renew(&lease("a", 1), TTL, LIMIT).await.unwrap();
    assert!(matches!(lapsed, RenewOutcome::Lost(Some(_))), "{lapsed:?}");
    assert_eq!(b.acquire(&bid("b", 2), LIMIT).await.unwrap(), granted(2));
    let same = b.acquire(&bid("b", 2), LIMIT).await.unwrap();
    assert_eq!(same, granted(2), "its own attempt");
}

#[tokio::test]
async fn a_record_keeps_all_its_values() {
    let test_file = TestFile::new();
    let mut bid = bid("räuber 🔑", u128::MAX);
    bid.metadata = Some(Metadata::new("10.0.0.1:80\n'\"").unwrap());
    let store = test_file.store();
    for attempt in 1..=10 {
        bid.attempt = AttemptId::new(u128::MAX - attempt);
        store.acquire(&bid, LIMIT).await.unwrap();
        test_file.clock.advance(TTL);
    }
    let read = test_file
        .store()
        .read(&resource(), LIMIT)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(read.token.get(), 10);
    assert_eq!((read.metadata, read.ttl), (bid.metadata.clone(), TTL));
    assert_eq!(read.history.len(), LeaseRecord::HISTORY);
    assert_eq!(read.history.last().unwrap().token.get(), 10);
    assert_eq!((read.since, read.touched), (early(), early()));
    assert_eq!((read.edition, read.internal), (1, false));
}

#[tokio::test]
async fn the_longest_ttl_does_not_overflow() {
    let test_file = TestFile::new();
    let mut bid = bid("a", 1);
    bid.ttl = Duration::MAX;
    assert_eq!(
        test_file.store().acquire(&bid, LIMIT).await.unwrap(),
        granted(1)
    );
    let renewed = test_file
        .store()
        .renew(&lease("a", 1), Duration::MAX, LIMIT)
        .await;
    assert_eq!(renewed.unwrap(), RenewOutcome::RENEWED);
}

#[tokio::test]
async fn a_list_holds_what_lies_directly_in_the_scope_ordered_by_name() {
    let test_file = TestFile::new();
    let store = test_file.store();
    for name in ["jobs/b", "jobs/a", "jobs/eu/x", "jobs", "jobs/Z", "jobs/ä"] {
        let mut bid = bid("a", 1);
        bid.resource = ResourceName::new(name).unwrap();
        store.acquire(&bid, LIMIT).await.unwrap();
    }
    let names = |records: Vec<LeaseRecord>| -> Vec<String> {
        let names = records.iter().map(|record| record.resource.to_string());
        names.collect()
    };
    let jobs = store
        .list(&Scope::new("jobs").unwrap(), LIMIT)
        .await
        .unwrap();
    assert_eq!(names(jobs), ["jobs/Z", "jobs/a", "jobs/b", "jobs/ä"]);
    let root = store.list(&Scope::root(), LIMIT).await.unwrap();
    assert_eq!(names(root), ["jobs"]);
}

#[tokio::test]
async fn an_evicted_lease_is_not_renewed_and_not_free_before_its_expiry() {
    let test_file = TestFile::new();
    let store = test_file.store();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let evicted = evict(&store, 1, EvictionMode::Close).await;
    assert_eq!(evicted, ReleaseOutcome::Released);
    let lost = store.renew(&lease("a", 1), TTL, LIMIT).await.unwrap();
    assert!(matches!(lost, RenewOutcome::Lost(Some(record)) if record.closing));
    refused(store.acquire(&bid("b", 2), LIMIT).await.unwrap());
    test_file.clock.advance(TTL);
    assert_eq!(
        store.acquire(&bid("b", 2), LIMIT).await.unwrap(),
        granted(2)
    );
}

#[tokio::test]
async fn a_forced_eviction_frees_the_lease_at_once() {
    let test_file = TestFile::new();
    let store = test_file.store();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let evicted = evict(&store, 1, EvictionMode::Force).await;
    assert_eq!(evicted, ReleaseOutcome::Released);
    assert_eq!(
        store.acquire(&bid("b", 2), LIMIT).await.unwrap(),
        granted(2)
    );
}

#[test]
fn settings_have_the_defaults_that_the_docs_name() {
    let builder = SqliteStore::builder();
    assert_eq!(builder.busy_limit, Duration::from_millis(500));
    assert_eq!(&*builder.clock.identity, clock_identity::of_boot_clock());
    let store = TestFile::new().store();
    assert_eq!(
        (store.kind(), store.min_ttl()),
        ("sqlite", Duration::from_millis(10))
    );
}

#[tokio::test]
async fn debug_shows_the_path_only() {
    let test_file = TestFile::new();
    let shown = format!("{:?}", test_file.store());
    assert_eq!(shown, format!("SqliteStore({:?})", test_file.path()));
}
