use std::error::Error as _;

use rusqlite::ffi;

use super::*;

fn failed(code: i32) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
}

fn kind(failure: Failure) -> StoreErrorKind {
    failure.of(KIND, Operation::Renew, "leases.db").kind()
}

#[test]
fn an_error_before_the_commit_was_not_applied_and_has_the_kind_of_its_cause() {
    use StoreErrorKind::{Corrupt, Denied, Misconfigured, Unavailable};
    for (code, expected) in [
        (ffi::SQLITE_BUSY, Unavailable),
        (ffi::SQLITE_BUSY_SNAPSHOT, Unavailable),
        (ffi::SQLITE_LOCKED, Unavailable),
        (ffi::SQLITE_PROTOCOL, Unavailable),
        (ffi::SQLITE_FULL, Unavailable),
        (ffi::SQLITE_IOERR_FSYNC, Unavailable),
        (ffi::SQLITE_NOMEM, Unavailable),
        (ffi::SQLITE_INTERRUPT, Unavailable),
        (ffi::SQLITE_CORRUPT, Corrupt),
        (ffi::SQLITE_NOTADB, Corrupt),
        (ffi::SQLITE_READONLY_DBMOVED, Misconfigured),
        (ffi::SQLITE_CANTOPEN, Misconfigured),
        (ffi::SQLITE_ERROR, Misconfigured),
        (ffi::SQLITE_CONSTRAINT_UNIQUE, Misconfigured),
        (ffi::SQLITE_MISMATCH, Misconfigured),
        (ffi::SQLITE_PERM, Denied),
        (ffi::SQLITE_AUTH, Denied),
    ] {
        assert_eq!(kind(failed(code).into()), expected, "{code}");
    }
}

#[test]
fn an_error_of_the_commit_may_have_been_applied_unless_it_did_not_begin() {
    for code in [
        ffi::SQLITE_IOERR_FSYNC,
        ffi::SQLITE_FULL,
        ffi::SQLITE_CORRUPT,
    ] {
        let kind = kind(Failure::at_commit(failed(code)));
        assert_eq!(kind, StoreErrorKind::Unknown, "{code}");
    }
    let busy = kind(Failure::at_commit(failed(ffi::SQLITE_BUSY)));
    assert_eq!(busy, StoreErrorKind::Unavailable);
}

#[test]
fn an_error_names_the_request_and_the_file_and_leaves_the_cause_to_its_source() {
    let error = Failure::from(failed(ffi::SQLITE_FULL)).of(KIND, Operation::Renew, "a.db");
    let message = "sqlite renew: unavailable: a.db: the disk is full: free some space";
    assert_eq!(error.to_string(), message);
    let source = error.source().unwrap().to_string();
    assert!(!message.contains(&source), "{source}");
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_the_store_goes_on_when_there_is_room() {
    let test_file = TestFile::new();
    let store = test_file.store();
    let pages = |most: i64| {
        store.call(Operation::Prepare, LIMIT, move |session| {
            let set = format!("PRAGMA max_page_count = {most}");
            Ok(session
                .connection
                .query_row(&set, [], |row| row.get::<_, i64>(0))?)
        })
    };
    pages(8).await.unwrap();
    let mut bid = bid("a", 1);
    bid.metadata = Some(Metadata::new("x".repeat(4096)).unwrap());
    let mut granted = 0;
    let error = loop {
        assert!(granted < 100);
        bid.resource = ResourceName::new(format!("jobs/{granted}")).unwrap();
        match store.acquire(&bid, LIMIT).await {
            Ok(_) => granted += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    assert_eq!(store.read(&bid.resource, LIMIT).await.unwrap(), None);
    pages(1000).await.unwrap();
    let again = store.acquire(&bid, LIMIT).await.unwrap();
    assert_eq!(again, super::granted(1));
}
