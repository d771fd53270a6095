//! Guards for the user's own writes, in transactions of the user's own connection.

mod token_claim;

use rusqlite::{Connection, ToSql, Transaction, TransactionBehavior};

use self::token_claim::{ClaimedRow, TokenClaim};
use super::{KIND, SqliteStore, failure::Answer, row::Row, session::is_foreign};
use crate::{
    lease::Lease,
    store::{
        Operation, RenewOutcome,
        fencing::{FencingError, RejectedWrite, RejectionReason, TokenGuard},
    },
};

/// # SQLite
///
/// The row is claimed for the token within your own transaction, by an `UPDATE` that the token guards and
/// a `SELECT` that says what has come of it. What the transaction then writes to the row is guarded, too.
///
/// Give the table a column for the token: `ALTER TABLE accounts ADD COLUMN fencing_token INTEGER`. One of
/// type `TEXT` or `REAL` does not keep integers, and is refused.
impl TokenGuard {
    /// Claims the row with this key for the token, in a transaction of yours. If this fails, roll it back.
    ///
    /// The table is one of the main database. The key is the values of some columns that together name
    /// one row.
    ///
    /// # Errors
    /// [`FencingError::RejectedWrite`] if the row has a newer token, [`FencingError::NotFound`] if there is no such
    /// row, [`FencingError::Unguardable`] if there are several or the column holds no integer, and the
    /// errors of SQLite.
    ///
    /// # Examples
    /// ```
    /// # use tenure::{FencingToken, fencing::TokenGuard, lease::{CandidateId, Lease, ResourceName}};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let mut connection = rusqlite::Connection::open_in_memory()?;
    /// # let lease = |token| -> Result<_, Box<dyn std::error::Error>> { Ok(Lease {
    /// #     resource: ResourceName::new("billing")?,
    /// #     holder: CandidateId::new("a")?,
    /// #     token: FencingToken::new(token),
    /// # }) };
    /// # let (older, newer) = (lease(1)?, lease(2)?);
    /// # connection.execute_batch(
    /// #     "CREATE TABLE accounts (id INTEGER PRIMARY KEY, cents INTEGER, fencing_token INTEGER);
    /// #      INSERT INTO accounts VALUES (7, 0, NULL);",
    /// # )?;
    /// let transaction = connection.transaction()?;
    /// TokenGuard::new(&newer).claim(&transaction, "accounts", &[("id", &7)])?;
    /// transaction.execute("UPDATE accounts SET cents = 100 WHERE id = 7", [])?;
    /// transaction.commit()?;
    ///
    /// let transaction = connection.transaction()?;
    /// let late = TokenGuard::new(&older).claim(&transaction, "accounts", &[("id", &7)]);
    /// assert_eq!(late.unwrap_err().fenced().and_then(|fenced| fenced.newest), Some(newer.token));
    /// # Ok(())
    /// # }
    /// ```
    pub fn claim(
        &self,
        transaction: &Transaction<'_>,
        table: &str,
        key: &[(&str, &dyn ToSql)],
    ) -> Result<(), FencingError<rusqlite::Error>> {
        let unguardable = |why: String| Err(FencingError::Unguardable(why));
        if key.is_empty() {
            return unguardable("the key names no column, and a claim is for one row".to_owned());
        }
        let token = self.signed()?;
        let claim = TokenClaim::new(table, &self.field, key.iter().map(|(column, _)| *column));
        let found = claim.execute(transaction, token, key);
        match found.map_err(FencingError::Failed)? {
            ClaimedRow::Nothing => Err(FencingError::NotFound),
            ClaimedRow::Token(found) if found == token => Ok(()),
            ClaimedRow::Token(found) => {
                let newer = u64::try_from(found).ok();
                match newer.and_then(|found| self.refused_by(found)) {
                    Some(fenced) => Err(fenced.into()),
                    None => unguardable(format!(
                        "`{}` of `{table}` holds {found} after the claim: look for triggers",
                        self.field
                    )),
                }
            }
            ClaimedRow::Other(what) => unguardable(format!(
                "`{}` of `{table}` holds {what}: make it a column of type INTEGER",
                self.field
            )),
            ClaimedRow::Several => unguardable(format!(
                "the key names several rows of `{table}`: give the columns of a unique one"
            )),
        }
    }

