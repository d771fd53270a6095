//! The conformance kit, on stores that share a clock and on stores that observe each other.

use std::{
    any::Any,
    sync::atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;

use super::*;
use crate::{
    conformance::{Capabilities, Subject, not_applicable},
    store::RegisterStore,
};

struct Sqlite {
    test_file: TestFile,
    /// Whether each client has its own clock identity, as in containers with time namespaces.
    observed: bool,
    clients: AtomicU32,
}

impl Sqlite {
    fn new(observed: bool) -> Self {
        Self {
            test_file: TestFile::new(),
            observed,
            clients: AtomicU32::new(0),
        }
    }

    fn new_client(&self) -> SqliteStore {
        let number = if self.observed {
            self.clients.fetch_add(1, Ordering::SeqCst)
        } else {
            0
        };
        let clock = Arc::new(self.test_file.clock.clone());
        let builder = SqliteStore::builder().clock(clock, format!("clock {number}"));
        // Other tests keep the machine busy, and must not make a race fail.
        let builder = builder.busy_limit(60 * SECOND);
        builder.open(self.test_file.path()).unwrap()
    }

    fn execute(&self, sql: &str, resource: &ResourceName) {
        let changed = self.test_file.sql().execute(sql, [resource.as_str()]);
        assert_eq!(changed.unwrap(), 1, "{sql}");
    }
}

#[async_trait]
impl Subject for Sqlite {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::new(TTL);
        capabilities.observed = self.observed;
        capabilities.can_edit_records = true;
        capabilities.can_stall = true;
        capabilities.can_watch = cfg!(target_os = "linux");
        capabilities.watch_tells_acquisitions = cfg!(target_os = "linux");
        capabilities.registers = true;
        capabilities
    }

    async fn client(&self) -> Arc<dyn LeaseStore> {
        Arc::new(self.new_client())
    }

    async fn registers(&self) -> Option<Arc<dyn RegisterStore>> {
        Some(Arc::new(self.new_client()))
    }

    async fn pass(&self, time: Duration) {
        self.test_file.clock.advance(time);
    }

    async fn stall(&self) -> Option<Box<dyn Any + Send>> {
        let other = self.test_file.sql();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        Some(Box::new(other))
    }

    async fn add_unknown_field(&self, resource: &ResourceName) {
        let sql = "ALTER TABLE tenure_leases ADD COLUMN hue TEXT";
        self.test_file.sql().execute_batch(sql).unwrap();
        self.execute(
            "UPDATE tenure_leases SET hue = 'blue' WHERE name = ?1",
            resource,
        );
    }

    async fn has_unknown_field(&self, resource: &ResourceName) -> bool {
        let sql = "SELECT hue = 'blue' FROM tenure_leases WHERE name = ?1";
        let found = self
            .test_file
            .sql()
            .query_row(sql, [resource.as_str()], |row| row.get(0));
        found.unwrap()
    }

    async fn raise_min_reader(&self, resource: &ResourceName) {
        self.execute(
            "UPDATE tenure_leases SET min_reader = 99 WHERE name = ?1",
            resource,
        );
    }
}

mod one_clock {
    crate::conformance!(super::Sqlite::new(false));
}

mod observed {
    crate::conformance!(super::Sqlite::new(true));
}

#[test]
fn the_cases_that_do_not_apply_are_known() {
    for observed in [false, true] {
        let capabilities = Sqlite::new(observed).capabilities();
        let expected: &[&str] = if observed {
            // The expiry that one store observes is not that of another.
            &["a_hand_over_of_an_expired_lease_is_refused"]
        } else {
            &[]
        };
        assert_eq!(not_applicable(&capabilities), expected);
    }
}
