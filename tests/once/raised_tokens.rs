//! The statement in the book for a restored backup.

use std::{convert::Infallible, sync::Arc};

use rusqlite::Connection;
use tenure::{Once, SqliteStore, once::OnceStatus};

use crate::store_under_test::TTL;

/// The statement of the book.
fn statement() -> String {
    let book = concat!(env!("CARGO_MANIFEST_DIR"), "/book/src/guarantees.md");
    let text = std::fs::read_to_string(book).unwrap();
    let (_, rest) = text.split_once("```sql\n").expect("a statement");
    rest.split_once("\n```").unwrap().0.to_owned()
}

async fn seven() -> Result<u32, Infallible> {
    Ok(7)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn done_work_stays_done_when_its_tokens_are_raised_and_can_still_be_reset() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("leases.db");
    let store = Arc::new(SqliteStore::open(&path).unwrap());
    let once = Once::builder(store.clone(), "jobs/migrate").ttl(TTL);
    let once = once.build().unwrap();
    assert!(once.run(seven).await.unwrap().was_by_this_call());
    let sql = Connection::open(&path).unwrap();
    assert_eq!(sql.execute(&statement(), []).unwrap(), 2);
    assert!(matches!(once.status().await.unwrap(), OnceStatus::Done(_)));
    assert!(
        !once.run(seven).await.unwrap().was_by_this_call(),
        "done before"
    );
    once.reset().await.unwrap();
    let again = once.run(seven).await.unwrap();
    assert!(again.was_by_this_call(), "it was reset");
    assert!(again.token().get() > 1_700_000_000_000, "{again:?}");
    assert!(!once.run(seven).await.unwrap().was_by_this_call());
}
