use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use rusqlite::{Connection, ToSql, params};
use tenure::{fencing::FencingError, lease::Lease};
use tokio::task::spawn_blocking;

use super::{Register, guard, taken};

/// How long a write waits for others.
const BUSY_LIMIT: Duration = Duration::from_secs(2);

/// A row for each resource; a trigger records the history, also of writes without the guard.
pub(crate) struct SqliteRegister(Arc<Mutex<Connection>>);

impl SqliteRegister {
    pub(crate) fn open(path: PathBuf) -> Result<Self, String> {
        let connection = Connection::open(path).map_err(text)?;
        connection.busy_timeout(BUSY_LIMIT).map_err(text)?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> T + Send + 'static,
    ) -> Result<T, String> {
        let connection = Arc::clone(&self.0);
        let work = move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut connection)
        };
        spawn_blocking(work).await.map_err(text)
    }
}

#[async_trait]
impl Register for SqliteRegister {
    async fn prepare(&self, resources: &[String]) -> Result<(), String> {
        let resources = resources.to_vec();
        self.run(move |connection| -> rusqlite::Result<()> {
            connection.execute_batch(
                "CREATE TABLE register (resource TEXT PRIMARY KEY, token INTEGER NOT NULL) STRICT;
                 CREATE TABLE history (
                     turn INTEGER PRIMARY KEY AUTOINCREMENT,
                     resource TEXT NOT NULL,
                     token INTEGER NOT NULL
                 ) STRICT;
                 CREATE TRIGGER remember AFTER UPDATE ON register BEGIN
                     INSERT INTO history (resource, token) VALUES (new.resource, new.token);
                 END;",
            )?;
            for resource in resources {
                let insert = "INSERT INTO register VALUES (?, 0)";
                connection.execute(insert, [resource])?;
            }
            Ok(())
        })
        .await?
        .map_err(text)
    }

    async fn write(&self, lease: &Lease, guarded: bool) -> Result<bool, String> {
        let lease = lease.clone();
        let written = self.run(move |connection| {
            let resource = lease.resource.as_str();
            if guarded {
                // The claim alone: the trigger sees it.
                let key: &[(&str, &dyn ToSql)] = &[("resource", &resource)];
                let claim = guard(&lease);
                return claim.transaction(connection, "register", key, |_| Ok(()));
            }
            let token = i64::try_from(lease.token.get()).unwrap_or(i64::MAX);
            let update = "UPDATE register SET token = ?1 WHERE resource = ?2";
            let written = connection.execute(update, params![token, resource]);
            written.map(drop).map_err(FencingError::Failed)
        });
        taken(written.await?, text)
    }

    async fn history(&self, resource: &str) -> Result<Vec<u64>, String> {
        let resource = resource.to_owned();
        self.run(move |connection| -> rusqlite::Result<Vec<u64>> {
            let query = "SELECT token FROM history WHERE resource = ? ORDER BY turn";
            let mut query = connection.prepare(query)?;
            let tokens = query.query_map([resource], |row| row.get::<_, i64>(0))?;
            tokens.map(|token| token.map(i64::unsigned_abs)).collect()
        })
        .await?
        .map_err(text)
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
