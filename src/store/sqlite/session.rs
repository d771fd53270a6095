use std::{
    path::Path,
    sync::{Arc, Weak},
    time::{Duration, Instant, SystemTime},
};

use rusqlite::{Connection, OpenFlags};

use super::{
    busy_timeout::BusyTimeout,
    failure::{Failure, RequestResult},
    files::{Files, check_path},
    row::LeaseRow,
    schema::PendingMigration,
    wal,
};
use crate::{
    clock::{Clock, Moment},
    lease::{Bid, FencingToken, Lease, LeaseRecord, ReleaseTarget, ResourceName, Scope},
    store::{
        AcquireOutcome, EvictionMode, ReleaseOutcome, RenewOutcome, observed::Observations,
        record::StoredRecord,
    },
};

/// A clock and its identity, which is the same in all processes that read the same clock.
#[derive(Clone, Debug)]
pub(super) struct HostClock {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) identity: Arc<str>,
}

/// One connection and what it has observed. It blocks, so it has its own thread.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) files: Arc<Files>,
    clock: HostClock,
    observations: Observations,
    busy_timeout: BusyTimeout,
}

/// A row as this process judges it: `record.expires_at` is on its own clock.
struct LocalizedRow {
    record: StoredRecord,
    now: Moment,
    /// The expiry is on another clock, so it is observed.
    foreign: bool,
    /// The row as it is stored, or `None` if there is none.
    stored: Option<LeaseRow>,
}

/// What a write does to the expiry in the row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ExpiryUpdate {
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

    pub(super) fn acquire(&mut self, bid: &Bid) -> RequestResult<AcquireOutcome> {
        self.change(&bid.resource, |observation| {
            let own_attempt = observation.record.attempt == Some(bid.attempt);
            if observation.foreign && own_attempt {
                // It is not known whether the attempt's lease has expired, so it does not get its token again.
                observation.record.attempt = None;
            }
            let outcome = observation
                .record
                .acquire(bid, observation.now, SystemTime::now());
            (outcome, ExpiryUpdate::Ours)
        })
    }

    pub(super) fn renew(&mut self, lease: &Lease, ttl: Duration) -> RequestResult<RenewOutcome> {
        self.change(&lease.resource, |observation| {
            let outcome = if observation.foreign {
                RenewOutcome::Lost(observation.record.seen(&lease.resource, observation.now))
            } else {
                observation.record.renew(lease, ttl, observation.now)
            };
            (outcome, ExpiryUpdate::Ours)
        })
    }

    pub(super) fn release(&mut self, claim: &ReleaseTarget) -> RequestResult<ReleaseOutcome> {
        self.change(claim.resource(), |observation| {
            (
                observation.record.release(claim, observation.now),
                ExpiryUpdate::Kept,
            )
        })
    }

    pub(super) fn evict(
        &mut self,
        resource: &ResourceName,
        token: FencingToken,
        eviction: EvictionMode,
    ) -> RequestResult<ReleaseOutcome> {
        self.change(resource, |observation| {
            let outcome = observation
                .record
                .evict(resource, token, eviction, observation.now);
            (outcome, ExpiryUpdate::Kept)
        })
    }

    pub(super) fn read(&mut self, resource: &ResourceName) -> RequestResult<Option<LeaseRecord>> {
        let observation = self.observe(resource)?;
        Ok(observation.record.seen(resource, observation.now))
    }

    pub(super) fn list(&mut self, scope: &Scope) -> RequestResult<Vec<LeaseRecord>> {
        let rows = LeaseRow::list(&self.connection, scope)?;
        self.files.check()?;
        let now = self.clock.clock.now();
        let records = rows.into_iter().filter_map(|(name, row)| {
            let mut record = row.record;
            if is_foreign(&record, &row.clock, &self.clock, now) {
                let (token, version) = (record.token, record.version);
                record.expires_at = self
                    .observations
                    .peek(&name, token, version, record.ttl, now);
            }
            record.seen(&name, now)
        });
        Ok(records.collect())
    }

    fn change<T>(
        &mut self,
        resource: &ResourceName,
        step: impl Fn(&mut LocalizedRow) -> (T, ExpiryUpdate),
    ) -> RequestResult<T> {
        // A request that changes nothing, such as a follower's poll, must not wait for the write lock.
        let (outcome, written) = self.decide(resource, &step)?;
        if written.is_none() {
            return Ok(outcome);
        }
        self.transact(|session| {
            let (outcome, written) = session.decide(resource, &step)?;
            if let Some((row, is_new)) = written {
                row.write(&session.connection, resource, is_new)?;
            }
            Ok(outcome)
        })
    }

    /// The outcome, and the row to write if it changes.
    fn decide<T>(
        &mut self,
        resource: &ResourceName,
        step: impl Fn(&mut LocalizedRow) -> (T, ExpiryUpdate),
    ) -> RequestResult<(T, Option<(LeaseRow, bool)>)> {
        let mut observation = self.observe(resource)?;
        if let Some(row) = &observation.stored {
            row.check_reader(resource)?;
        }
        let version = observation.record.version;
        let (outcome, expiry) = step(&mut observation);
        if observation.record.version == version {
            return Ok((outcome, None));
        }
        let is_new = observation.stored.is_none();
        let mut row = observation.stored.unwrap_or_else(LeaseRow::new);
        let stored = row.record.expires_at;
        row.record = observation.record;
        match expiry {
            ExpiryUpdate::Ours => row.clock = self.clock.identity.to_string(),
            ExpiryUpdate::Kept => row.record.expires_at = stored,
        }
        Ok((outcome, Some((row, is_new))))
    }

    fn observe(&mut self, resource: &ResourceName) -> RequestResult<LocalizedRow> {
        let (stored, now) = self.find(resource)?;
        let Some(row) = &stored else {
            return Ok(LocalizedRow {
                record: StoredRecord::default(),
                now,
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
    fn transact<T>(&mut self, work: impl Fn(&mut Self) -> RequestResult<T>) -> RequestResult<T> {
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
        self.connection
            .prepare_cached("BEGIN IMMEDIATE")?
            .execute([])?;
        let done = work(self).and_then(|outcome| {
            let mut commit = self.connection.prepare_cached("COMMIT")?;
            commit.execute([]).map_err(Failure::at_commit)?;
            Ok(outcome)
        });
        if done.is_err() {
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
