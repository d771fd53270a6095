use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::TryStreamExt as _;
use mongodb::{
    Collection, IndexModel,
    bson::{Document, doc},
    options::{
        Acknowledgment, Collation, IndexOptions, ReadConcern, ReadPreference, ReturnDocument,
        SelectionCriteria, WriteConcern,
    },
};

mod call_limit;
mod dispatcher;
mod document;
mod failure;
mod fencing;
mod pipeline;
mod servers;

pub(crate) use self::servers::Servers;
use self::{
    call_limit::CallLimit,
    dispatcher::Dispatcher,
    document::Purpose,
    failure::{Access, Answer, DriverError, Failure, is_duplicate_key},
    pipeline::FilteredUpdate,
};

use super::{
    AcquireOutcome, Eviction, LeaseStore, Operation, REACHED_WITHIN, ReleaseOutcome, RenewOutcome,
    StoreError,
};
use crate::lease::{Bid, Claim, FencingToken, Lease, LeaseRecord, ResourceName, Scope};

const KIND: &str = "mongodb";

/// Leases in a collection of MongoDB, meant for a replica set. Clones share the client.
///
/// It takes a collection of your own client and leaves both as they are; what it needs, it asks for
/// with each request. Give the leases a plain collection of their own, and call
/// [`prepare`](LeaseStore::prepare) once.
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
/// `$$NOW`, the time of day of the member that is primary: it is stored, compared, and subtracted for
/// `remaining`, always on the server. The clocks of all members that can become primary must agree,
/// steps included, to less than the [`margin`](crate::Timing::margin): a primary whose clock is ahead
/// of its predecessor's ends leases early. A clock that is put back only prolongs them.
///
/// # Atomic primitive
///
/// One `findOneAndUpdate` on the document whose `_id` is the name. A bid is an upsert with a pipeline
/// that decides on the document as it was; the other requests have their conditions in the filter. A
/// refused bid leaves the document as it is, which the server neither logs nor replicates.
///
/// Fields that it does not know are kept. A document that is no record, or a damaged one, is
/// [`Corrupt`](super::StoreErrorKind::Corrupt), and the server writes nothing into it. One that has
/// nothing but its `_id` counts as none.
///
/// # Requests
///
/// One per operation. A renewal, release or eviction that is refused takes a `find` more, to say who
/// holds the lease; a bid whose upsert loses a race on a new name with error 11000 is sent once more.
///
/// The driver's retryable writes (on by default) repeat a request once after a lost connection or a
/// step-down; the server then repeats its first answer instead of writing again. Such a call takes as
/// long as the election of a primary, up to [`call_limit`](Self::call_limit). What is left of that is
/// also each request's `maxTimeMS`.
///
/// At most ten requests of a store are with the driver at once. One that gets no answer in time keeps its
/// place until a `ping` has one: the driver's pool does not forget those that wait for a connection and
/// leave, and after a primary that hung, it would have hundreds of them to serve first.
///
/// Leaders go on through an election that ends a [`call_timeout`](crate::Timing::call_timeout) before
/// their deadlines. In a set of three that elects in 2 s, that was 2 s after the primary had died; with
/// one that hung, a new one was there in 4 s, but for 13 s no write reached a majority.
///
/// The client's connections live on the runtime that made it: while that is blocked, no request gets
/// on, and the leases lapse. [`open_store`](crate::open_store) makes it on the thread of the lock actors.
///
/// # What an error says
///
/// A store of [`open_store`](crate::open_store) follows each request: an error names the server and the
/// cause (`db1:27017: Connection refused (os error 111)`), and a write that was not handed to a connection is
/// [`Unavailable`](super::StoreErrorKind::Unavailable).
///
/// Of a client of yours it sees only what the driver answers. The driver looks for a server for 30 s, and a
/// call that ends before that knows no cause, so that a write is [`Unknown`](super::StoreErrorKind::Unknown).
/// Set `server_selection_timeout` (`serverSelectionTimeoutMS` in the driver's URL) to less than nine tenths of
/// the [`call_timeout`](crate::Timing::call_timeout), 500 ms for a ttl of 3 s: then the driver's own error
/// comes first, and names them.
///
/// # Isolation
///
/// Writes ask for `{ w: "majority", j: true }`, reads for the primary and read concern `majority`,
/// whatever the client's defaults. `read` and `list` may be older than a write that is on its way, and
/// for a moment after a partition by more; they decide nothing. Names are compared byte by byte; where
/// the collection has a collation of its own, requests scan it, and it refuses names that it takes for
/// equal.
///
/// # Least privileges
///
/// `find`, `insert` and `update` on the collection, which make it if it is missing; `createIndex` for
/// `prepare` alone.
///
/// After the server has refused the credentials the driver calls it again with its next heartbeat,
/// every 10 s by default. Until something gets through, a `ping` goes before each request, and all is
/// [`Denied`](super::StoreErrorKind::Denied); once they are mended it goes on by itself.
///
/// # What can be lost
///
/// Nothing that was granted, in a failover: an answer waits until the write is on the disks of a
/// majority, and what is not there yet when the call ends is
/// [`Unknown`](super::StoreErrorKind::Unknown). Outside the guarantee:
///
/// - A restored backup, or deleted documents, take tokens back. **Put no TTL index on the collection.**
/// - A replica set without a majority of data-bearing members up makes no progress.
///
/// A server that is in no replica set takes the same requests, and what it has answered is in its
/// journal and outlives its death. But there is no failover: while it is down no lease is won or
/// renewed, and what its machine or its disk loses is lost, tokens too. The driver repeats no writes
/// there: one whose answer is lost is `Unknown`, and a lock asks again.
///
/// MongoDB 4.4 is the oldest server with all that is needed; the tests run with 6.0. A collection may
/// be sharded by `_id`; `list` then asks every shard.
#[derive(Clone)]
pub struct MongoStore {
    collection: Collection<Document>,
    call_limit: Duration,
    dispatcher: Arc<Dispatcher>,
}

