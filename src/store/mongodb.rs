use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::stream::BoxStream;
use mongodb::{Collection, bson::Document};

mod change_stream;
mod command;
mod document;
mod failure;
mod fencing;
mod instruct;
mod operation_deadline;
mod pipeline;
mod renew_batch;
mod request_gate;
mod requests;
mod servers;

pub(crate) use self::servers::Servers;
use self::{
    change_stream::PushState, document::ReadPurpose, failure::RequestResult,
    operation_deadline::OperationDeadline, request_gate::RequestGate,
};

use super::{
    AcquireOutcome, EvictionMode, InstructOutcome, LeaseStore, Operation, ReleaseOutcome,
    RenewOutcome, StoreError, StoreEvent,
};
use crate::lease::{
    Bid, EndReason, FencingToken, Instruction, Lease, LeaseRecord, ReleaseTarget, ResourceName,
    Scope,
};

const KIND: &str = "mongodb";

/// Leases in a collection of MongoDB, meant for a replica set.
///
/// # Set-up
///
/// Give the leases a separate, plain collection, and call [`prepare`](LeaseStore::prepare) once: it adds the
/// index for `list`. The store uses your client and changes no option of the client or the collection: each
/// request carries its own settings. Clones share the client. The oldest server with everything that the
/// store needs is MongoDB 4.4; the tests run with 6.0. You can shard the collection by `_id`; then `list` asks
/// every shard.
///
/// ```no_run
/// # use tenure::{LeaseStore, MongoStore};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = mongodb::Client::with_uri_str("mongodb://a,b,c/?replicaSet=rs0").await?;
/// let store = MongoStore::new(client.database("app").collection("leases"));
/// store.prepare().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Clock
///
/// `$$NOW`, the time of day of the primary. The server stores it, compares it, and computes `remaining` from
/// it. The clocks of all members that can become primary must agree, steps included, to less than the
/// [`margin`](crate::Timing::margin): if a new primary's clock is ahead of the old one's, leases end early. A
/// clock that is set back only prolongs them.
///
/// # Atomic primitive
///
/// One `findOneAndUpdate` on the document whose `_id` is the name. A bid is an upsert with a pipeline that
/// decides on the document as it was. The other writes have their conditions in the filter. A refused bid
/// leaves the document as it is, and the server neither logs nor replicates it.
///
/// Unknown fields are kept. A document that has only its `_id` counts as missing.
///
/// A document that is damaged, or is not a record, is [`Corrupt`](super::StoreErrorKind::Corrupt), and no bid for it
/// is granted. To check the whole record in each write would cost more than the write, so each request checks
/// what it depends on:
///
/// | request | the server checks before it writes |
/// | --- | --- |
/// | a bid | token, version, holder, expiry, `closing`, pause, hand-over, `min_reader`, that the history is an array |
/// | a renewal | token, version, holder, expiry, `closing`, `min_reader` |
/// | a release, an eviction | what it names, version, `min_reader`, and for an eviction the expiry |
/// | an instruction | token or edition, `internal`, `min_reader`, and for a hand-over the expiry |
///
/// If one of these is damaged, the server writes nothing. A fault elsewhere is found when the store reads
/// the answer: a bid is then not granted, though it was written. A new acquisition replaces the remaining fields, valid or
/// not, except for the edition and the history.
///
/// # Requests
///
/// One per operation, and one more in two cases:
///
/// - A renewal, release, eviction or instruction that is refused needs a `find`, to say who holds the lease.
/// - A bid whose upsert loses a race for a new name (error 11000) is sent again. So is the first pause of a resource.
///
/// `renew_many` renews up to 1,000 leases with the same ttl by one `update`; it sends at most four such requests at
/// once. If not all leases match, a `find` reads which do, and a second `update` renews those with an instruction. If a
/// document makes the `update` fail, the batch is halved until only the lease of that document fails.
///
/// `purge` is one `delete`. `watch` is one change stream on the collection, whose filter passes no renewals: it costs
/// one `getMore` every half `alive_every`, and one for each event. It keeps a connection of the client's pool busy, so
/// with a client of your own, set `max_pool_size` (default 10) to at least 11. A standalone server has no change
/// streams: there the locks poll, which the event `tenure.watch_refused` says once.
///
/// The driver's retryable writes (on by default) repeat a request once after a lost connection or a step-down
/// of the primary. The server then repeats its first answer instead of writing again. Such a call takes as
/// long as the election of a primary, up to [`call_limit`](Self::call_limit). Each request's `maxTimeMS` is
/// what is left of that limit.
///
/// At most ten requests of a store are with the driver at once; the change stream is not one of them. A request without an answer keeps its slot
/// until a `ping` is answered. Without that rule, requests that have timed out would stay in the driver's
/// queue for a connection, and after a primary that hung, the driver would serve hundreds of them first.
///
/// Leaders survive an election that ends at least one [`call_timeout`](crate::Timing::call_timeout) before
/// their deadlines. In a set of three that elects in 2 s, it ended 2 s after the primary died. When the
/// primary hung, a new one was elected in 4 s, but no write reached a majority for 13 s.
///
/// A client's connections live on the runtime that made it. While that runtime is blocked, no request makes
/// progress, and leases expire. [`open_store`](crate::open_store) makes the client on the thread of the lock
/// actors.
///
/// # What each error means
///
/// | kind | what happened | what to do |
/// | --- | --- | --- |
/// | [`Unavailable`](super::StoreErrorKind::Unavailable) | no primary can be reached, or the request was not sent | check that the members run, have a primary, and are reachable under their names |
/// | [`Unknown`](super::StoreErrorKind::Unknown) | no answer in time, or no majority has the write yet | the lock asks again; check the network and the members that are down or behind |
/// | [`Throttled`](super::StoreErrorKind::Throttled) | the server limits requests | raise its limit, or the ttl |
/// | [`Denied`](super::StoreErrorKind::Denied) | wrong credentials, or a missing privilege | correct them; no restart is needed, see *Least privileges* |
/// | [`Misconfigured`](super::StoreErrorKind::Misconfigured) | a view, a validator, a unique index or a client option refuses the request | give the leases a separate, plain collection |
/// | [`Corrupt`](super::StoreErrorKind::Corrupt) | the document is damaged, or is not a record | the message names the field |
/// | [`Unsupported`](super::StoreErrorKind::Unsupported) | the server or this library is too old | update it |
///
/// If [`open_store`](crate::open_store) made the client, the store follows each request: an error names the
/// server and the cause (`db1:27017: Connection refused (os error 111)`), and a write that was not handed to a
/// connection is [`Unavailable`](super::StoreErrorKind::Unavailable).
///
/// If the client is yours, the store sees only what the driver answers. By default the driver searches for a
/// server for 30 s; if the call ends earlier, its error names no cause, and a write is
/// [`Unknown`](super::StoreErrorKind::Unknown). Set `server_selection_timeout` (`serverSelectionTimeoutMS` in
/// the driver's URL) to less than nine tenths of the [`call_timeout`](crate::Timing::call_timeout), for example
/// 500 ms for a ttl of 3 s: then the driver's error comes first, and names server and cause.
///
/// By default, the driver sends a failed write a second time, and returns the error of the second try. With
/// your own client, the store does not see that there were two: it may report the kind of that error, such as
/// [`Denied`](super::StoreErrorKind::Denied), although the first try was applied. For exact kinds, set
/// `retry_writes` (`retryWrites` in the driver's URL) to `false`; the lock retries by itself.
///
/// # Isolation
///
/// Writes ask for `{ w: "majority", j: true }`; reads ask for the primary and read concern `majority`. The
/// client's defaults do not matter. `read` and `list` may miss a write that is under way, and for a moment
/// after a partition also older ones; no grant depends on them. Names are compared byte by byte. If the
/// collection has a collation, requests scan it, and it refuses names that the collation takes for
/// equal.
///
/// # Least privileges
///
/// `find`, `insert` and `update` on the collection; these also create it if it is missing. `createIndex` for
/// `prepare` alone, `remove` for `purge` alone.
///
/// `changeStream` for the watch. Without it, locks poll; `tenure.watch_refused` says so once. The store goes on
/// trying, so the watch begins within about 30 s after you grant it.
///
/// After the server has refused the credentials, the driver tries again with its next heartbeat, every 10 s by
/// default. Until a request succeeds, the store sends a `ping` before each one, and each fails with
/// [`Denied`](super::StoreErrorKind::Denied). Once the credentials are right, the store works again without a restart.
///
/// # What can be lost
///
/// A failover loses nothing that was granted: an answer waits until the write is on the disks of a majority. If
/// they do not have it yet when the call ends, the write is [`Unknown`](super::StoreErrorKind::Unknown). Outside
/// the guarantee:
///
/// - A restored backup takes tokens back.
/// - A document that was deleted while its lease was held lets another candidate acquire it at once. **Put no TTL index
///   on the collection.** Its next token is the time of the primary's clock in milliseconds, as for every new record:
///   it is greater than the deleted one unless that clock was set back by more than the time since.
/// - Without a majority of data-bearing members, a replica set makes no progress.
///
/// A server outside a replica set takes the same requests, and its answers survive a crash of the server in its
/// journal. But it has no failover: while it is down, no lease is acquired or renewed, and if its machine or
/// disk loses data, leases and tokens are lost. The driver repeats no writes there: a write whose answer is
/// lost is `Unknown`, and the lock asks again.
#[derive(Clone)]
pub struct MongoStore {
    collection: Collection<Document>,
    call_limit: Duration,
    request_gate: Arc<RequestGate>,
    push: Arc<PushState>,
}

