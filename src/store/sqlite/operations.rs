//! The requests of a store, on its session.

use std::time::Duration;

use rusqlite::params;

use super::{
    failure::RequestResult,
    row::{LeaseRow, unix_millis},
    session::{ExpiryUpdate, Session, is_foreign},
};
use crate::{
    lease::{
        Bid, EndReason, FencingToken, Instruction, LeaseRecord, ReleaseTarget, ResourceName, Scope,
    },
    store::{
        AcquireOutcome, EvictionMode, InstructOutcome, ReleaseOutcome,
        record::{READER, StoredRecord},
    },
};

/// A lease under a foreign clock counts as held until it is released.
const PURGE: &str = "DELETE FROM tenure_leases WHERE name IN (\
         SELECT name FROM tenure_leases WHERE scope = ?1 AND touched BETWEEN 0 AND ?2 \
         AND pause_note IS NULL AND internal = 0 AND ifnull(min_reader, 1) <= ?3 \
         AND (holder IS NULL OR (clock = ?4 AND expires_at BETWEEN 0 AND ?5)) LIMIT ?6)";

impl Session {
    pub(super) fn acquire(&mut self, bid: &Bid) -> RequestResult<AcquireOutcome> {
        self.change(&bid.resource, |observation| {
            let attempt = observation.record.attempt;
            if observation.foreign && attempt == Some(bid.attempt) {
                // It is not known whether the attempt's lease has expired, so it does not get its token again.
                observation.record.attempt = None;
            }
            let (now, wall) = (observation.now, observation.wall);
            let outcome = observation.record.acquire(bid, now, wall);
            if matches!(outcome, AcquireOutcome::Refused(_)) {
                observation.record.attempt = attempt;
            }
            (outcome, ExpiryUpdate::Ours)
        })
    }

    pub(super) fn release(
        &mut self,
        claim: &ReleaseTarget,
        reason: Option<EndReason>,
    ) -> RequestResult<ReleaseOutcome> {
        self.change(claim.resource(), |observation| {
            let (now, wall) = (observation.now, observation.wall);
            let outcome = observation.record.release(claim, reason, now, wall);
            (outcome, ExpiryUpdate::Kept)
        })
    }

    pub(super) fn evict(
        &mut self,
        resource: &ResourceName,
        token: FencingToken,
        eviction: EvictionMode,
    ) -> RequestResult<ReleaseOutcome> {
        self.change(resource, |observation| {
            let (now, wall) = (observation.now, observation.wall);
            let record = &mut observation.record;
            let outcome = record.evict(resource, token, eviction, now, wall);
            (outcome, ExpiryUpdate::Kept)
        })
    }

    pub(super) fn instruct(
        &mut self,
        resource: &ResourceName,
        instruction: &Instruction,
    ) -> RequestResult<InstructOutcome> {
        self.change(resource, |observation| {
            let (now, wall) = (observation.now, observation.wall);
            let outcome = observation
                .record
                .instruct(resource, instruction, now, wall);
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
            let mut record: StoredRecord = row.record;
            if is_foreign(&record, &row.clock, &self.clock, now) {
                let (token, version) = (record.token, record.version);
                record.expires_at = self
                    .observations
                    .free_at(&name, token, version, record.ttl, now);
            } else {
                self.observations.forget(&name);
            }
            record.seen(&name, now)
        });
        Ok(records.collect())
    }

    /// Deletes at most `most` records.
    pub(super) fn purge(
        &mut self,
        scope: &Scope,
        untouched_for: Duration,
        most: usize,
    ) -> RequestResult<usize> {
        self.transact(|session| {
            // Under the write lock, so that no row is newer than the clock.
            let now = session.clock.clock.now().as_nanos();
            let since = (session.clock.wall)().checked_sub(untouched_for);
            let deleted = session.connection.prepare_cached(PURGE)?.execute(params![
                scope.as_prefix(),
                since.map_or(0, unix_millis),
                i64::from(READER),
                &*session.clock.identity,
                i64::try_from(now).unwrap_or(i64::MAX),
                i64::try_from(most).unwrap_or(i64::MAX),
            ])?;
            Ok(deleted)
        })
    }
}
