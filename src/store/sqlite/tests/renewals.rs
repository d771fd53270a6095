//! Renewals that write few columns, and renewals of many leases at once.

use futures::future::{Either, select};

use super::{operations::commits, *};

fn named(name: &str, token: u64) -> Lease {
    let mut lease = lease("a", token);
    lease.resource = ResourceName::new(name).unwrap();
    lease
}

/// Leases of `a` under token 1, named `many/0` and so on.
async fn many(test_file: &TestFile, store: &SqliteStore, count: usize) -> Vec<(Lease, Duration)> {
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    test_file.copy("many/", count);
    let lease = |index| (named(&format!("many/{index}"), 1), TTL);
    (0..count).map(lease).collect()
}

#[tokio::test]
async fn a_renewal_changes_the_expiry_the_ttl_and_the_version_and_nothing_else() {
    let test_file = TestFile::new();
    let store = test_file.store();
    let mut bid = bid("a", 1);
    bid.metadata = Some(Metadata::new("here").unwrap());
    store.acquire(&bid, LIMIT).await.unwrap();
    let mut expected = test_file.row();
    test_file.clock.advance(SECOND);
    let now = test_file.clock.now();
    let ttl = TTL + SECOND;
    let renewed = store.renew(&lease("a", 1), ttl, LIMIT).await.unwrap();
    assert_eq!(renewed, RenewOutcome::RENEWED);
    let nanos = |duration: u128| format!("Integer({duration})");
    expected[3] = "Integer(2)".to_owned();
    expected[6] = nanos(ttl.as_nanos());
    expected[7] = nanos((now + ttl).as_nanos().into());
    assert_eq!(test_file.row(), expected);
}

#[tokio::test]
async fn a_batch_is_one_transaction_and_a_huge_one_is_several() {
    let test_file = TestFile::new();
    let store = test_file.store();
    let leases = many(&test_file, &store, AT_ONCE + 1).await;
    for (count, transactions) in [(2, 1), (AT_ONCE, 1), (AT_ONCE + 1, 2)] {
        // So that the log begins again with the first of the transactions.
        let restarted = store.call(Operation::Read, LIMIT, |session| {
            Ok(wal::restart(&session.connection))
        });
        assert!(restarted.await.unwrap());
        for outcome in store.renew_many(&leases[..count], LIMIT).await {
            assert_eq!(outcome.unwrap(), RenewOutcome::RENEWED);
        }
        assert_eq!(commits(&test_file), transactions, "{count} leases");
    }
}

#[tokio::test]
async fn each_lease_of_a_batch_has_its_own_outcome() {
    let test_file = TestFile::new();
    let store = test_file.store();
    many(&test_file, &store, 8).await;
    let sql = test_file.sql();
    for (name, set) in [
        ("many/1", "token = 2"),
        ("many/2", "ttl = -1"),
        ("many/3", "pause_note = 'moving', pause_since = 0"),
        ("many/4", "hand_over = 'b'"),
        ("many/5", "min_reader = 99"),
        ("many/6", "closing = 1"),
    ] {
        let set = format!("UPDATE tenure_leases SET {set} WHERE name = '{name}'");
        sql.execute_batch(&set).unwrap();
    }
    test_file.clock.advance(SECOND);
    let mut leases: Vec<_> = (0..9)
        .map(|index| (named(&format!("many/{index}"), 1), TTL))
        .collect();
    leases.push((named("many/7", 1), TTL / 2));
    let mut outcomes = store.renew_many(&leases, LIMIT).await.into_iter();
    let mut next = || outcomes.next().unwrap();
    let lost = |outcome| match outcome {
        Ok(RenewOutcome::Lost(record)) => record,
        other => panic!("{other:?}"),
    };
    assert_eq!(next().unwrap(), RenewOutcome::RENEWED);
    assert_eq!(lost(next()).unwrap().token.get(), 2);
    let damaged = next().unwrap_err();
    assert_eq!(damaged.kind(), StoreErrorKind::Corrupt, "{damaged}");
    assert!(damaged.to_string().contains("\"many/2\""), "{damaged}");
    let told = |instruction| RenewOutcome::Renewed {
        instruction: Some(instruction),
    };
    let note = Note::new("moving").unwrap();
    assert_eq!(next().unwrap(), told(StandingInstruction::Pause { note }));
    let to = CandidateId::new("b").unwrap();
    assert_eq!(next().unwrap(), told(StandingInstruction::HandOver { to }));
    assert_eq!(next().unwrap_err().kind(), StoreErrorKind::Unsupported);
    assert!(lost(next()).unwrap().closing);
    assert_eq!(next().unwrap(), RenewOutcome::RENEWED);
    assert_eq!(lost(next()), None);
    assert_eq!(next().unwrap(), RenewOutcome::RENEWED, "a shorter ttl");
    for (index, left) in [
        (0, TTL),
        (3, TTL),
        (4, TTL),
        (6, TTL - SECOND),
        (7, TTL / 2),
    ] {
        let name = ResourceName::new(format!("many/{index}")).unwrap();
        let record = store.read(&name, LIMIT).await.unwrap().unwrap();
        assert_eq!(record.remaining, left, "{name}");
    }
}

#[tokio::test]
async fn other_requests_get_their_turn_during_a_huge_batch() {
    let test_file = TestFile::new();
    let store = test_file.store();
    let leases = many(&test_file, &store, 2 * AT_ONCE + 1).await;
    let name = resource();
    let batch = store.renew_many(&leases, LIMIT);
    let read = store.read(&name, LIMIT);
    match select(batch, read).await {
        Either::Left(_) => panic!("the read waited for the whole batch"),
        Either::Right((read, batch)) => {
            read.unwrap();
            assert_eq!(batch.await.len(), leases.len());
        }
    }
}

#[tokio::test]
async fn if_a_batch_fails_every_lease_has_the_error() {
    let test_file = TestFile::new();
    let builder = test_file.builder().busy_limit(Duration::from_millis(20));
    let store = builder.open(test_file.path()).unwrap();
    let leases = many(&test_file, &store, 3).await;
    let writer = test_file.sql();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let outcomes = store.renew_many(&leases, LIMIT).await;
    assert_eq!(outcomes.len(), 3);
    for outcome in outcomes {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
        assert!(std::error::Error::source(&error).is_some());
    }
}

#[tokio::test]
async fn a_trigger_that_rolls_back_fails_the_whole_batch() {
    let test_file = TestFile::new();
    let store = test_file.store();
    let leases = many(&test_file, &store, 3).await;
    test_file
        .sql()
        .execute_batch(
            "CREATE TRIGGER undo BEFORE UPDATE ON tenure_leases WHEN new.name = 'many/1' \
             BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
        )
        .unwrap();
    for outcome in store.renew_many(&leases, LIMIT).await {
        assert_eq!(outcome.unwrap_err().kind(), StoreErrorKind::Misconfigured);
    }
}

#[tokio::test]
async fn no_leases_are_no_request() {
    let test_file = TestFile::new();
    assert!(test_file.store().renew_many(&[], LIMIT).await.is_empty());
}
