//! Fenced writes: guards in transactions of the application's connection.

mod token_claim;

use rusqlite::{Connection, ToSql, Transaction, TransactionBehavior};

use self::token_claim::{ClaimStatements, RowToken};
use super::{KIND, SqliteStore, failure::RequestResult, row::LeaseRow, session::is_foreign};
use crate::{
    lease::Lease,
    store::{
        Operation, RenewOutcome,
        fencing::{FencingError, RejectedWrite, RejectionReason, TokenGuard},
    },
};

/// # SQLite
///
/// [`claim`](Self::claim) claims the row for the token within your own transaction: an `UPDATE` writes the
/// token if the row has no newer one, and a `SELECT` reads the result. What the transaction then writes to
/// the row is guarded, too.
///
/// Give the table a column for the token: `ALTER TABLE accounts ADD COLUMN fencing_token INTEGER`. A column of
/// type `TEXT` or `REAL` does not keep integers, and is refused.
impl TokenGuard {
    /// Claims the row with this key for the token, within your transaction. If it fails, roll back.
    ///
    /// The table is one of the main database. The key gives the values of the columns that together identify
    /// one row.
    ///
    /// # Errors
    /// - [`FencingError::Rejected`]: the row has a newer token.
    /// - [`FencingError::NotFound`]: there is no such row.
    /// - [`FencingError::Unguardable`]: the key fits several rows, or the column holds no integer.
    /// - [`FencingError::Failed`]: SQLite's error.
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
    /// assert_eq!(late.unwrap_err().rejected_write().and_then(|rejected| rejected.newest), Some(newer.token));
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
            return unguardable(
                "the key names no column: give the columns that identify one row".to_owned(),
            );
        }
        let token = self.signed()?;
        let claim = ClaimStatements::new(table, &self.field, key.iter().map(|(column, _)| *column));
        let found = claim.execute(transaction, token, key);
        match found.map_err(FencingError::Failed)? {
            RowToken::Nothing => Err(FencingError::NotFound),
            RowToken::Token(found) if found == token => Ok(()),
            RowToken::Token(found) => {
                let newer = u64::try_from(found).ok();
                match newer.and_then(|found| self.refused_by(found)) {
                    Some(rejected) => Err(rejected.into()),
                    None => unguardable(format!(
                        "`{}` of `{table}` holds {found} after the claim: look for a trigger that changes it",
                        self.field
                    )),
                }
            }
            RowToken::Other(what) => unguardable(format!(
                "`{}` of `{table}` holds {what}: make it a column of type INTEGER",
                self.field
            )),
            RowToken::Several => unguardable(format!(
                "the key fits several rows of `{table}`: give the columns of a unique key"
            )),
        }
    }

    /// Claims the row and runs `work` in one `BEGIN IMMEDIATE` transaction.
    ///
    /// The transaction commits if both succeed. Otherwise, or if `work` panics, it is rolled back.
    ///
    /// # Errors
    /// As [`claim`](Self::claim). [`FencingError::Failed`] holds the error of `work`, or SQLite's converted into
    /// that type.
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
    /// Checks within your transaction that a lease is still held. If it is, the transaction commits before
    /// another candidate acquires the lease, or not at all.
    ///
    /// The connection is your own, to the same file as the leases. The check is one read, judged by the rules
    /// for a renewal. Begin the transaction as an immediate one. A deferred one that writes after another
    /// connection has written fails with `SQLITE_BUSY`; and if it writes only to attached databases, it can
    /// commit beside a takeover.
    ///
    /// While the transaction has the write lock, renewals wait: keep it shorter than
    /// [`busy_limit`](super::SqliteStoreBuilder::busy_limit). If the process freezes within it, the file stays
    /// locked until the process continues or dies, as with any transaction of SQLite.
    ///
    /// # Errors
    /// If it fails, roll back.
    ///
    /// - [`FencingError::Rejected`]: the lease is no longer held.
    /// - [`FencingError::Lease`]: the check failed, for instance because the connection is to another file.
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

    /// Runs `work` in one `BEGIN IMMEDIATE` transaction that commits only if the lease is held.
    ///
    /// If the lease is not held, or if `work` fails or panics, the transaction is rolled back. The call blocks,
    /// as your connection does. [`confirm`](Self::confirm) says what it costs other requests.
    ///
    /// # Errors
    /// As [`confirm`](Self::confirm). [`FencingError::Failed`] holds the error of `work`, or SQLite's converted
    /// into that type.
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
    /// #     replaces: None,
    /// #     waited: None,
    /// #     internal: false,
    /// # };
    /// # let limit = Duration::from_secs(1);
    /// # let AcquireOutcome::Granted { token } = store.acquire(&bid, limit).await? else { return Err("held".into()) };
    /// # let lease = Lease { resource: bid.resource, holder: bid.candidate, token };
    /// // If you have a `Leadership`, pass `leadership.lease()`.
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

    fn judge(
        &self,
        connection: &Connection,
        lease: &Lease,
    ) -> RequestResult<Result<(), RejectedWrite>> {
        self.files.check_same(connection)?;
        let resource = &lease.resource;
        let found = LeaseRow::find(connection, resource)?;
        // After the read, as in every request, because the read may have waited.
        self.files.check()?;
        let now = self.clock.clock.now();
        let Some(row) = found else {
            return Ok(Err(RejectedWrite::by_record(lease, None)));
        };
        row.check_reader(resource)?;
        let foreign = is_foreign(&row.record, &row.clock, &self.clock, now);
        let newest = row.record.token;
        // The rule for a renewal, applied to a copy.
        let (mut record, ttl) = (row.record.clone(), row.record.ttl);
        let rejected = match record.renew(lease, ttl, now) {
            RenewOutcome::Renewed { .. } if !foreign => return Ok(Ok(())),
            RenewOutcome::Renewed { .. } => None,
            RenewOutcome::Lost(record) => Some(RejectedWrite::by_record(lease, record.as_ref())),
        };
        Ok(Err(match rejected {
            Some(rejected) if !foreign || rejected.reason != RejectionReason::Expired => rejected,
            _ => RejectedWrite {
                reason: RejectionReason::ForeignClock,
                ..RejectedWrite::by_token(lease, Some(newest))
            },
        }))
    }
}

/// Runs the guard and the work in an immediate transaction, and commits it if both succeed. A transaction that
/// is dropped earlier is rolled back.
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
        FencingError::Rejected(rejected) => FencingError::Rejected(rejected),
        FencingError::NotFound => FencingError::NotFound,
        FencingError::Unguardable(why) => FencingError::Unguardable(why),
        FencingError::Lease(error) => FencingError::Lease(error),
    })?;
    let done = work(&transaction).map_err(FencingError::Failed)?;
    transaction.commit().map_err(failed)?;
    Ok(done)
}
