use std::sync::LazyLock;

use proptest::prelude::*;
use rusqlite::types::Value;

use super::*;

/// A table with the expected columns, each of which accepts any value.
const LOOSE: &str = "CREATE TABLE tenure_leases (name TEXT PRIMARY KEY, scope TEXT, token INTEGER, \
     version INTEGER, holder TEXT, attempt BLOB, ttl INTEGER, expires_at INTEGER, clock TEXT, closing \
     INTEGER, edition INTEGER, internal INTEGER, touched INTEGER, pause_note TEXT, pause_since INTEGER, \
     hand_over TEXT, min_reader INTEGER, since INTEGER, metadata TEXT, history TEXT)";

fn loose() -> TestFile {
    let test_file = TestFile::new();
    test_file.sql().execute_batch(LOOSE).unwrap();
    test_file
}

#[tokio::test]
async fn a_damaged_row_is_an_error_that_names_the_column_and_is_not_overwritten() {
    let test_file = loose();
    let store = test_file.store();
    let sql = test_file.sql();
    let long = format!("'{}'", "x".repeat(4097));
    for (column, value, says) in [
        ("scope", "'other/'", "is not the scope of its name"),
        ("scope", "NULL", "is NULL"),
        ("token", "-1", "is negative"),
        ("token", "'x'", "is Text instead of INTEGER"),
        ("token", "1.5", "is Real instead of INTEGER"),
        ("version", "0", "is 0"),
        ("version", "NULL", "is NULL"),
        ("holder", "''", "is malformed"),
        ("holder", "x'61'", "is Blob instead of TEXT"),
        ("holder", "CAST(x'ff' AS TEXT)", "is malformed"),
        ("attempt", "x'0102'", "has 2 bytes instead of 16"),
        ("attempt", "'text'", "is Text instead of BLOB"),
        ("ttl", "-5", "is negative"),
        ("expires_at", "-5", "is negative"),
        ("clock", "NULL", "is NULL"),
        ("closing", "2", "is 2, not 0 or 1"),
        ("edition", "-1", "is negative"),
        ("internal", "7", "is 7, not 0 or 1"),
        ("touched", "-1", "is negative"),
        ("touched", "NULL", "is NULL"),
        ("pause_note", "x'61'", "is Blob instead of TEXT"),
        (
            "pause_since",
            "'x', pause_note = ''",
            "is Text instead of INTEGER",
        ),
        ("pause_since", "NULL, pause_note = ''", "is NULL"),
        ("hand_over", "''", "is malformed"),
        ("since", "-1", "is negative"),
        ("metadata", &long, "is malformed"),
        ("history", "'[{'", "is malformed"),
        (
            "history",
            "'[{\"token\":1,\"holder\":\"\",\"since\":0}]'",
            "is malformed",
        ),
        ("min_reader", "'x'", "is Text instead of INTEGER"),
    ] {
        sql.execute_batch("DELETE FROM tenure_leases").unwrap();
        store.acquire(&bid("a", 1), LIMIT).await.unwrap();
        sql.execute_batch(&format!("UPDATE tenure_leases SET {column} = {value}"))
            .unwrap();
        let before = test_file.row();
        let unread = matches!(
            column,
            "scope"
                | "attempt"
                | "edition"
                | "internal"
                | "touched"
                | "since"
                | "metadata"
                | "history"
        );
        for (at, answer) in ask_all(&store).await.into_iter().enumerate() {
            if unread && at == 1 {
                // A renewal does not read it, and leaves it as it is.
                assert!(answer.is_ok(), "{column}: {answer:?}");
                sql.execute_batch("UPDATE tenure_leases SET version = 1")
                    .unwrap();
                continue;
            }
            if column == "scope" && at == 7 {
                // The row is not in the scope that is listed.
                answer.unwrap();
                continue;
            }
            let error = answer.unwrap_err();
            let message = error.to_string();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{message}");
            assert!(message.contains("\"jobs/nightly\""), "{message}");
            assert!(message.contains(&format!("`{column}` {says}")), "{message}");
        }
        assert_eq!(test_file.row(), before, "{column} = {value}");
    }
}

#[tokio::test]
async fn a_row_for_a_newer_library_is_read_but_not_written() {
    let test_file = TestFile::new();
    let store = test_file.store();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let sql = test_file.sql();
    for also in ["", ", history = 'of another form'"] {
        sql.execute_batch(&format!("UPDATE tenure_leases SET min_reader = 7{also}"))
            .unwrap();
        let before = test_file.row();
        for (at, answer) in ask_all(&store).await.into_iter().enumerate() {
            if at >= 6 && also.is_empty() {
                answer.unwrap();
                continue;
            }
            let error = answer.unwrap_err();
            let message = error.to_string();
            assert_eq!(error.kind(), StoreErrorKind::Unsupported, "{message}");
            assert!(
                message.contains("version 7 of the record format"),
                "{message}"
            );
            assert!(message.contains("supports version 1"), "{message}");
        }
        assert_eq!(test_file.row(), before);
    }
}

