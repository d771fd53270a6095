//! The requests that the operations of the store send.

use std::time::Duration;

use futures::TryStreamExt as _;
use mongodb::{
    IndexModel,
    bson::{Document, doc},
    options::{
        Acknowledgment, Collation, IndexOptions, ReadConcern, ReadPreference, ReturnDocument,
        SelectionCriteria, WriteConcern,
    },
};

use super::{
    MongoStore,
    document::{self, ReadPurpose},
    failure::{Access, Failure, RequestResult, TracedError, is_duplicate_key},
    operation_deadline::OperationDeadline,
    pipeline::{self, FilteredUpdate},
    request_gate,
};
use crate::{
    lease::{AttemptId, Bid, Lease, LeaseRecord, ResourceName, Scope},
    store::{AcquireOutcome, REACHED_WITHIN, ReleaseOutcome, RenewOutcome, StoreErrorKind},
};

impl MongoStore {
    async fn acquire_once(
        &self,
        bid: &Bid,
        limit: OperationDeadline,
    ) -> RequestResult<Result<Option<Document>, TracedError>> {
        let request = self
            .collection
            .find_one_and_update(pipeline::by_name(&bid.resource), pipeline::acquire(bid))
            .upsert(true)
            .return_document(ReturnDocument::After)
            .projection(pipeline::view_after_bid())
            .write_concern(majority())
            .collation(exact());
        let sent = |time| request.max_time(time);
        self.request_gate.send(limit, Access::Write, sent).await
    }

    pub(super) async fn bid(
        &self,
        bid: &Bid,
        limit: OperationDeadline,
    ) -> RequestResult<AcquireOutcome> {
        let mut answer = self.acquire_once(bid, limit).await?;
        // Another upsert has created the document, so the second request finds it.
        if (answer.as_ref()).is_err_and(|refused| is_duplicate_key(&refused.error)) {
            answer = self.acquire_once(bid, limit).await?;
        }
        match answer.map_err(|error| Access::Write.failure(error))? {
            Some(found) => document::outcome(found, bid),
            None => Err(without_document("a bid")),
        }
    }

    pub(super) async fn renew_one(
        &self,
        lease: &Lease,
        ttl: Duration,
        limit: OperationDeadline,
    ) -> RequestResult<RenewOutcome> {
        let (change, view) = (
            pipeline::renew(lease, ttl),
            doc! { "pause": 1, "hand_over": 1 },
        );
        match self.change(&lease.resource, change, view, limit).await? {
            ChangeOutcome::Done(found) => {
                let instruction = document::instruction(&found)?;
                Ok(RenewOutcome::Renewed { instruction })
            }
            ChangeOutcome::Refused(record) => Ok(RenewOutcome::Lost(record)),
        }
    }

    /// Ends an acquisition if the filter of the change matches.
    pub(super) async fn end(
        &self,
        resource: &ResourceName,
        change: FilteredUpdate,
        limit: OperationDeadline,
    ) -> RequestResult<ReleaseOutcome> {
        let view = doc! { "_id": 1 };
        Ok(match self.change(resource, change, view, limit).await? {
            ChangeOutcome::Done(_) => ReleaseOutcome::Released,
            ChangeOutcome::Refused(record) => ReleaseOutcome::NotHeld(record),
        })
    }

    /// Makes a change if its filter matches, and returns these fields. If not, reads the record, which shows why.
    pub(super) async fn change(
        &self,
        resource: &ResourceName,
        change: FilteredUpdate,
        view: Document,
        limit: OperationDeadline,
    ) -> RequestResult<ChangeOutcome> {
        let (filter, change) = change;
        let request = self
            .collection
            .find_one_and_update(filter, change)
            .return_document(ReturnDocument::After)
            .projection(view)
            .write_concern(majority())
            .collation(exact());
        let sent = |time| request.max_time(time);
        let answer = self.request_gate.send(limit, Access::Write, sent).await?;
        match answer.map_err(|error| Access::Write.failure(error))? {
            Some(found) => Ok(ChangeOutcome::Done(found)),
            None => {
                let found = self
                    .find_record(resource, ReadPurpose::Write, limit)
                    .await?;
                Ok(ChangeOutcome::Refused(found))
            }
        }
    }