impl MongoStore {
    /// A store that keeps its leases in this collection. It changes no option of the collection or its client.
    #[must_use]
    pub fn new(collection: Collection<Document>) -> Self {
        Self {
            call_limit: Duration::from_secs(2),
            request_gate: Arc::new(RequestGate::new(collection.client(), None)),
            push: Arc::default(),
            collection,
        }
    }

    /// A store whose client reports the state of its [`Servers`].
    pub(super) fn of_servers(collection: Collection<Document>, servers: Arc<Servers>) -> Self {
        Self {
            request_gate: Arc::new(RequestGate::new(collection.client(), Some(servers))),
            ..Self::new(collection)
        }
    }

    /// Sets how long an operation may take, including all its requests, the driver's retries and its search
    /// for a primary. Default 2 s.
    ///
    /// A write that takes longer is [`Unknown`](super::StoreErrorKind::Unknown). A read, or a write that was
    /// certainly not sent, is [`Unavailable`](super::StoreErrorKind::Unavailable). If a call has a shorter
    /// limit, like the calls of a lock, that one counts.
    ///
    /// [`prepare`](LeaseStore::prepare) may take ten times as long, and is then
    /// [`Unknown`](super::StoreErrorKind::Unknown): the server may still build the index. If the collection has
    /// very many records, prepare it through a clone of the store with a larger limit.
    #[must_use]
    pub fn call_limit(mut self, limit: Duration) -> Self {
        self.call_limit = limit;
        self
    }

