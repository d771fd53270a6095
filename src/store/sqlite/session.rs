use std::{
    path::Path,
    sync::{Arc, Weak},
    time::{Duration, Instant, SystemTime},
};

use rusqlite::{Connection, OpenFlags};

use super::{
    busy_timeout::BusyTimeout,
    doorbell::{BellPlace, Doorbell},
    failure::{Failure, RequestResult},
    files::{Files, check_path},
    row::LeaseRow,
    schema::PendingMigration,
    wal,
};
use crate::{
    clock::{Clock, Moment},
    lease::ResourceName,
    store::{StoreEvent, observed::Observations, record::StoredRecord},
};

/// A clock and its identity, which is the same in all processes that read the same clock.
#[derive(Clone, Debug)]
pub(super) struct HostClock {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) identity: Arc<str>,
    /// The time of day, for first tokens and for what people read.
    pub(super) wall: fn() -> SystemTime,
}

/// One connection and what it has observed. It blocks, so it has its own thread.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) files: Arc<Files>,
    pub(super) clock: HostClock,
    pub(super) observations: Observations,
    busy_timeout: BusyTimeout,
    pub(super) doorbell: Doorbell,
    /// What the present transaction changes.
    pub(super) events: Vec<StoreEvent>,
}

/// A row as this process judges it: `record.expires_at` is on its own clock.
pub(super) struct LocalizedRow {
    pub(super) record: StoredRecord,
    pub(super) now: Moment,
    pub(super) wall: SystemTime,
    /// The expiry is on another clock, so it is observed.
    pub(super) foreign: bool,
    /// The row as it is stored, or `None` if there is none.
    stored: Option<LeaseRow>,
}

/// A row to write.
struct RowChange {
    row: LeaseRow,
    is_new: bool,
    /// For those who wait for the lease.
    event: Option<StoreEvent>,
}

/// What a write does to the expiry in the row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ExpiryUpdate {
    /// A new expiry, on our clock.
    Ours,
    /// The stored expiry, on the clock that it was written by.
    Kept,
}

impl Session {
    pub(super) fn open(path: &Path, clock: HostClock, busy_limit: Duration) -> RequestResult<Self> {
        let path = check_path(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&path, flags)?;
        let caller = Arc::new(());
        let busy_timeout = BusyTimeout::new(busy_limit, Arc::downgrade(&caller));
        let handler = busy_timeout.clone();
        connection.busy_handler(Some(move |_| handler.pause()))?;
        // Without write access, SQLite opens the file read-only and reports no error.
        if connection.is_readonly("main")? {
            let message = "the file is read-only: allow the process to write it and its directory";
            return Err(Failure::misconfigured(message));
        }
        // This check comes before the first change, which is the journal mode.
        PendingMigration::check(&connection)?;
        wal::switch_on(&connection, &busy_timeout)?;
        // A token that was granted must survive a power loss, or it would be granted again.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "fullfsync", true)?;
        connection.pragma_update(None, "checkpoint_fullfsync", true)?;
        wal::limit(&connection)?;
        add_missing(&connection)?;
        wal::write_back(&connection);
        Ok(Self {
            doorbell: Doorbell::new(BellPlace::beside(&path, &clock.identity)),
            events: Vec::new(),
            files: Arc::new(Files::opened(&path, &connection)?),
            connection,
            clock,
            observations: Observations::new(),
            busy_timeout,
        })
    }

    /// Prepares for a request that was sent at `since` and has this limit.
    pub(super) fn begin(
        &mut self,
        since: Instant,
        limit: Duration,
        caller: Weak<()>,
    ) -> RequestResult<()> {
        self.busy_timeout.renew(since, limit, caller);
        self.end_transaction()
    }

    /// Rolls back the transaction that a failed or panicked request may have left open.
    pub(super) fn end_transaction(&mut self) -> RequestResult<()> {
        roll_back(&self.connection)
    }

    pub(super) fn prepare(&mut self) -> RequestResult<()> {
        self.files.check()?;
        add_missing(&self.connection)
    }

    pub(super) fn change<T>(
        &mut self,
        resource: &ResourceName,
        step: impl Fn(&mut LocalizedRow) -> (T, ExpiryUpdate),
    ) -> RequestResult<T> {
        // A request that changes nothing, such as a follower's poll, must not wait for the write lock.
        let (outcome, written) = self.decide(resource, &step)?;
        if written.is_none() {
            return Ok(outcome);
        }
        self.transact(|session| session.change_within(resource, &step))
    }

    /// Within a transaction that has the write lock.
    pub(super) fn change_within<T>(
        &mut self,
        resource: &ResourceName,
        step: impl Fn(&mut LocalizedRow) -> (T, ExpiryUpdate),
    ) -> RequestResult<T> {
        let (outcome, written) = self.decide(resource, step)?;
        if let Some(written) = written {
            let RowChange { row, is_new, event } = written;
            row.write(&self.connection, resource, is_new)?;
            self.events.extend(event);
        }
        Ok(outcome)
    }

