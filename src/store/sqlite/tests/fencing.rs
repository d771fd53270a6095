use rusqlite::{ErrorCode, ToSql, Transaction};

use super::*;
use crate::store::fencing::{FencingError, RejectedWrite, RejectionReason, TokenGuard};

mod leader;
mod token;

type FencingResult<T = ()> = Result<T, FencingError<rusqlite::Error>>;

const ROWS: &str = "CREATE TABLE accounts (
        id INTEGER PRIMARY KEY, shard TEXT, cents INTEGER NOT NULL DEFAULT 0, fencing_token INTEGER
    );
    INSERT INTO accounts (id, shard) VALUES (7, 'x'), (8, 'x');";

/// A file with a table of the application beside the leases.
fn with_accounts() -> (TestFile, SqliteStore, Connection) {
    let test_file = TestFile::new();
    let store = test_file.store();
    let sql = test_file.sql();
    sql.execute_batch(ROWS).unwrap();
    (test_file, store, sql)
}

/// The cents and the token of account 7.
fn account(sql: &Connection) -> (i64, Option<i64>) {
    let query = "SELECT cents, fencing_token FROM accounts WHERE id = 7";
    sql.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
}

fn pay(transaction: &Transaction<'_>) -> rusqlite::Result<usize> {
    transaction.execute("UPDATE accounts SET cents = cents + 1 WHERE id = 7", [])
}

#[track_caller]
fn rejected<T: std::fmt::Debug>(guarded: FencingResult<T>) -> RejectedWrite {
    match guarded {
        Err(FencingError::Rejected(rejected)) => rejected,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn unguardable<T: std::fmt::Debug>(guarded: FencingResult<T>) -> String {
    match guarded {
        Err(FencingError::Unguardable(why)) => why,
        other => panic!("{other:?}"),
    }
}
