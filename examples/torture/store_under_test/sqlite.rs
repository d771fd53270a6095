use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::Connection;

use super::StoreUnderTest;
use crate::failure::Failure;

/// A file that the supervisor can lock.
pub(super) struct File {
    path: PathBuf,
    lock: Option<Connection>,
}

impl File {
    pub(super) fn new(folder: &Path) -> Self {
        let path = folder.join("leases.db");
        Self { path, lock: None }
    }
}

impl StoreUnderTest for File {
    fn ttls(&self) -> &'static [Duration] {
        const {
            &[
                Duration::from_secs(2),
                Duration::from_millis(2500),
                Duration::from_secs(3),
            ]
        }
    }

    fn is_observed(&self) -> bool {
        false
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }

    fn url_of(&self, _: usize) -> String {
        self.url()
    }

    fn strike(&mut self, _: u8) -> Result<Option<String>, Failure> {
        let lock = || {
            let connection = Connection::open(&self.path)?;
            // A frozen node may hold the lock, and the supervisor must not wait for it.
            connection.busy_timeout(Duration::from_millis(20))?;
            connection.execute_batch("BEGIN IMMEDIATE")?;
            Ok::<_, rusqlite::Error>(connection)
        };
        self.lock = lock().ok();
        Ok(self.lock.as_ref().map(|_| "the file is locked".to_owned()))
    }

    fn relieve(&mut self) -> Result<(), Failure> {
        // Dropping the connection rolls its transaction back.
        self.lock = None;
        Ok(())
    }
}
