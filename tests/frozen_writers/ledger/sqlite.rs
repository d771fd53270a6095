use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use rusqlite::{Connection, Transaction, params};
use tenure::{LeaseStore, SqliteStore, fencing::TokenGuard, lease::Lease};
use tokio::task::block_in_place;

use super::{ContestStore, Guard, Ledger, Outcome, ROWS};

/// Rows and leases in one file, and a journal of all writes.
pub(super) struct Sqlite {
    store: SqliteStore,
    connection: Mutex<Connection>,
}

impl Sqlite {
    pub(super) fn open(contest_store: &ContestStore) -> Self {
        let store = SqliteStore::open(&contest_store.at).unwrap();
        let connection = Connection::open(&contest_store.at).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        Self {
            store,
            connection: Mutex::new(connection),
        }
    }
}

fn write(transaction: &Transaction<'_>, token: u64, row: usize) -> rusqlite::Result<()> {
    let (row, token) = (row as i64, token as i64);
    let update = "UPDATE rows SET writes = writes + 1 WHERE id = ?";
    transaction.execute(update, [row])?;
    let insert = "INSERT INTO journal (id, token) VALUES (?, ?)";
    transaction.execute(insert, params![row, token]).map(drop)
}

#[async_trait]
impl Ledger for Sqlite {
    async fn prepare(&self) {
        let connection = self.connection.lock().unwrap();
        let create = "CREATE TABLE rows (id INTEGER PRIMARY KEY, writes INTEGER, fencing_token INTEGER);
             CREATE TABLE journal (turn INTEGER PRIMARY KEY AUTOINCREMENT, id INTEGER, token INTEGER);";
        connection.execute_batch(create).unwrap();
        for row in 0..ROWS {
            let insert = "INSERT INTO rows (id, writes) VALUES (?, 0)";
            connection.execute(insert, [row as i64]).unwrap();
        }
    }

    fn leases(&self) -> Arc<dyn LeaseStore> {
        Arc::new(self.store.clone())
    }

    async fn write(&self, guard: Guard, lease: &Lease, row: usize) -> Outcome {
        block_in_place(|| {
            let connection = &mut *self.connection.lock().unwrap();
            let token = lease.token.get();
            let work = |transaction: &Transaction<'_>| write(transaction, token, row);
            Outcome::of(match guard {
                Guard::Token => {
                    let key = row as i64;
                    TokenGuard::new(lease).transaction(connection, "rows", &[("id", &key)], work)
                }
                Guard::Leader => self.store.leader_transaction(connection, lease, work),
                Guard::None => {
                    let transaction = connection.transaction().unwrap();
                    let written = work(&transaction).and_then(|()| transaction.commit());
                    written.map_err(tenure::fencing::FencingError::Failed)
                }
            })
        })
    }

    async fn rows(&self) -> Vec<Vec<u64>> {
        let connection = self.connection.lock().unwrap();
        let read = |row: usize| {
            let query = "SELECT token FROM journal WHERE id = ? ORDER BY turn";
            let mut query = connection.prepare(query).unwrap();
            let tokens = query
                .query_map([row as i64], |row| row.get::<_, i64>(0))
                .unwrap();
            tokens.map(|token| token.unwrap().unsigned_abs()).collect()
        };
        (0..ROWS).map(read).collect()
    }
}