    fn limit(&self, limit: Duration) -> OperationDeadline {
        OperationDeadline::new(limit.min(self.call_limit))
    }

    fn in_context<T>(
        &self,
        operation: Operation,
        answer: RequestResult<T>,
    ) -> Result<T, StoreError> {
        answer.map_err(|failure| {
            failure.of(KIND, operation, &self.collection.namespace().to_string())
        })
    }
}

impl fmt::Debug for MongoStore {
    /// Shows only the name of the collection, because the client holds the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = self.collection.namespace().to_string();
        f.debug_tuple("MongoStore").field(&namespace).finish()
    }
}

#[async_trait]
impl LeaseStore for MongoStore {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn location(&self) -> String {
        self.collection.namespace().to_string()
    }

    /// 100 ms, because a write waits for a majority of the members.
    fn min_ttl(&self) -> Duration {
        Duration::from_millis(100)
    }

    /// On a runtime of tokio: the client's connections are tasks of the application's runtime.
    fn runs_in_callers_task(&self) -> bool {
        tokio::runtime::Handle::try_current().is_ok()
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        self.in_context(Operation::Prepare, self.create_index().await)
    }

    async fn acquire(&self, bid: &Bid, limit: Duration) -> Result<AcquireOutcome, StoreError> {
        self.in_context(Operation::Acquire, self.bid(bid, self.limit(limit)).await)
    }

    async fn renew(
        &self,
        lease: &Lease,
        ttl: Duration,
        limit: Duration,
    ) -> Result<RenewOutcome, StoreError> {
        let renewal = self.renew_one(lease, ttl, self.limit(limit));
        self.in_context(Operation::Renew, renewal.await)
    }

    async fn release(
        &self,
        claim: &ReleaseTarget,
        reason: Option<EndReason>,
        limit: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        let change = pipeline::release(claim, reason);
        let end = self.end(claim.resource(), change, self.limit(limit));
        self.in_context(Operation::Release, end.await)
    }

    async fn read(
        &self,
        resource: &ResourceName,
        limit: Duration,
    ) -> Result<Option<LeaseRecord>, StoreError> {
        self.in_context(
            Operation::Read,
            self.find_record(resource, ReadPurpose::Read, self.limit(limit))
                .await,
        )
    }

    async fn list(&self, scope: &Scope, limit: Duration) -> Result<Vec<LeaseRecord>, StoreError> {
        self.in_context(
            Operation::List,
            self.find_records(scope, self.limit(limit)).await,
        )
    }

    async fn evict(
        &self,
        resource: &ResourceName,
        token: FencingToken,
        eviction: EvictionMode,
        limit: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        let change = pipeline::evict(resource, token, eviction);
        let end = self.end(resource, change, self.limit(limit));
        self.in_context(Operation::Evict, end.await)
    }

    async fn instruct(
        &self,
        resource: &ResourceName,
        instruction: &Instruction,
        limit: Duration,
    ) -> Result<InstructOutcome, StoreError> {
        let written = self.write_instruction(resource, instruction, self.limit(limit));
        self.in_context(Operation::Instruct, written.await)
    }

    async fn purge(
        &self,
        scope: &Scope,
        untouched_for: Duration,
        limit: Duration,
    ) -> Result<u64, StoreError> {
        let deleted = self.delete_untouched(scope, untouched_for, self.limit(limit));
        self.in_context(Operation::Purge, deleted.await)
    }

    async fn renew_many(
        &self,
        leases: &[(Lease, Duration)],
        limit: Duration,
    ) -> Vec<Result<RenewOutcome, StoreError>> {
        let outcomes = self.renew_leases(leases, self.limit(limit)).await;
        let outcomes = outcomes.into_iter();
        outcomes
            .map(|outcome| self.in_context(Operation::Renew, outcome))
            .collect()
    }

    fn watch(&self, alive_every: Duration) -> Option<BoxStream<'static, StoreEvent>> {
        change_stream::watch(self, alive_every)
    }
}
