use std::{fmt, future::IntoFuture, time::Duration};

use async_trait::async_trait;
use futures::TryStreamExt as _;
use mongodb::{
    Collection, IndexModel,
    bson::{Document, doc},
    error::Error,
    options::{
        Acknowledgment, Collation, IndexOptions, ReadConcern, ReadPreference, ReturnDocument,
        SelectionCriteria, WriteConcern,
    },
};
use tokio::time::timeout;

mod document;
mod failure;
mod pipeline;

use self::{
    failure::{Access, Answer, Failure, is_duplicate_key},
    pipeline::Change,
};
use super::{
    AcquireOutcome, Eviction, LeaseStore, Operation, ReleaseOutcome, RenewOutcome, StoreError,
};
use crate::lease::{Bid, Claim, FencingToken, Lease, LeaseRecord, ResourceName, Scope};

const KIND: &str = "mongodb";

/// Leases in a collection of a MongoDB replica set. Clones share the client.
#[derive(Clone)]
pub struct MongoStore {
    collection: Collection<Document>,
    call_limit: Duration,
}

impl MongoStore {
    /// Keeps leases in this collection, whose client and options stay as they are.
    #[must_use]
    pub fn new(collection: Collection<Document>) -> Self {
        Self {
            collection,
            call_limit: Duration::from_secs(2),
        }
    }

    /// How long a request may take, the driver's own retries and its search for a primary included.
    /// Default 2 s.
    ///
    /// A write that takes longer is [`Unknown`](super::StoreErrorKind::Unknown), a read
    /// [`Unavailable`](super::StoreErrorKind::Unavailable). Keep it below the
    /// [`call_timeout`](crate::Timing::call_timeout) of the elections. [`ensure`](LeaseStore::ensure)
    /// may take ten times as long.
    #[must_use]
    pub fn call_limit(mut self, limit: Duration) -> Self {
        self.call_limit = limit;
        self
    }

    async fn limited<T>(
        &self,
        access: Access,
        request: impl IntoFuture<Output = Result<T, Error>>,
    ) -> Result<Result<T, Error>, Failure> {
        let limit = self.call_limit;
        let answer = timeout(limit, request.into_future()).await;
        answer.map_err(|_| Failure::late(access, limit))
    }

    async fn acquire_once(&self, bid: &Bid) -> Answer<Result<Option<Document>, Error>> {
        let request = self
            .collection
            .find_one_and_update(pipeline::by_name(&bid.resource), pipeline::acquire(bid))
            .upsert(true)
            .return_document(ReturnDocument::After)
            .projection(pipeline::view(Some(&bid.resource)))
            .write_concern(majority())
            .collation(exact())
            .max_time(self.call_limit);
        self.limited(Access::Write, request).await
    }

    async fn bid(&self, bid: &Bid) -> Answer<AcquireOutcome> {
        let mut answer = self.acquire_once(bid).await?;
        // The other upsert of the race has made the document: now there is one to decide on.
        if answer.as_ref().is_err_and(is_duplicate_key) {
            answer = self.acquire_once(bid).await?;
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
    async fn change(&self, resource: &ResourceName, change: Change) -> Answer<Changed> {
        let (filter, change) = change;
        let request = self
            .collection
            .find_one_and_update(filter, change)
            .projection(doc! { "_id": 1 })
            .write_concern(majority())
            .collation(exact())
            .max_time(self.call_limit);
        let answer = self.limited(Access::Write, request).await?;
        match answer.map_err(|error| Access::Write.failure(error))? {
            Some(_) => Ok(Changed::Done),
            None => Ok(Changed::Refused(self.look(resource, Some(resource)).await?)),
        }
    }

    async fn look(
        &self,
        resource: &ResourceName,
        to_write: Option<&ResourceName>,
    ) -> Answer<Option<LeaseRecord>> {
        let request = self
            .collection
            .find_one(pipeline::by_name(resource))
            .projection(pipeline::view(to_write))
            .selection_criteria(primary())
            .read_concern(ReadConcern::majority())
            .collation(exact())
            .max_time(self.call_limit);
        let answer = self.limited(Access::Read, request).await?;
        let found = answer.map_err(|error| Access::Read.failure(error))?;
        found.map_or(Ok(None), |found| document::record(&found))
    }

    async fn look_into(&self, scope: &Scope) -> Answer<Vec<LeaseRecord>> {
        let request = self
            .collection
            .find(doc! { "scope": scope.as_prefix() })
            .sort(doc! { "_id": 1 })
            .projection(pipeline::view(None))
            .selection_criteria(primary())
            .read_concern(ReadConcern::majority())
            .collation(exact())
            .max_time(self.call_limit);
        let request = async move { request.await?.try_collect().await };
        let answer = self.limited(Access::Read, request).await?;
        let found: Vec<Document> = answer.map_err(|error| Access::Read.failure(error))?;
        let records = found.iter().map(document::record);
        records.filter_map(Result::transpose).collect()
    }

    async fn add_index(&self) -> Answer<()> {
        let index = IndexModel::builder()
            .keys(doc! { "scope": 1, "_id": 1 })
            .options(IndexOptions::builder().collation(exact()).build())
            .build();
        let patient = self.clone().call_limit(self.call_limit.saturating_mul(10));
        let request = patient
            .collection
            .create_index(index)
            .write_concern(majority())
            .max_time(patient.call_limit);
        let answer = patient.limited(Access::Write, request).await?;
        answer.map_err(|error| Access::Write.failure(error))?;
        Ok(())
    }

    fn told<T>(&self, operation: Operation, answer: Answer<T>) -> Result<T, StoreError> {
        answer.map_err(|failure| failure.of(operation, &self.collection.namespace().to_string()))
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

    async fn ensure(&self) -> Result<(), StoreError> {
        self.told(Operation::Ensure, self.add_index().await)
    }

    async fn acquire(&self, bid: &Bid) -> Result<AcquireOutcome, StoreError> {
        self.told(Operation::Acquire, self.bid(bid).await)
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<RenewOutcome, StoreError> {
        let change = self.change(&lease.resource, pipeline::renew(lease, ttl));
        self.told(Operation::Renew, change.await.map(Into::into))
    }

    async fn release(&self, claim: &Claim) -> Result<ReleaseOutcome, StoreError> {
        let change = self.change(claim.resource(), pipeline::release(claim));
        self.told(Operation::Release, change.await.map(Into::into))
    }

    async fn read(&self, resource: &ResourceName) -> Result<Option<LeaseRecord>, StoreError> {
        self.told(Operation::Read, self.look(resource, None).await)
    }

    async fn list(&self, scope: &Scope) -> Result<Vec<LeaseRecord>, StoreError> {
        self.told(Operation::List, self.look_into(scope).await)
    }

    async fn evict(
        &self,
        resource: &ResourceName,
        token: FencingToken,
        eviction: Eviction,
    ) -> Result<ReleaseOutcome, StoreError> {
        let change = self.change(resource, pipeline::evict(resource, token, eviction));
        self.told(Operation::Evict, change.await.map(Into::into))
    }
}
