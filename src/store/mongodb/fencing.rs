//! Guards for the user's own writes: the lease's side, in the user's transaction.

mod guard;

use futures::future::BoxFuture;
use mongodb::{
    ClientSession,
    error::{Error, ErrorKind, WriteFailure},
    options::ReadConcern,
};

use super::{
    KIND, MongoStore,
    document::{self, Purpose},
    exact,
    failure::Failure,
    majority, pipeline, primary,
};
use crate::{
    lease::Lease,
    store::{
        Operation, StoreErrorKind,
        fencing::{FencingError, RejectedWrite},
    },
};

type Confirmed<T = ()> = Result<T, FencingError<Error>>;

impl MongoStore {
    /// Looks, in a transaction of yours, whether a lease is still held. If so, the transaction commits
    /// before anybody else acquires it, or not at all.
    ///
    /// The session is in a transaction, with write concern `majority` and read concern `snapshot`, and its
    /// client is the one of the store's collection. One request, an update that is judged by the filter of
    /// a renewal: a transaction that only *read* the record would commit beside a takeover, because reads
    /// conflict with nothing. It raises the `version` of the record and changes nothing else.
    ///
    /// From here to the end of the transaction, renewals and bids wait; so make it the last request before
    /// the commit. A process that freezes in between keeps them waiting until the server gives its
    /// transaction up (`transactionLifetimeLimitSeconds`, 60 s by default). A renewal that was faster lets
    /// this fail with the label `TransientTransactionError`: begin the transaction again.
    ///
    /// # Errors
    /// [`FencingError::RejectedWrite`] if the lease is not held any more, [`FencingError::Lease`] where that cannot
    /// be told, or where the server has no transactions, and the driver's error. Abort then.
    ///
    /// # Cancel safety
    /// Not: abort the transaction.
    pub async fn confirm(&self, session: &mut ClientSession, lease: &Lease) -> Confirmed {
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
        let record = found.map_or(Ok(None), |found| document::record(&found, Purpose::Write));
        let record = self.told(Operation::Confirm, record)?;
        Err(RejectedWrite::by_record(lease, record.as_ref()).into())
    }

    /// Does some work in a transaction that commits only if the lease is then still held.
    ///
    /// The work's requests must carry the session that it is given; the context is for what else they
    /// need. The lease is
    /// [confirmed](Self::confirm) after it, so that others wait for the commit alone. Where the
    /// transaction meets another one, or a renewal, all is done again, the work included, for up to 120 s:
    /// the driver's rule (`StartTransaction::and_run`). So it should take far less time than the interval
    /// between two renewals.
    ///
    /// A process that freezes in the work keeps what it has written there locked, also for the next leader,
    /// until the server gives its transaction up (60 s by default).
    ///
    /// Requests: those of the work, one to confirm, one to commit. Least privileges: those of the work, and
    /// `find` and `update` on the collection of the leases. It needs a replica set, or a sharded cluster.
    ///
    /// # Errors
    /// As [`confirm`](Self::confirm), and [`FencingError::Failed`] with the error of the work: return those of
    /// the driver as they are. A commit whose outcome is unknown has the label
    /// `UnknownTransactionCommitResult`.
    ///
    /// # Cancel safety
    /// Dropped, it may have been applied, or be aborted when the session is used again or its time is up.
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
    ) -> Confirmed<T>
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
                        // Has no label, so that the driver aborts and tries no more.
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

    /// The driver's error, unless it says that there are no transactions here.
    fn failed(&self, error: Error) -> FencingError<Error> {
        if !is_without_transactions(&error) {
            return FencingError::Failed(error);
        }
        let message = "the server has no transactions: make it a replica set, be it of one member, or use \
                       a token guard";
        let failure = Failure::new(StoreErrorKind::Unsupported, message).because(error);
        let place = self.collection.namespace().to_string();
        failure.of(KIND, Operation::Confirm, &place).into()
    }
}

/// What a server that is in no replica set says.
fn is_without_transactions(error: &Error) -> bool {
    const ILLEGAL_OPERATION: i32 = 20;
    let (code, message) = match &*error.kind {
        ErrorKind::Command(refused) => (refused.code, &refused.message),
        ErrorKind::Write(WriteFailure::WriteError(refused)) => (refused.code, &refused.message),
        ErrorKind::SessionsNotSupported => return true,
        _ => return false,
    };
    // The driver has words of its own for it, which speak of something else.
    let words = [
        "Transaction numbers",
        "This MongoDB deployment does not support retryable writes",
    ];
    code == ILLEGAL_OPERATION && words.iter().any(|words| message.starts_with(words))
}