    pub(super) async fn find_record(
        &self,
        resource: &ResourceName,
        purpose: ReadPurpose,
        limit: OperationDeadline,
    ) -> RequestResult<Option<LeaseRecord>> {
        let request = self
            .collection
            .find_one(pipeline::by_name(resource))
            .projection(pipeline::view())
            .selection_criteria(primary())
            .read_concern(ReadConcern::majority())
            .collation(exact());
        let sent = |time| request.max_time(time);
        let answer = self.request_gate.send(limit, Access::Read, sent).await?;
        let found = answer.map_err(|error| Access::Read.failure(error))?;
        found.map_or(Ok(None), |found| document::record(&found, purpose))
    }

    pub(super) async fn find_records(
        &self,
        scope: &Scope,
        limit: OperationDeadline,
    ) -> RequestResult<Vec<LeaseRecord>> {
        let request = self
            .collection
            .find(doc! { "scope": scope.as_prefix() })
            .sort(doc! { "_id": 1 })
            .projection(pipeline::view())
            .selection_criteria(primary())
            .read_concern(ReadConcern::majority())
            .collation(exact());
        let sent = |time| async move { request.max_time(time).await?.try_collect().await };
        let answer = self.request_gate.send(limit, Access::Read, sent).await?;
        let found: Vec<Document> = answer.map_err(|error| Access::Read.failure(error))?;
        let records = found
            .iter()
            .map(|found| document::record(found, ReadPurpose::Read));
        records.filter_map(Result::transpose).collect()
    }

    /// Creates the index that [`find_records`](Self::find_records) reads.
    pub(super) async fn create_index(&self) -> RequestResult<()> {
        let index = IndexModel::builder()
            .keys(doc! { "scope": 1, "_id": 1 })
            .options(IndexOptions::builder().collation(exact()).build())
            .build();
        // If no server answers, a longer wait would not give a better error.
        let client = self.collection.client();
        let reached =
            self.request_gate
                .send(OperationDeadline::new(REACHED_WITHIN), Access::Read, |_| {
                    request_gate::ping(client)
                });
        reached
            .await?
            .map_err(|error| Access::Read.failure(error))?;
        let limit = OperationDeadline::new(self.call_limit.saturating_mul(10));
        let request = self
            .collection
            .create_index(index)
            .write_concern(majority());
        let sent = |time| request.max_time(time);
        let answer = self.request_gate.send(limit, Access::Write, sent).await?;
        answer.map_err(|error| Access::Write.failure(error))?;
        Ok(())
    }
}

/// The outcome of a write whose condition is in its filter.
pub(super) enum ChangeOutcome {
    /// The fields that were asked for, as they are after the write.
    Done(Document),
    /// The record as it was read after the write.
    Refused(Option<LeaseRecord>),
}

/// With `j`, because a replica set can be configured to confirm a majority before it is on disk.
pub(super) fn majority() -> WriteConcern {
    WriteConcern::builder()
        .w(Acknowledgment::Majority)
        .journal(true)
        .build()
}

pub(super) fn primary() -> SelectionCriteria {
    SelectionCriteria::ReadPreference(ReadPreference::Primary)
}

/// Marks what one request writes, so that its traces are told from those of others.
pub(super) fn new_attempt() -> RequestResult<AttemptId> {
    AttemptId::generate().map_err(|error| {
        let message = "the operating system gives no random bits";
        Failure::new(StoreErrorKind::Unavailable, message).because(error)
    })
}

/// The answer to an upsert always has the document.
pub(super) fn without_document(request: &str) -> Failure {
    Failure::new(
        StoreErrorKind::Unknown,
        format!("the server answered {request} without the document: ask again"),
    )
}

/// Compares names byte by byte, whatever the collation of the collection.
pub(super) fn exact() -> Collation {
    Collation::builder().locale("simple").build()
}