#[tokio::test]
async fn a_token_that_cannot_grow_is_an_error() {
    let test_file = TestFile::new();
    let store = test_file.store();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    test_file.clock.advance(TTL);
    for column in ["token", "version"] {
        let set = format!("UPDATE tenure_leases SET {column} = 9223372036854775807");
        test_file.sql().execute_batch(&set).unwrap();
        let before = test_file.row();
        let error = store.acquire(&bid("b", 2), LIMIT).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        assert_eq!(test_file.row(), before);
        test_file
            .sql()
            .execute_batch("UPDATE tenure_leases SET token = 1")
            .unwrap();
    }
}

#[tokio::test]
async fn a_table_that_returns_another_name_is_misconfigured() {
    let test_file = TestFile::new();
    let loose = LOOSE.replace("name TEXT", "name TEXT COLLATE NOCASE");
    test_file.sql().execute_batch(&loose).unwrap();
    let store = test_file.store();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let mut upper = bid("b", 2);
    upper.resource = ResourceName::new("JOBS/nightly").unwrap();
    let error = store.acquire(&upper, LIMIT).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
    assert!(error.to_string().contains("collation BINARY"), "{error}");
}

#[tokio::test]
async fn triggers_that_undo_a_write_grant_nothing() {
    let test_file = TestFile::new();
    let store = test_file.store();
    let sql = test_file.sql();
    sql.execute_batch(
        "CREATE TRIGGER undo BEFORE INSERT ON tenure_leases BEGIN SELECT RAISE(IGNORE); END",
    )
    .unwrap();
    let error = store.acquire(&bid("a", 1), LIMIT).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
    assert!(error.to_string().contains("remove the triggers"), "{error}");
    sql.execute_batch("DROP TRIGGER undo").unwrap();
    assert_eq!(
        store.acquire(&bid("a", 1), LIMIT).await.unwrap(),
        granted(1)
    );
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Integer),
        (-2i64..4).prop_map(Value::Integer),
        any::<f64>().prop_map(Value::Real),
        ".{0,20}".prop_map(Value::Text),
        Just(Value::Text("jobs/".to_owned())),
        Just(Value::Text("jobs/nightly".to_owned())),
        Just(Value::Text("test".to_owned())),
        Just(Value::Text("[{\"token\":1}]".to_owned())),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(Value::Blob),
        Just(Value::Blob(vec![1; 16])),
    ]
}

/// A valid row with some of its values replaced.
fn any_row() -> impl Strategy<Value = Vec<Value>> {
    let sound = vec![
        Value::Text("jobs/nightly".to_owned()),
        Value::Text("jobs/".to_owned()),
        Value::Integer(1),
        Value::Integer(1),
        Value::Text("a".to_owned()),
        Value::Blob(vec![1; 16]),
        Value::Integer(10_000_000_000),
        Value::Integer(3_600_000_000_000),
        Value::Text("test".to_owned()),
        Value::Integer(0),
        Value::Integer(1),
        Value::Integer(0),
        Value::Integer(0),
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Integer(1),
        Value::Integer(0),
        Value::Null,
        Value::Null,
    ];
    proptest::collection::vec((0..20usize, any_value()), 0..5).prop_map(move |changes| {
        let mut row = sound.clone();
        for (at, value) in changes {
            row[at] = value;
        }
        row
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_row_makes_a_request_panic(row in any_row()) {
        static OPEN: LazyLock<(TestFile, SqliteStore)> = LazyLock::new(|| {
            let test_file = loose();
            let store = test_file.store();
            (test_file, store)
        });
        let (test_file, store) = &*OPEN;
        let sql = test_file.sql();
        sql.execute_batch("DELETE FROM tenure_leases").unwrap();
        let values = ["?"; 20].join(", ");
        sql.execute(
            &format!("INSERT INTO tenure_leases VALUES ({values})"),
            rusqlite::params_from_iter(row),
        )
        .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for answer in runtime.block_on(ask_all(store)) {
            if let Err(error) = answer {
                let kind = error.kind();
                prop_assert!(
                    matches!(kind, StoreErrorKind::Corrupt | StoreErrorKind::Unsupported),
                    "{}", error
                );
            }
        }
    }
}
