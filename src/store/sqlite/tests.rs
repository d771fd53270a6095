use std::{path::PathBuf, sync::Arc, time::Duration};

use rusqlite::Connection;
use tempfile::TempDir;

use super::{lease_store::AT_ONCE, *};
use crate::{
    lease::{
        AttemptId, Bid, CandidateId, EndReason, FencingToken, Instruction, Lease, LeaseRecord,
        Metadata, Note, ResourceName, Scope,
    },
    store::{
        AcquireOutcome, EvictionMode, InstructOutcome, LeaseStore, ReleaseOutcome, RenewOutcome,
        StandingInstruction, StoreErrorKind,
        fixtures::{LIMIT, TTL, bid, claim, granted, lease, owner, refused, resource},
    },
    testing::ManualClock,
};

mod clock_order;
#[cfg(feature = "conformance")]
mod conformance;
#[cfg(target_os = "linux")]
mod doorbell;
mod failures;
mod fencing;
mod foreign_clock;
mod instructions;
mod opening;
mod operations;
mod processes;
mod registers;
mod renewals;
mod rows;
mod trouble;

const SECOND: Duration = Duration::from_secs(1);

/// A file in its own directory, and the clock of the stores on it.
struct TestFile {
    directory: TempDir,
    clock: ManualClock,
}

impl TestFile {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            clock: ManualClock::new(),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("leases.db")
    }

    fn companion(&self, suffix: &str) -> PathBuf {
        self.directory.path().join(format!("leases.db{suffix}"))
    }

    fn builder(&self) -> SqliteStoreBuilder {
        on_clock(self.clock.clone(), "test")
    }

    fn store(&self) -> SqliteStore {
        self.builder().open(self.path()).unwrap()
    }

    /// A connection as another program has it.
    fn sql(&self) -> Connection {
        let connection = Connection::open(self.path()).unwrap();
        connection
            .pragma_update(None, "synchronous", "OFF")
            .unwrap();
        connection
    }

    /// Adds so many copies of the record, named by their number in this scope.
    fn copy(&self, scope: &str, count: usize) {
        let sql = self.sql();
        let columns: Vec<String> = sql
            .prepare("SELECT name FROM pragma_table_info('tenure_leases') WHERE name NOT IN ('name', 'scope')")
            .and_then(|mut names| names.query_map([], |row| row.get(0))?.collect())
            .unwrap();
        let columns = columns.join(", ");
        let copy = format!(
            "WITH RECURSIVE numbers(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM numbers LIMIT {count}) \
             INSERT INTO tenure_leases (name, scope, {columns}) SELECT ?2 || x, ?2, {columns} \
             FROM tenure_leases, numbers WHERE name = ?1"
        );
        let copied = sql.execute(&copy, [resource().as_str(), scope]);
        assert_eq!(copied.unwrap(), count);
    }

    fn row(&self) -> Vec<String> {
        let sql = self.sql();
        let mut rows = sql.prepare("SELECT * FROM tenure_leases").unwrap();
        let columns = rows.column_count();
        let show = |row: &rusqlite::Row<'_>| {
            let show = |at| Ok(format!("{:?}", row.get_ref(at)?));
            (0..columns).map(show).collect()
        };
        rows.query_row([], show).unwrap()
    }
}

/// The time of day for which the first token is 1.
fn early() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1)
}

/// A builder for stores on this clock, whose first tokens are 1.
fn on_clock(clock: impl Clock + 'static, identity: &str) -> SqliteStoreBuilder {
    let mut builder = SqliteStore::builder().clock(Arc::new(clock), identity);
    builder.clock.wall = early;
    builder
}

async fn evict(store: &SqliteStore, token: u64, eviction: EvictionMode) -> ReleaseOutcome {
    let token = FencingToken::new(token);
    store
        .evict(&resource(), token, eviction, LIMIT)
        .await
        .unwrap()
}

/// The answers to all requests, in the order acquire, renew, release, release by owner, evict, pause, read, list.
async fn ask_all(store: &SqliteStore) -> [Result<(), StoreError>; 8] {
    let token = FencingToken::new(1);
    let name = resource();
    let evict = store.evict(&name, token, EvictionMode::Close, LIMIT);
    let pause = pause("", 1);
    [
        store.acquire(&bid("b", 99), LIMIT).await.map(drop),
        store.renew(&lease("a", 1), TTL, LIMIT).await.map(drop),
        store.release(&claim("a", 1), None, LIMIT).await.map(drop),
        store.release(&owner("a"), None, LIMIT).await.map(drop),
        evict.await.map(drop),
        store.instruct(&name, &pause, LIMIT).await.map(drop),
        store.read(&resource(), LIMIT).await.map(drop),
        store.list(&resource().scope(), LIMIT).await.map(drop),
    ]
}

fn pause(note: &str, edition: u64) -> Instruction {
    let note = Note::new(note).unwrap();
    Instruction::Pause { note, edition }
}

async fn instruct(store: &SqliteStore, instruction: &Instruction) -> InstructOutcome {
    let outcome = store.instruct(&resource(), instruction, LIMIT).await;
    outcome.unwrap()
}
