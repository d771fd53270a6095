use rusqlite::TransactionBehavior;

use super::*;
use crate::{lease::Lease, store::StoreErrorKind};

fn write(store: &SqliteStore, sql: &mut Connection, lease: &Lease) -> FencingResult<usize> {
    store.leader_transaction(sql, lease, pay)
}

#[track_caller]
fn kind<T: std::fmt::Debug>(guarded: FencingResult<T>) -> StoreErrorKind {
    match guarded {
        Err(FencingError::Lease(error)) => error.kind(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn only_the_lease_that_is_held_writes() {
    let (test_file, store, mut sql) = with_accounts();
    let refused = rejected(write(&store, &mut sql, &lease("a", 1)));
    assert_eq!(
        (refused.newest, refused.reason),
        (None, RejectionReason::Forgotten)
    );
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let before = test_file.row();
    assert_eq!(write(&store, &mut sql, &lease("a", 1)).unwrap(), 1);
    assert_eq!(test_file.row(), before, "the record is as it was");
    for wrong in [lease("b", 1), lease("a", 2)] {
        let refused = rejected(write(&store, &mut sql, &wrong));
        assert_eq!(refused.newest, Some(FencingToken::new(1)));
        assert_eq!(refused.reason, RejectionReason::Forgotten);
    }
    assert_eq!(account(&sql), (1, None));
}

#[tokio::test]
async fn a_lease_that_has_expired_or_was_taken_over_no_longer_writes() {
    let (test_file, store, mut sql) = with_accounts();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    test_file.clock.advance(TTL);
    let refused = rejected(write(&store, &mut sql, &lease("a", 1)));
    assert_eq!(refused.newest, Some(FencingToken::new(1)));
    assert_eq!(refused.reason, RejectionReason::Expired);
    assert_eq!(
        store.acquire(&bid("b", 2), LIMIT).await.unwrap(),
        granted(2)
    );
    let refused = rejected(write(&store, &mut sql, &lease("a", 1)));
    assert_eq!(refused.newest, Some(FencingToken::new(2)));
    assert_eq!(refused.reason, RejectionReason::Superseded);
    assert_eq!(account(&sql), (0, None));
    write(&store, &mut sql, &lease("b", 2)).unwrap();
}

#[tokio::test]
async fn a_lease_that_was_released_or_evicted_no_longer_writes() {
    let (_place, store, mut sql) = with_accounts();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    evict(&store, 1, EvictionMode::Close).await;
    let refused = rejected(write(&store, &mut sql, &lease("a", 1)));
    assert_eq!(
        refused.reason,
        RejectionReason::Evicted,
        "the eviction is still the reason"
    );
    store.release(&claim("a", 1), None, LIMIT).await.unwrap();
    let refused = rejected(write(&store, &mut sql, &lease("a", 1)));
    assert_eq!(refused.reason, RejectionReason::Released);
    store.acquire(&bid("a", 2), LIMIT).await.unwrap();
    evict(&store, 2, EvictionMode::Force).await;
    let refused = rejected(write(&store, &mut sql, &lease("a", 2)));
    assert_eq!(refused.reason, RejectionReason::Evicted);
    assert_eq!(refused.newest, Some(FencingToken::new(2)));
    assert_eq!(account(&sql), (0, None));
}

#[tokio::test]
async fn nothing_is_written_if_the_work_fails() {
    let (_place, store, mut sql) = with_accounts();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let failed = store.leader_transaction(&mut sql, &lease("a", 1), |transaction| {
        pay(transaction)?;
        Err::<(), Box<dyn std::error::Error>>("no more money".into())
    });
    assert!(matches!(failed, Err(FencingError::Failed(_))));
    assert!(sql.is_autocommit());
    assert_eq!(account(&sql), (0, None));
}

#[tokio::test]
async fn no_acquisition_is_granted_between_the_check_and_the_commit() {
    let (test_file, store, mut sql) = with_accounts();
    let patient = test_file.builder().busy_limit(Duration::from_secs(20));
    let other = patient.open(test_file.path()).unwrap();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let ours = lease("a", 1);
    let immediate = TransactionBehavior::Immediate;
    let transaction = sql.transaction_with_behavior(immediate).unwrap();
    store.confirm(&transaction, &ours).unwrap();
    // The lease expires after the check, and another candidate bids at once.
    test_file.clock.advance(TTL);
    let taking = tokio::spawn(async move { other.acquire(&bid("b", 2), LIMIT).await.unwrap() });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!taking.is_finished());
    pay(&transaction).unwrap();
    transaction.commit().unwrap();
    assert_eq!(taking.await.unwrap(), granted(2));
    rejected(write(&store, &mut sql, &ours));
    assert_eq!(account(&sql), (1, None));
}

/// A transaction that did not take the write lock first.
#[tokio::test]
async fn a_takeover_between_the_check_and_the_write_makes_the_write_fail() {
    let (test_file, store, mut sql) = with_accounts();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let transaction = sql.transaction().unwrap();
    store.confirm(&transaction, &lease("a", 1)).unwrap();
    test_file.clock.advance(TTL);
    assert_eq!(
        store.acquire(&bid("b", 2), LIMIT).await.unwrap(),
        granted(2)
    );
    let error = pay(&transaction).unwrap_err();
    assert_eq!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
    drop(transaction);
    assert_eq!(account(&sql), (0, None));
}

#[tokio::test]
async fn a_lease_on_a_foreign_clock_is_neither_renewed_nor_accepted_for_writes() {
    let (test_file, store, mut sql) = with_accounts();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let clock = Arc::new(ManualClock::new());
    let there = SqliteStore::builder().clock(clock, "elsewhere");
    let there = there.open(test_file.path()).unwrap();
    let refused = rejected(write(&there, &mut sql, &lease("a", 1)));
    assert_eq!(refused.reason, RejectionReason::ForeignClock);
    assert_eq!(refused.newest, Some(FencingToken::new(1)));
    // A newer acquisition is the better reason than the clock.
    let refused = rejected(write(&there, &mut sql, &lease("a", 0)));
    assert_eq!(refused.reason, RejectionReason::Superseded);
    assert_eq!(account(&sql), (0, None));
}

#[tokio::test]
async fn a_record_of_a_newer_library_is_unsupported_and_a_damaged_one_is_corrupt() {
    let (_place, store, mut sql) = with_accounts();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    sql.execute_batch("UPDATE tenure_leases SET min_reader = 99")
        .unwrap();
    let newer = write(&store, &mut sql, &lease("a", 1));
    assert_eq!(kind(newer), StoreErrorKind::Unsupported);
    sql.execute_batch("UPDATE tenure_leases SET min_reader = 1, ttl = -1")
        .unwrap();
    let damaged = write(&store, &mut sql, &lease("a", 1));
    assert_eq!(kind(damaged), StoreErrorKind::Corrupt);
    assert_eq!(account(&sql), (0, None));
}

#[tokio::test]
async fn a_connection_to_another_database_is_misconfigured() {
    let (test_file, store, _sql) = with_accounts();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    // A copy of the file still contains the lease, and always would.
    let copy = test_file.directory.path().join("copy.db");
    test_file
        .sql()
        .execute("VACUUM INTO ?1", [copy.to_str().unwrap()])
        .unwrap();
    for mut other in [
        Connection::open(copy).unwrap(),
        Connection::open_in_memory().unwrap(),
    ] {
        let wrong = write(&store, &mut other, &lease("a", 1));
        assert_eq!(kind(wrong), StoreErrorKind::Misconfigured);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_connection_by_another_path_to_the_same_file_is_accepted() {
    let (test_file, store, _sql) = with_accounts();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let link = test_file.directory.path().join("link.db");
    std::os::unix::fs::symlink(test_file.path(), &link).unwrap();
    let mut linked = Connection::open(link).unwrap();
    write(&store, &mut linked, &lease("a", 1)).unwrap();
}

#[tokio::test]
async fn a_renewal_waits_for_a_leader_transaction_and_is_not_lost() {
    let (test_file, store, mut sql) = with_accounts();
    let patient = test_file.builder().busy_limit(Duration::from_secs(20));
    let renewing = patient.open(test_file.path()).unwrap();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let immediate = TransactionBehavior::Immediate;
    let transaction = sql.transaction_with_behavior(immediate).unwrap();
    store.confirm(&transaction, &lease("a", 1)).unwrap();
    let renewal =
        tokio::spawn(async move { renewing.renew(&lease("a", 1), TTL, LIMIT).await.unwrap() });
    tokio::time::sleep(Duration::from_millis(100)).await;
    pay(&transaction).unwrap();
    transaction.commit().unwrap();
    assert_eq!(renewal.await.unwrap(), RenewOutcome::RENEWED);
}
