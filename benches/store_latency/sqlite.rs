use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use rusqlite::{Connection, params};
use tenure::{LeaseStore, SqliteStore};

use crate::{Done, Subject};

pub(crate) struct Sqlite {
    store: Arc<SqliteStore>,
    raw: Mutex<Connection>,
}

impl Sqlite {
    /// Two files in this folder, each with its connection.
    pub(crate) fn open(folder: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let raw = Connection::open(folder.join("raw.db"))?;
        raw.busy_timeout(Duration::from_secs(1))?;
        raw.pragma_update(None, "journal_mode", "WAL")?;
        raw.pragma_update(None, "synchronous", "FULL")?;
        raw.execute_batch(
            "CREATE TABLE leases (resource TEXT PRIMARY KEY, scope TEXT, token INTEGER, \
             version INTEGER, holder TEXT, attempt BLOB, ttl INTEGER, expires_at INTEGER, \
             since INTEGER, closing INTEGER, metadata TEXT, history TEXT) WITHOUT ROWID",
        )?;
        Ok(Self {
            store: Arc::new(SqliteStore::open(folder.join("leases.db"))?),
            raw: Mutex::new(raw),
        })
    }
}

#[async_trait]
impl Subject for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn store(&self) -> Arc<dyn LeaseStore> {
        self.store.clone()
    }

    /// On the calling thread, as a program does that may block.
    async fn raw_write(&self, key: &str) -> Done {
        let raw = self.raw.lock().unwrap();
        let mut statement = raw.prepare_cached(
            "INSERT INTO leases VALUES (?1, 'bench/', 1, 1, ?2, ?3, 15000, 1, 1, 0, NULL, ?4) \
             ON CONFLICT DO UPDATE SET token = token + 1, version = version + 1, \
             holder = excluded.holder, attempt = excluded.attempt, history = excluded.history",
        )?;
        let line = r#"{"token":1,"holder":"host-12345-0123456789abcdef","since":1763770000000}"#;
        let history = format!("[{}]", [line; 8].join(","));
        let holder = "host-12345-0123456789abcdef";
        statement.execute(params![key, holder, [7_u8; 16], history])?;
        Ok(())
    }
}