impl MongoStore {
    /// Keeps leases in this collection, whose client and options stay as they are.
    #[must_use]
    pub fn new(collection: Collection<Document>) -> Self {
        Self {
            call_limit: Duration::from_secs(2),
            dispatcher: Arc::new(Dispatcher::new(collection.client(), None)),
            collection,
        }
    }

    /// The same for a client whose options tell of its [`Servers`].
    pub(super) fn of_servers(collection: Collection<Document>, servers: Arc<Servers>) -> Self {
        Self {
            dispatcher: Arc::new(Dispatcher::new(collection.client(), Some(servers))),
            ..Self::new(collection)
        }
    }

    /// How long an operation may take, with all its requests, the driver's own retries and its search
    /// for a primary. Default 2 s.
    ///
    /// A write that takes longer is [`Unknown`](super::StoreErrorKind::Unknown), a read, or what was surely
    /// not sent, [`Unavailable`](super::StoreErrorKind::Unavailable). A call whose own limit is shorter, like
    /// those of a lock, keeps to that. [`prepare`](LeaseStore::prepare) may take ten times as long.
    #[must_use]
    pub fn call_limit(mut self, limit: Duration) -> Self {
        self.call_limit = limit;
        self
    }

    async fn acquire_once(
        &self,
        bid: &Bid,
        limit: CallLimit,
    ) -> Answer<Result<Option<Document>, DriverError>> {
        let request = self
            .collection
            .find_one_and_update(pipeline::by_name(&bid.resource), pipeline::acquire(bid))
            .upsert(true)
            .return_document(ReturnDocument::After)
            .projection(pipeline::view_after_bid())
            .write_concern(majority())
            .collation(exact());
        let sent = |time| request.max_time(time);
        self.dispatcher.ask(limit, Access::Write, sent).await
    }

    async fn bid(&self, bid: &Bid, limit: CallLimit) -> Answer<AcquireOutcome> {
        let mut answer = self.acquire_once(bid, limit).await?;
        // The other upsert of the race has made the document: now there is one to decide on.
        if (answer.as_ref()).is_err_and(|refused| is_duplicate_key(&refused.error)) {
            answer = self.acquire_once(bid, limit).await?;
        }
        match answer.map_err(|error| Access::Write.failure(error))? {
            Some(found) => document::outcome(found, bid),
            None => Err(Failure::new(
                super::StoreErrorKind::Unknown,
                "the server has answered a bid without a document",
            )),
        }
    }

    /// Makes a change where its filter matches; otherwise looks why it does not.
    async fn change(
        &self,
        resource: &ResourceName,
        change: FilteredUpdate,
        limit: CallLimit,
    ) -> Answer<Changed> {
        let (filter, change) = change;
        let request = self
            .collection
            .find_one_and_update(filter, change)
            .projection(doc! { "_id": 1 })
            .write_concern(majority())
            .collation(exact());
        let sent = |time| request.max_time(time);
        let answer = self.dispatcher.ask(limit, Access::Write, sent).await?;
        match answer.map_err(|error| Access::Write.failure(error))? {
            Some(_) => Ok(Changed::Done),
            None => {
                let found = self.look(resource, Purpose::Write, limit).await?;
                Ok(Changed::Refused(found))
            }
        }
    }

    async fn look(
        &self,
        resource: &ResourceName,
        purpose: Purpose,
        limit: CallLimit,
    ) -> Answer<Option<LeaseRecord>> {
        let request = self
            .collection
            .find_one(pipeline::by_name(resource))
            .projection(pipeline::view())
            .selection_criteria(primary())
            .read_concern(ReadConcern::majority())
            .collation(exact());
        let sent = |time| request.max_time(time);
        let answer = self.dispatcher.ask(limit, Access::Read, sent).await?;
        let found = answer.map_err(|error| Access::Read.failure(error))?;
        found.map_or(Ok(None), |found| document::record(&found, purpose))
    }

