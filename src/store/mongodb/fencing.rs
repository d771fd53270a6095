//! Fenced writes: leader transactions, which check the lease in a transaction of the application.

mod guard;

use futures::future::BoxFuture;
use mongodb::{
    ClientSession,
    error::{Error, ErrorKind, WriteFailure},
    options::ReadConcern,
};

use super::{
    KIND, MongoStore,
    document::{self, ReadPurpose},
    failure::Failure,
    pipeline,
    requests::{exact, majority, primary},
};
use crate::{
    lease::Lease,
    store::{
        Operation, StoreErrorKind,
        fencing::{FencingError, RejectedWrite},
    },
};

type FencingResult<T = ()> = Result<T, FencingError<Error>>;

impl MongoStore {
    /// Checks within your transaction that a lease is still held. If it is, the transaction commits before
    /// another candidate acquires the lease, or not at all.
    ///
    /// The session must be in a transaction with write concern `majority` and read concern `snapshot`, and must
    /// belong to the client of the store's collection. It sends one update with the filter of a renewal, which
    /// raises the `version` of the record and changes nothing else. (If the transaction only *read* the
    /// record, it could commit beside a takeover, because a read conflicts with nothing.)
    ///
    /// From here to the end of the transaction, renewals and bids wait: make it the last request before the
    /// commit. If the process freezes in between, they wait until the server aborts the transaction
    /// (`transactionLifetimeLimitSeconds`, 60 s by default). If a renewal was faster, the call fails with the
    /// label `TransientTransactionError`: begin the transaction again.
    ///
    /// # Errors
    /// If it fails, abort the transaction.
    ///
    /// - [`FencingError::Rejected`]: the lease is no longer held.
    /// - [`FencingError::Lease`]: the check failed, or the server has no transactions.
    /// - [`FencingError::Failed`]: the driver's error.
    ///
    /// # Cancel safety
    /// Not cancel safe: if you drop the call, abort the transaction.
    pub async fn confirm(&self, session: &mut ClientSession, lease: &Lease) -> FencingResult {
        let (filter, change) = pipeline::confirm(lease);
        let write = self
            .collection
            .update_one(filter, change)
            .collation(exact())
            .session(&mut *session);
        if write
            .await
            .map_err(|error| self.failed(error))?
            .matched_count
            == 1
        {
            return Ok(());
        }
        let look = self
            .collection
            .find_one(pipeline::by_name(&lease.resource))
            .projection(pipeline::view())
            .collation(exact())
            .session(&mut *session);
        let found = look.await.map_err(|error| self.failed(error))?;
        let record = found.map_or(Ok(None), |found| {
            document::record(&found, ReadPurpose::Write)
        });
        let record = self.in_context(Operation::Confirm, record)?;
        Err(RejectedWrite::by_record(lease, record.as_ref()).into())
    }

    /// Runs `work` in a transaction that commits only if the lease is still held then.
    ///
    /// The requests of `work` must carry the session that it receives. `context` is for anything else that they
    /// need. The lease is [confirmed](Self::confirm) after `work`, so that other requests for it wait only for
    /// the commit.
    ///
    /// If the transaction conflicts with another one or with a renewal, everything is repeated, including
    /// `work`, for up to 120 s: that is the driver's rule (`StartTransaction::and_run`). So `work` should take
    /// far less time than the interval between two renewals. If the process freezes in `work`, the documents
    /// that it wrote stay locked, also for the next leader, until the server aborts the transaction (60 s by
    /// default).
    ///
    /// Requests: those of `work`, one to confirm, one to commit. Least privileges: those of `work`, and `find` and
    /// `update` on the collection of the leases. It needs a replica set or a sharded cluster.
    ///
    /// # Errors
    /// As [`confirm`](Self::confirm). [`FencingError::Failed`] also holds the error of `work`, which should return
    /// the driver's errors unchanged. If the outcome of the commit is unknown, the error has the label
    /// `UnknownTransactionCommitResult`.
    ///
    /// # Cancel safety
    /// A dropped call may have been applied. If not, the transaction is aborted when the session is used again or
    /// when its time is up.
    ///
    /// # Examples
    /// ```no_run
    /// # use mongodb::{Collection, bson::{Document, doc}};
    /// # use tenure::{Leadership, MongoStore};
    /// # async fn example(store: MongoStore, reports: Collection<Document>, leadership: Leadership) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut session = reports.client().start_session().await?;
    /// let (lease, context) = (leadership.lease(), &reports);
    /// let write = store.leader_transaction(&mut session, lease, context, |session, reports| {
    ///     let report = reports.insert_one(doc! { "day": "2026-11-22" });
    ///     Box::pin(async move { report.session(session).await })
    /// });
    /// write.await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn leader_transaction<T, C, W>(
        &self,
        session: &mut ClientSession,
        lease: &Lease,
        context: C,
        work: W,
    ) -> FencingResult<T>
    where
        T: Send,
        C: Send,
        W: Send,
        W: for<'b> FnMut(
            &'b mut ClientSession,
            &'b mut C,
        ) -> BoxFuture<'b, mongodb::error::Result<T>>,
    {
        let mut refusal = None;
        let transaction = session
            .start_transaction()
            .read_concern(ReadConcern::snapshot())
            .write_concern(majority())
            .selection_criteria(primary());
        let parts = (context, work, &mut refusal);
        let done = transaction.and_run(parts, |session, (context, work, refusal)| {
            Box::pin(async move {
                let done = work(session, context).await?;
                match self.confirm(session, lease).await {
                    Ok(()) => Ok(done),
                    Err(FencingError::Failed(error)) => Err(error),
                    Err(other) => {
                        **refusal = Some(other);
                        // An error without a label, so that the driver aborts and does not retry.
                        Err(Error::custom(()))
                    }
                }
            })
        });
        let done = done.await;
        match refusal {
            Some(refusal) => Err(refusal),
            None => done.map_err(|error| self.failed(error)),
        }
    }

    /// The driver's error, unless it says that the server has no transactions.
    fn failed(&self, error: Error) -> FencingError<Error> {
        if !is_without_transactions(&error) {
            return FencingError::Failed(error);
        }
        let message = "the server has no transactions: make it a replica set (one member is enough), or use \
                       a token guard";
        let failure = Failure::new(StoreErrorKind::Unsupported, message).because(error);
        let place = self.collection.namespace().to_string();
        failure.of(KIND, Operation::Confirm, &place).into()
    }
}

/// Whether the error is that of a server outside a replica set.
fn is_without_transactions(error: &Error) -> bool {
    const ILLEGAL_OPERATION: i32 = 20;
    let (code, message) = match &*error.kind {
        ErrorKind::Command(refused) => (refused.code, &refused.message),
        ErrorKind::Write(WriteFailure::WriteError(refused)) => (refused.code, &refused.message),
        ErrorKind::SessionsNotSupported => return true,
        _ => return false,
    };
    // The second is the driver's own text, which names another feature.
    let words = [
        "Transaction numbers",
        "This MongoDB deployment does not support retryable writes",
    ];
    code == ILLEGAL_OPERATION && words.iter().any(|words| message.starts_with(words))
}
