//! Renewals. An undisturbed one reads and writes only the columns that it needs.

use std::time::Duration;

use rusqlite::{Connection, ToSql};

use super::{
    failure::RequestResult,
    session::{ExpiryUpdate, HostClock, LocalizedRow, Session},
};
use crate::{
    clock::Moment,
    lease::Lease,
    store::{RenewOutcome, record::READER},
};

/// The rules of `StoredRecord::renew` and `is_foreign`. What is not so simple is left to the whole row: a lease
/// that is lost, damaged, shortened or instructed.
macro_rules! simply_renewable {
    () => {
        " WHERE name = ?1 COLLATE BINARY AND holder = ?2 COLLATE BINARY AND token = ?3 \
         AND clock = ?4 COLLATE BINARY AND closing = 0 AND expires_at > ?5 AND expires_at <= ?6 \
         AND expires_at - ?5 <= ttl AND version BETWEEN 1 AND 9223372036854775806 \
         AND pause_note IS NULL AND hand_over IS NULL AND ifnull(min_reader, 1) <= ?7"
    };
}

const CHECK: &str = concat!("SELECT 1 FROM tenure_leases", simply_renewable!());
const EXTEND: &str = concat!(
    "UPDATE tenure_leases SET version = version + 1, expires_at = ?6, ttl = ?8",
    simply_renewable!()
);

impl Session {
    pub(super) fn renew(&mut self, lease: &Lease, ttl: Duration) -> RequestResult<RenewOutcome> {
        let now = self.clock.clock.now();
        let renewal = Renewal::new(lease, ttl, now, &self.clock);
        if renewal.is_simple(&self.connection)? {
            self.transact(|session| session.renew_within(lease, ttl))
        } else {
            // A lease that is lost needs no write lock, so it is not waited for.
            self.change(&lease.resource, |found| renew_row(found, lease, ttl))
        }
    }

    /// Renews all of them in one transaction. An error of one lease does no harm to the others.
    pub(super) fn renew_many(
        &mut self,
        leases: &[(Lease, Duration)],
    ) -> RequestResult<Vec<RequestResult<RenewOutcome>>> {
        self.transact(|session| {
            let mut outcomes = Vec::with_capacity(leases.len());
            for (lease, ttl) in leases {
                match session.renew_within(lease, *ttl) {
                    // The whole transaction was rolled back, or is to be tried again.
                    Err(failure) if failure.is_full() || session.connection.is_autocommit() => {
                        return Err(failure);
                    }
                    outcome => outcomes.push(outcome),
                }
            }
            Ok(outcomes)
        })
    }

    /// Within a transaction that has the write lock, so that the clock is read after the row's last change.
    fn renew_within(&mut self, lease: &Lease, ttl: Duration) -> RequestResult<RenewOutcome> {
        let now = self.clock.clock.now();
        let renewal = Renewal::new(lease, ttl, now, &self.clock);
        if renewal.extend(&self.connection)? {
            Ok(RenewOutcome::RENEWED)
        } else {
            self.change_within(&lease.resource, |found| renew_row(found, lease, ttl))
        }
    }
}

/// A renewal that reads and writes the whole row.
pub(super) fn renew_row(
    found: &mut LocalizedRow,
    lease: &Lease,
    ttl: Duration,
) -> (RenewOutcome, ExpiryUpdate) {
    let outcome = if found.foreign {
        RenewOutcome::Lost(found.record.seen(&lease.resource, found.now))
    } else {
        found.record.renew(lease, ttl, found.now)
    };
    (outcome, ExpiryUpdate::Ours)
}

/// The values of the narrow statements.
struct Renewal<'a> {
    name: &'a str,
    holder: &'a str,
    token: i64,
    clock: &'a str,
    now: i64,
    expires_at: i64,
    ttl: i64,
}

impl<'a> Renewal<'a> {
    fn new(lease: &'a Lease, ttl: Duration, now: Moment, clock: &'a HostClock) -> Self {
        let nanos = |moment: Moment| i64::try_from(moment.as_nanos()).unwrap_or(i64::MAX);
        Self {
            name: lease.resource.as_str(),
            holder: lease.holder.as_str(),
            // No row has a negative token.
            token: i64::try_from(lease.token.get()).unwrap_or(-1),
            clock: &clock.identity,
            now: nanos(now),
            expires_at: nanos(now + ttl),
            ttl: i64::try_from(ttl.as_nanos()).unwrap_or(i64::MAX),
        }
    }

    fn is_simple(&self, connection: &Connection) -> RequestResult<bool> {
        let mut check = connection.prepare_cached(CHECK)?;
        let values = self.values();
        Ok(check.exists(&values[..7])?)
    }

    /// Returns `false` if the row is to be judged as a whole.
    fn extend(&self, connection: &Connection) -> RequestResult<bool> {
        let mut extend = connection.prepare_cached(EXTEND)?;
        Ok(extend.execute(&self.values()[..])? > 0)
    }

    fn values(&self) -> [&dyn ToSql; 8] {
        [
            &self.name,
            &self.holder,
            &self.token,
            &self.clock,
            &self.now,
            &self.expires_at,
            &READER,
            &self.ttl,
        ]
    }
}
