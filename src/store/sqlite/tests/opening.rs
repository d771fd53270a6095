use std::fs;

use super::*;

#[track_caller]
fn fails(path: impl AsRef<Path>, kind: StoreErrorKind, says: &str) -> String {
    let error = SqliteStore::open(&path).unwrap_err();
    let message = error.to_string();
    assert_eq!(error.kind(), kind, "{message}");
    assert_eq!(
        (error.store(), error.operation()),
        ("sqlite", Operation::Open)
    );
    assert!(message.contains(says), "{message}");
    let path = path.as_ref().display().to_string();
    assert!(message.contains(&path), "{message}");
    message
}

/// The same for an existing file, which must not change.
#[track_caller]
fn leaves(test_file: &TestFile, kind: StoreErrorKind, says: &str) -> String {
    let bytes = fs::read(test_file.path()).unwrap();
    let message = fails(test_file.path(), kind, says);
    assert!(
        fs::read(test_file.path()).unwrap() == bytes,
        "the file was changed"
    );
    let files = test_file.directory.path().read_dir().unwrap().count();
    assert_eq!(files, 1, "companions were left behind");
    message
}

#[test]
fn a_file_that_is_not_a_database_is_corrupt_and_not_overwritten() {
    let random: Vec<u8> = (0..20_000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    for bytes in [&random[..], b"hello", &[0; 4096]] {
        let test_file = TestFile::new();
        fs::write(test_file.path(), bytes).unwrap();
        leaves(
            &test_file,
            StoreErrorKind::Corrupt,
            "give the path of another file",
        );
    }
}

#[test]
fn a_damaged_database_is_corrupt_and_not_overwritten() {
    let test_file = TestFile::new();
    let sql = test_file.sql();
    sql.execute_batch("CREATE TABLE other (x); CREATE INDEX by_x ON other (x)")
        .unwrap();
    sql.close().unwrap();
    let mut bytes = fs::read(test_file.path()).unwrap();
    bytes[100..4096].fill(0xAB);
    fs::write(test_file.path(), bytes).unwrap();
    leaves(
        &test_file,
        StoreErrorKind::Corrupt,
        "the database is damaged",
    );
}

#[test]
fn a_path_at_which_no_file_can_exist_is_misconfigured() {
    let test_file = TestFile::new();
    let misconfigured = StoreErrorKind::Misconfigured;
    fails(
        test_file.directory.path(),
        misconfigured,
        "a directory: give the path of a file",
    );
    let nowhere = test_file.directory.path().join("nowhere/leases.db");
    fails(nowhere, misconfigured, "does not exist: create it first");
    fails(":memory:", misconfigured, "use the memory store");
    fails("", misconfigured, "give the path of a file");
    fs::write(test_file.path(), "a file").unwrap();
    let below = test_file.path().join("leases.db");
    fails(
        below,
        misconfigured,
        "a part of the path is not a directory",
    );
    let long = test_file.directory.path().join("x".repeat(300));
    fails(long, misconfigured, "not a valid name");
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_or_a_directory_that_cannot_be_written_is_misconfigured() {
    // Root may write any file, except in sysfs.
    let file = "/sys/kernel/uevent_seqnum";
    let before = fs::read(file).unwrap();
    fails(file, StoreErrorKind::Misconfigured, "the file is read-only");
    assert_eq!(fs::read(file).unwrap(), before);
    let new = "/sys/kernel/tenure.db";
    fails(
        new,
        StoreErrorKind::Misconfigured,
        "read and write the file and its directory",
    );
    fails(
        "/dev/null",
        StoreErrorKind::Misconfigured,
        "not a regular file",
    );
}

#[test]
fn a_companion_that_cannot_be_opened_is_misconfigured() {
    for suffix in ["-wal", "-shm"] {
        let test_file = TestFile::new();
        let sql = test_file.sql();
        let wal = sql.pragma_update(None, "journal_mode", "WAL");
        wal.and_then(|()| sql.execute_batch("CREATE TABLE mine (x)"))
            .unwrap();
        sql.close().unwrap();
        fs::create_dir(test_file.companion(suffix)).unwrap();
        let misconfigured = StoreErrorKind::Misconfigured;
        fails(test_file.path(), misconfigured, "companion -wal or -shm");
    }
}

#[test]
fn a_table_of_another_layout_is_misconfigured_and_not_changed() {
    for (sql, says) in [
        (
            "CREATE TABLE tenure_leases (id INTEGER PRIMARY KEY, name TEXT, token TEXT)",
            "`scope` is missing, `token` is \"TEXT\" instead of INTEGER, `version` is missing",
        ),
        (
            "CREATE TABLE tenure_leases (name TEXT, scope TEXT, token INTEGER, version INTEGER, holder \
             TEXT, attempt BLOB, ttl INTEGER, expires_at INTEGER, clock TEXT, closing INTEGER, \
             edition INTEGER, internal INTEGER, touched INTEGER, pause_note TEXT, pause_since INTEGER, \
             hand_over TEXT)",
            "(`name` is not its primary key)",
        ),
        (
            "CREATE VIEW tenure_leases AS SELECT 1 AS name",
            "it is not a table, `name` is",
        ),
    ] {
        let test_file = TestFile::new();
        let connection = test_file.sql();
        connection.execute_batch(sql).unwrap();
        connection.close().unwrap();
        let message = leaves(&test_file, StoreErrorKind::Misconfigured, says);
        assert!(message.contains("rename it"), "{message}");
    }
}

#[test]
fn an_applications_own_database_is_shared() {
    let test_file = TestFile::new();
    let sql = test_file.sql();
    sql.execute_batch("CREATE TABLE mine (x); INSERT INTO mine VALUES (7)")
        .unwrap();
    let store = test_file.store();
    let read = "SELECT x, (SELECT count(*) FROM tenure_leases) FROM mine";
    let both: (i64, i64) = sql
        .query_row(read, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(both, (7, 0));
    drop(store);
}

#[tokio::test]
async fn settings_of_the_connection_are_as_documented() {
    let test_file = TestFile::new();
    let store = test_file.store();
    let read = |session: &mut Session| {
        let read = |pragma| {
            session
                .connection
                .pragma_query_value(None, pragma, |row| row.get(0))
        };
        Ok([
            read("synchronous")?,
            read("fullfsync")?,
            read("checkpoint_fullfsync")?,
            read("wal_autocheckpoint")?,
            read("journal_size_limit")?,
        ])
    };
    let settings: [i64; 5] = store.call(Operation::Read, LIMIT, read).await.unwrap();
    assert_eq!(settings, [2, 1, 1, 64, 256 * 1024]);
    let mode: String = test_file
        .sql()
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
}

#[tokio::test]
async fn unknown_columns_are_kept() {
    let test_file = TestFile::new();
    let store = test_file.store();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let sql = test_file.sql();
    sql.execute_batch(
        "ALTER TABLE tenure_leases ADD COLUMN later TEXT; UPDATE tenure_leases SET later = 'kept'",
    )
    .unwrap();
    store.renew(&lease("a", 1), TTL, LIMIT).await.unwrap();
    store.release(&claim("a", 1), None, LIMIT).await.unwrap();
    test_file
        .store()
        .acquire(&bid("b", 2), LIMIT)
        .await
        .unwrap();
    let later: String = sql
        .query_row("SELECT later FROM tenure_leases", [], |row| row.get(0))
        .unwrap();
    assert_eq!(later, "kept");
}

const OLDER: &str = "CREATE TABLE tenure_leases (name TEXT PRIMARY KEY, scope TEXT, token INTEGER, \
     version INTEGER, holder TEXT, attempt BLOB, ttl INTEGER, expires_at INTEGER, clock TEXT, closing \
     INTEGER, edition INTEGER, internal INTEGER, touched INTEGER, pause_note TEXT, pause_since INTEGER, \
     hand_over TEXT); INSERT INTO tenure_leases VALUES ('jobs/nightly', 'jobs/', 41, 80, NULL, NULL, 1000, 0, \
     'test', 0, 1, 0, 0, NULL, NULL, NULL)";

#[tokio::test]
async fn missing_columns_are_added_to_an_older_table() {
    let test_file = TestFile::new();
    test_file.sql().execute_batch(OLDER).unwrap();
    let store = test_file.store();
    let record = store.read(&resource(), LIMIT).await.unwrap().unwrap();
    assert_eq!((record.token.get(), record.history.len()), (41, 0));
    assert_eq!(
        store.acquire(&bid("a", 1), LIMIT).await.unwrap(),
        granted(42)
    );
    let record = store.read(&resource(), LIMIT).await.unwrap().unwrap();
    assert_eq!(record.history.len(), 1);
}

#[tokio::test]
async fn prepare_recreates_a_table_that_was_dropped_under_a_running_store() {
    let test_file = TestFile::new();
    let store = test_file.store();
    let sql = test_file.sql();
    sql.execute_batch("DROP TABLE tenure_leases").unwrap();
    let error = store.acquire(&bid("a", 1), LIMIT).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
    assert!(error.to_string().contains("call `prepare`"), "{error}");
    sql.execute_batch(OLDER).unwrap();
    store.prepare().await.unwrap();
    store.prepare().await.unwrap();
    assert_eq!(
        store.acquire(&bid("a", 1), LIMIT).await.unwrap(),
        granted(42)
    );
    sql.execute_batch("ALTER TABLE tenure_leases RENAME COLUMN clock TO watch")
        .unwrap();
    let error = store.prepare().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
    assert!(error.to_string().contains("`clock` is missing"), "{error}");
}

#[test]
fn stores_may_be_opened_at_once_on_a_new_file_or_an_older_table() {
    for round in 0..20 {
        let test_file = TestFile::new();
        if round % 2 == 0 {
            test_file.sql().execute_batch(OLDER).unwrap();
        }
        let builder = test_file.builder().busy_limit(20 * SECOND);
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| builder.clone().open(test_file.path()).unwrap());
            }
        });
    }
}