    /// Claims the row and does some work in one `BEGIN IMMEDIATE` transaction, which commits if both
    /// succeed, and is rolled back if not, or by a panic.
    ///
    /// # Errors
    /// As [`claim`](Self::claim); [`FencingError::Failed`] with the error of the work, or with SQLite's, as
    /// the work's error type takes it.
    pub fn transaction<T, E: From<rusqlite::Error>>(
        &self,
        connection: &mut Connection,
        table: &str,
        key: &[(&str, &dyn ToSql)],
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, FencingError<E>> {
        let claim = |transaction: &Transaction<'_>| self.claim(transaction, table, key);
        immediate(connection, claim, work)
    }
}

impl SqliteStore {
    /// Looks, in a transaction of yours, whether a lease is still held. If so, the transaction commits
    /// before anybody else acquires it, or not at all.
    ///
    /// The connection is your own, to the same file as the leases. It costs one read, which is judged by
    /// the rules for a renewal. Begin the transaction as an immediate one: a deferred one that writes after
    /// somebody else has written fails with `SQLITE_BUSY`, and if all that it writes is in attached
    /// databases, it commits beside a takeover.
    ///
    /// As long as the transaction has the write lock, renewals wait: keep it below
    /// [`busy_limit`](super::SqliteStoreBuilder::busy_limit). A process that freezes within it keeps the
    /// file locked until it goes on or dies, as with any transaction of SQLite.
    ///
    /// # Errors
    /// [`FencingError::RejectedWrite`] if the lease is not held any more, [`FencingError::Lease`] where that cannot
    /// be told, for instance because the connection is to another file. Roll back then.
    pub fn confirm(
        &self,
        transaction: &Transaction<'_>,
        lease: &Lease,
    ) -> Result<(), FencingError<rusqlite::Error>> {
        let judged = self.judge(transaction, lease).map_err(|failure| {
            failure.of(KIND, Operation::Confirm, &self.path.display().to_string())
        });
        Ok(judged??)
    }

    /// Does some work in one `BEGIN IMMEDIATE` transaction that commits only if the lease is held, and is
    /// rolled back if not, or if the work fails or panics.
    ///
    /// It blocks, as your connection does. [`confirm`](Self::confirm) says what it costs others.
    ///
    /// # Errors
    /// As [`confirm`](Self::confirm); [`FencingError::Failed`] with the error of the work, or with
    /// SQLite's, as the work's error type takes it.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use tenure::{LeaseStore, SqliteStore, lease::{CandidateId, Lease, ResourceName}, store::{AcquireOutcome, AttemptId, Bid}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("app.db");
    /// let store = SqliteStore::open(&path)?;
    /// let mut connection = rusqlite::Connection::open(&path)?;
    /// # connection.execute_batch("CREATE TABLE reports (day TEXT)")?;
    /// # let bid = Bid {
    /// #     resource: ResourceName::new("jobs/reports")?,
    /// #     candidate: CandidateId::generate(),
    /// #     attempt: AttemptId::new(1),
    /// #     ttl: Duration::from_secs(15),
    /// #     metadata: None,
    /// #     reentrant: false,
    /// # };
    /// # let AcquireOutcome::Granted { token } = store.acquire(&bid).await? else { return Err("held".into()) };
    /// # let lease = Lease { resource: bid.resource, holder: bid.candidate, token };
    /// // With a leadership, it is leadership.lease().
    /// store.leader_transaction(&mut connection, &lease, |transaction| {
    ///     transaction.execute("INSERT INTO reports VALUES ('2026-11-22')", [])
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn leader_transaction<T, E: From<rusqlite::Error>>(
        &self,
        connection: &mut Connection,
        lease: &Lease,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, FencingError<E>> {
        let confirm = |transaction: &Transaction<'_>| self.confirm(transaction, lease);
        immediate(connection, confirm, work)
    }

    fn judge(&self, connection: &Connection, lease: &Lease) -> Answer<Result<(), RejectedWrite>> {
        self.files.check_same(connection)?;
        let resource = &lease.resource;
        let found = Row::find(connection, resource)?;
        // After the read, as for every request: it may have waited.
        self.files.check()?;
        let now = self.clock.clock.now();
        let Some(row) = found else {
            return Ok(Err(RejectedWrite::by_record(lease, None)));
        };
        row.check_reader(resource)?;
        let foreign = is_foreign(&row.record, &row.clock, &self.clock, now);
        let newest = row.record.token;
        // The rule for a renewal, on a copy that is thrown away.
        let (mut record, ttl) = (row.record.clone(), row.record.ttl);
        let fenced = match record.renew(lease, ttl, now) {
            RenewOutcome::Renewed if !foreign => return Ok(Ok(())),
            RenewOutcome::Renewed => None,
            RenewOutcome::Lost(record) => Some(RejectedWrite::by_record(lease, record.as_ref())),
        };
        Ok(Err(match fenced {
            Some(fenced) if !foreign || fenced.reason != RejectionReason::Expired => fenced,
            _ => RejectedWrite {
                reason: RejectionReason::ForeignClock,
                ..RejectedWrite::by_token(lease, Some(newest))
            },
        }))
    }
}

/// Commits the work if what guards it lets it through. What is dropped before is rolled back.
fn immediate<T, E: From<rusqlite::Error>>(
    connection: &mut Connection,
    guard: impl FnOnce(&Transaction<'_>) -> Result<(), FencingError<rusqlite::Error>>,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
) -> Result<T, FencingError<E>> {
    let failed = |error: rusqlite::Error| FencingError::Failed(error.into());
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    guard(&transaction).map_err(|error| match error {
        FencingError::Failed(error) => failed(error),
        FencingError::RejectedWrite(fenced) => FencingError::RejectedWrite(fenced),
        FencingError::NotFound => FencingError::NotFound,
        FencingError::Unguardable(why) => FencingError::Unguardable(why),
        FencingError::Lease(error) => FencingError::Lease(error),
    })?;
    let done = work(&transaction).map_err(FencingError::Failed)?;
    transaction.commit().map_err(failed)?;
    Ok(done)
}
