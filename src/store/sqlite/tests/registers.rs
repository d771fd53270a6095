//! Registers in a file. What every store must do is in the kit.

use super::*;
use crate::{
    lease::RegisterValue,
    store::{PutOutcome, Register, RegisterStore},
};

fn value(text: &str) -> RegisterValue {
    RegisterValue::new(text).unwrap()
}

async fn put(store: &SqliteStore, expected: Option<u64>, text: &str) -> PutOutcome {
    let put = store.put(&resource(), expected, &value(text), LIMIT).await;
    put.unwrap()
}

fn stored(version: u64) -> PutOutcome {
    PutOutcome::Stored { version }
}

#[tokio::test]
async fn a_register_survives_reopening() {
    let test_file = TestFile::new();
    let store = test_file.store();
    assert_eq!(put(&store, None, "one").await, stored(1));
    assert_eq!(put(&store, Some(1), "two").await, stored(2));
    drop(store);
    let store = test_file.store();
    let register = Register {
        name: resource(),
        version: 2,
        value: value("two"),
    };
    let found = store.get(&resource(), LIMIT).await.unwrap();
    assert_eq!(found.as_ref(), Some(&register));
    assert_eq!(
        put(&store, Some(1), "late").await,
        PutOutcome::Conflict(Some(register))
    );
}

#[tokio::test]
async fn a_damaged_register_is_corrupt_and_a_put_does_not_overwrite_it() {
    let long = format!(
        "UPDATE tenure_registers SET value = '{}'",
        "x".repeat(65_537)
    );
    for (damage, says) in [
        (
            "UPDATE tenure_registers SET version = -2",
            "`version` is negative",
        ),
        (
            "UPDATE tenure_registers SET name = char(1)",
            "`name` is not valid",
        ),
        (&*long, "`value` is too long"),
    ] {
        let test_file = TestFile::new();
        let store = test_file.store();
        put(&store, None, "one").await;
        test_file.sql().execute_batch(damage).unwrap();
        let scope = resource().scope();
        let error = store.get_many(&scope, LIMIT).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(error.operation(), Operation::Get);
        if says != "`name` is not valid" {
            let value = value("two");
            let again = store.put(&resource(), None, &value, LIMIT).await;
            assert_eq!(again.unwrap_err().kind(), StoreErrorKind::Corrupt);
        }
    }
}

#[tokio::test]
async fn a_put_on_another_version_does_not_wait_for_the_write_lock_and_a_put_does() {
    let test_file = TestFile::new();
    let store = test_file.store();
    put(&store, None, "one").await;
    let writer = test_file.sql();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let conflict = put(&store, None, "other").await;
    assert!(matches!(conflict, PutOutcome::Conflict(Some(_))));
    let locked = store.put(&resource(), Some(1), &value("two"), LIMIT).await;
    assert_eq!(locked.unwrap_err().kind(), StoreErrorKind::Unavailable);
    writer.execute_batch("ROLLBACK").unwrap();
    assert_eq!(put(&store, Some(1), "two").await, stored(2));
}

#[tokio::test]
async fn unknown_columns_of_a_register_are_kept() {
    let test_file = TestFile::new();
    let store = test_file.store();
    put(&store, None, "one").await;
    let sql = test_file.sql();
    sql.execute_batch(
        "ALTER TABLE tenure_registers ADD COLUMN later TEXT; UPDATE tenure_registers SET later = 'kept'",
    )
    .unwrap();
    put(&store, Some(1), "two").await;
    let later: String = sql
        .query_row("SELECT later FROM tenure_registers", [], |row| row.get(0))
        .unwrap();
    assert_eq!(later, "kept");
}

#[tokio::test]
async fn the_table_is_added_to_an_older_file_and_by_prepare() {
    let test_file = TestFile::new();
    drop(test_file.store());
    let drop_it = "DROP TABLE tenure_registers";
    test_file.sql().execute_batch(drop_it).unwrap();
    let store = test_file.store();
    assert_eq!(put(&store, None, "one").await, stored(1));
    test_file.sql().execute_batch(drop_it).unwrap();
    let error = store.get(&resource(), LIMIT).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error}");
    store.prepare().await.unwrap();
    assert_eq!(store.get(&resource(), LIMIT).await.unwrap(), None);
}

#[tokio::test]
async fn a_table_of_another_layout_is_named() {
    let test_file = TestFile::new();
    let other = "CREATE TABLE tenure_registers (name TEXT PRIMARY KEY, value BLOB)";
    test_file.sql().execute_batch(other).unwrap();
    let error = SqliteStore::open(test_file.path()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
    let message = error.to_string();
    let wrong = "the table `tenure_registers` has another layout (`scope` is missing, `version` is missing, \
                 `value` is \"BLOB\" instead of TEXT)";
    assert!(message.contains(wrong), "{message}");
}