    async fn look_into(&self, scope: &Scope, limit: CallLimit) -> Answer<Vec<LeaseRecord>> {
        let request = self
            .collection
            .find(doc! { "scope": scope.as_prefix() })
            .sort(doc! { "_id": 1 })
            .projection(pipeline::view())
            .selection_criteria(primary())
            .read_concern(ReadConcern::majority())
            .collation(exact());
        let sent = |time| async move { request.max_time(time).await?.try_collect().await };
        let answer = self.dispatcher.ask(limit, Access::Read, sent).await?;
        let found: Vec<Document> = answer.map_err(|error| Access::Read.failure(error))?;
        let records = found
            .iter()
            .map(|found| document::record(found, Purpose::Read));
        records.filter_map(Result::transpose).collect()
    }

    async fn add_index(&self) -> Answer<()> {
        let index = IndexModel::builder()
            .keys(doc! { "scope": 1, "_id": 1 })
            .options(IndexOptions::builder().collation(exact()).build())
            .build();
        // Of a server that was never reached, the driver would know no more after a longer wait.
        let client = self.collection.client();
        let reached = self
            .dispatcher
            .ask(CallLimit::new(REACHED_WITHIN), Access::Read, |_| {
                dispatcher::ping(client)
            });
        reached
            .await?
            .map_err(|error| Access::Read.failure(error))?;
        let limit = CallLimit::new(self.call_limit.saturating_mul(10));
        let request = self
            .collection
            .create_index(index)
            .write_concern(majority());
        let sent = |time| request.max_time(time);
        let answer = self.dispatcher.ask(limit, Access::Write, sent).await?;
        answer.map_err(|error| Access::Write.failure(error))?;
        Ok(())
    }

    fn limit(&self, limit: Duration) -> CallLimit {
        CallLimit::new(limit.min(self.call_limit))
    }

    fn told<T>(&self, operation: Operation, answer: Answer<T>) -> Result<T, StoreError> {
        answer.map_err(|failure| {
            failure.of(KIND, operation, &self.collection.namespace().to_string())
        })
    }
}

enum Changed {
    Done,
    Refused(Option<LeaseRecord>),
}

impl From<Changed> for ReleaseOutcome {
    fn from(changed: Changed) -> Self {
        match changed {
            Changed::Done => Self::Released,
            Changed::Refused(record) => Self::NotHeld(record),
        }
    }
}

impl From<Changed> for RenewOutcome {
    fn from(changed: Changed) -> Self {
        match changed {
            Changed::Done => Self::Renewed,
            Changed::Refused(record) => Self::Lost(record),
        }
    }
}

/// With `j`, because a replica set can be told not to wait for the disk of a majority.
fn majority() -> WriteConcern {
    WriteConcern::builder()
        .w(Acknowledgment::Majority)
        .journal(true)
        .build()
}

fn primary() -> SelectionCriteria {
    SelectionCriteria::ReadPreference(ReadPreference::Primary)
}

/// Names are compared byte by byte, whatever the collation of the collection.
fn exact() -> Collation {
    Collation::builder().locale("simple").build()
}

impl fmt::Debug for MongoStore {
    /// Only the name of the collection: the client knows the credentials.
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

    /// 100 ms: a write waits for a majority of the members.
    fn min_ttl(&self) -> Duration {
        Duration::from_millis(100)
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        self.told(Operation::Prepare, self.add_index().await)
    }

    async fn acquire(&self, bid: &Bid, limit: Duration) -> Result<AcquireOutcome, StoreError> {
        self.told(Operation::Acquire, self.bid(bid, self.limit(limit)).await)
    }

    async fn renew(
        &self,
        lease: &Lease,
        ttl: Duration,
        limit: Duration,
    ) -> Result<RenewOutcome, StoreError> {
        let change = self.change(
            &lease.resource,
            pipeline::renew(lease, ttl),
            self.limit(limit),
        );
        self.told(Operation::Renew, change.await.map(Into::into))
    }

    async fn release(&self, claim: &Claim, limit: Duration) -> Result<ReleaseOutcome, StoreError> {
        let change = self.change(
            claim.resource(),
            pipeline::release(claim),
            self.limit(limit),
        );
        self.told(Operation::Release, change.await.map(Into::into))
    }

    async fn read(
        &self,
        resource: &ResourceName,
        limit: Duration,
    ) -> Result<Option<LeaseRecord>, StoreError> {
        self.told(
            Operation::Read,
            self.look(resource, Purpose::Read, self.limit(limit)).await,
        )
    }

    async fn list(&self, scope: &Scope, limit: Duration) -> Result<Vec<LeaseRecord>, StoreError> {
        self.told(
            Operation::List,
            self.look_into(scope, self.limit(limit)).await,
        )
    }

    async fn evict(
        &self,
        resource: &ResourceName,
        token: FencingToken,
        eviction: Eviction,
        limit: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        let change = self.change(
            resource,
            pipeline::evict(resource, token, eviction),
            self.limit(limit),
        );
        self.told(Operation::Evict, change.await.map(Into::into))
    }
}