    /// The outcome, and the row to write if it changes.
    fn decide<T>(
        &mut self,
        resource: &ResourceName,
        step: impl Fn(&mut LocalizedRow) -> (T, ExpiryUpdate),
    ) -> RequestResult<(T, Option<RowChange>)> {
        let mut observation = self.observe(resource)?;
        if let Some(row) = &observation.stored {
            row.check_reader(resource)?;
        }
        let before = observation.record.clone();
        let (outcome, expiry) = step(&mut observation);
        if observation.record == before {
            return Ok((outcome, None));
        }
        let event = observation
            .record
            .event_since(&before.availability(), resource);
        let is_new = observation.stored.is_none();
        let mut row = observation.stored.unwrap_or_else(LeaseRow::new);
        let stored = row.record.expires_at;
        row.record = observation.record;
        match expiry {
            ExpiryUpdate::Ours => row.clock = self.clock.identity.to_string(),
            ExpiryUpdate::Kept => row.record.expires_at = stored,
        }
        Ok((outcome, Some(RowChange { row, is_new, event })))
    }

    pub(super) fn observe(&mut self, resource: &ResourceName) -> RequestResult<LocalizedRow> {
        let (stored, now) = self.find(resource)?;
        let Some(row) = &stored else {
            return Ok(LocalizedRow {
                record: StoredRecord::default(),
                now,
                wall: (self.clock.wall)(),
                foreign: false,
                stored,
            });
        };
        let mut record = row.record.clone();
        let foreign = is_foreign(&record, &row.clock, &self.clock, now);
        if foreign {
            let (token, version) = (record.token, record.version);
            record.expires_at = self
                .observations
                .free_at(resource, token, version, record.ttl, now);
        } else {
            self.observations.forget(resource);
        }
        Ok(LocalizedRow {
            record,
            now,
            wall: (self.clock.wall)(),
            foreign,
            stored,
        })
    }

    /// The stored row, and the time of its arrival.
    fn find(&self, resource: &ResourceName) -> RequestResult<(Option<LeaseRow>, Moment)> {
        if mutant!(ClockReadBeforeRow) {
            let now = self.clock.clock.now();
            return Ok((LeaseRow::find(&self.connection, resource)?, now));
        }
        let stored = LeaseRow::find(&self.connection, resource)?;
        // After the read, which may have waited: the files may have been replaced meanwhile.
        self.files.check()?;
        // Also after the read, so that an observation counts from the arrival of the row. If the write lock is
        // held, the clock is read under it, so that rows and moments have the same order.
        let now = self.clock.clock.now();
        Ok((stored, now))
    }

    /// Commits the work. If the disk is full, restarts the log, which makes space, and tries once more.
    pub(super) fn transact<T>(
        &mut self,
        work: impl Fn(&mut Self) -> RequestResult<T>,
    ) -> RequestResult<T> {
        match self.try_transact(&work) {
            Err(failure) if failure.is_full() && wal::restart(&self.connection) => {
                self.try_transact(&work)
            }
            done => done,
        }
    }

    fn try_transact<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> RequestResult<T>,
    ) -> RequestResult<T> {
        self.events.clear();
        self.connection
            .prepare_cached("BEGIN IMMEDIATE")?
            .execute([])?;
        // After the wait for the write lock: the files may have been replaced meanwhile.
        let done = self.files.check().and_then(|()| work(self));
        let done = done.and_then(|outcome| {
            let mut commit = self.connection.prepare_cached("COMMIT")?;
            commit.execute([]).map_err(Failure::at_commit)?;
            Ok(outcome)
        });
        if done.is_ok() {
            self.doorbell.ring(&self.events);
        } else {
            // If this fails, the next request tries it again before it begins.
            let _ = roll_back(&self.connection);
        }
        done
    }
}

/// Whether an expiry is on another clock than that of this process. It is, too, if it is further ahead than its
/// own ttl, even under the same identity: then this machine was reset to a snapshot.
pub(super) fn is_foreign(
    record: &StoredRecord,
    clock: &str,
    ours: &HostClock,
    now: Moment,
) -> bool {
    let ahead = now.until(record.expires_at) > record.ttl;
    record.holder.is_some() && (clock != &*ours.identity || ahead)
}

fn roll_back(connection: &Connection) -> RequestResult<()> {
    if !connection.is_autocommit() {
        connection.prepare_cached("ROLLBACK")?.execute([])?;
    }
    Ok(())
}

/// Adds what the table lacks. Two processes may do it at once.
fn add_missing(connection: &Connection) -> RequestResult<()> {
    if PendingMigration::check(connection)?.is_nothing() {
        return Ok(());
    }
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let added = PendingMigration::check(connection)
        .and_then(|missing| missing.add(connection))
        .and_then(|()| {
            connection
                .execute_batch("COMMIT")
                .map_err(Failure::at_commit)
        });
    if added.is_err() {
        let _ = roll_back(connection);
    }
    added
}
