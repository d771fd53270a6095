//! Renews many leases with few requests.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use mongodb::{
    bson::{Document, doc},
    options::ReadConcern,
};

use super::{
    MongoStore,
    document::{self, ReadPurpose},
    failure::{Access, Failure, RequestResult, concerns_one_document},
    operation_deadline::OperationDeadline,
    pipeline::{self, Instructed, KEY, RENEWAL},
    requests::{exact, new_attempt, primary},
};
use crate::{
    lease::{AttemptId, Lease, LeaseRecord, StandingInstruction},
    store::{RenewOutcome, StoreErrorKind},
};

/// The most leases in one request. It takes the server about 40 ms, and its filter has at most 0.8 MB of the 16 MB that
/// a request may have.
const MOST: usize = 1000;

/// How many requests of one call are under way at once, so that most of the store's slots stay free for others.
const CONCURRENT: usize = 4;

type Outcome = RequestResult<RenewOutcome>;

impl MongoStore {
    /// Renews each lease. The outcomes have the order of the leases.
    pub(super) async fn renew_leases(
        &self,
        leases: &[(Lease, Duration)],
        limit: OperationDeadline,
    ) -> Vec<Outcome> {
        let batches = stream::iter(batches(leases));
        let done = batches.map(|batch| async move {
            let members: Vec<_> = batch.iter().map(|index| &leases[*index].0).collect();
            let outcomes = self.renew_batch(&members, leases[batch[0]].1, limit).await;
            batch.into_iter().zip(outcomes).collect::<Vec<_>>()
        });
        let done: Vec<_> = done.buffer_unordered(CONCURRENT).concat().await;
        let mut outcomes: Vec<_> = leases.iter().map(|_| None).collect();
        for (index, outcome) in done {
            outcomes[index] = Some(outcome);
        }
        let unanswered = || Err(Failure::new(StoreErrorKind::Unknown, "the batch was lost"));
        let outcomes = outcomes.into_iter();
        outcomes
            .map(|outcome| outcome.unwrap_or_else(unanswered))
            .collect()
    }

    /// A batch that fails for a fault of one document is halved, until only that one fails.
    async fn renew_batch(
        &self,
        leases: &[&Lease],
        ttl: Duration,
        limit: OperationDeadline,
    ) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(leases.len());
        let mut parts = vec![leases];
        while let Some(part) = parts.pop() {
            if let [lease] = part {
                outcomes.push(self.renew_one(lease, ttl, limit).await);
                continue;
            }
            match self.renew_at_once(part, ttl, limit).await {
                Ok(renewed) => outcomes.extend(renewed),
                Err(BatchFailure::OneDocument) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                Err(BatchFailure::All(failure)) => {
                    let others = part[1..].iter().map(|_| Err(failure.shared()));
                    let others: Vec<_> = others.collect();
                    outcomes.push(Err(failure));
                    outcomes.extend(others);
                }
            }
        }
        outcomes
    }

    async fn renew_at_once(
        &self,
        leases: &[&Lease],
        ttl: Duration,
        limit: OperationDeadline,
    ) -> Result<Vec<Outcome>, BatchFailure> {
        let judged = self
            .update_and_judge(leases, ttl, Instructed::Spared, limit)
            .await?;
        let Some(judged) = judged else {
            return Ok(leases.iter().map(|_| Ok(RenewOutcome::RENEWED)).collect());
        };
        let instructed: Vec<_> = leases
            .iter()
            .zip(&judged)
            .filter(|(_, verdict)| matches!(verdict, Verdict::Instructed(_)))
            .map(|(lease, _)| *lease)
            .collect();
        let mut renewed = self
            .renew_instructed(&instructed, ttl, limit)
            .await
            .into_iter();
        let mut outcomes = Vec::with_capacity(leases.len());
        for (lease, verdict) in leases.iter().zip(judged) {
            outcomes.push(match verdict {
                Verdict::Told(outcome) => outcome,
                Verdict::Alone => self.renew_one(lease, ttl, limit).await,
                Verdict::Instructed(instruction) => match renewed.next() {
                    Some(Told::AsRead) => Ok(RenewOutcome::Renewed {
                        instruction: Some(instruction),
                    }),
                    Some(Told::Anew(outcome)) => outcome,
                    None => Err(overtaken()),
                },
            });
        }
        Ok(outcomes)
    }

    /// Renews leases whose holders are asked to do something.
    async fn renew_instructed(
        &self,
        leases: &[&Lease],
        ttl: Duration,
        limit: OperationDeadline,
    ) -> Vec<Told> {
        if let [lease] = leases {
            return vec![Told::Anew(self.renew_one(lease, ttl, limit).await)];
        }
        if leases.is_empty() {
            return Vec::new();
        }
        match self
            .update_and_judge(leases, ttl, Instructed::Renewed, limit)
            .await
        {
            Ok(None) => leases.iter().map(|_| Told::AsRead).collect(),
            Ok(Some(judged)) => judged
                .into_iter()
                .map(|verdict| match verdict {
                    Verdict::Told(outcome) => Told::Anew(outcome),
                    Verdict::Instructed(_) | Verdict::Alone => Told::Anew(Err(overtaken())),
                })
                .collect(),
            Err(BatchFailure::OneDocument) => {
                // Rare: instructed leases beside a damaged one.
                let mut told = Vec::with_capacity(leases.len());
                for lease in leases {
                    told.push(Told::Anew(self.renew_one(lease, ttl, limit).await));
                }
                told
            }
            Err(BatchFailure::All(failure)) => (leases.iter())
                .map(|_| Told::Anew(Err(failure.shared())))
                .collect(),
        }
    }

    /// Sends one update for all. Unless it has matched all, reads the records to see which of them it has written.
    async fn update_and_judge(
        &self,
        leases: &[&Lease],
        ttl: Duration,
        instructed: Instructed,
        limit: OperationDeadline,
    ) -> Result<Option<Vec<Verdict>>, BatchFailure> {
        let renewal = new_attempt()?;
        let (filter, change) = pipeline::renew_many(leases, ttl, renewal, instructed);
        let matched = match self.update_all(filter, change, limit).await? {
            Ok(matched) => matched,
            Err(refused) if concerns_one_document(&refused.error) => {
                return Err(BatchFailure::OneDocument);
            }
            Err(refused) => return Err(Access::Write.failure(refused).into()),
        };
        if matched == leases.len() as u64 {
            return Ok(None);
        }
        let found = self
            .find_renewed(leases, limit)
            .await
            .map_err(|mut failure| {
                // The update may have written any of them.
                failure.kind = StoreErrorKind::Unknown;
                failure
            })?;
        let judge = |lease: &&Lease| judge(lease, found.get(lease.resource.as_str()), renewal);
        Ok(Some(leases.iter().map(judge).collect()))
    }

    /// The documents of the leases by their names.
    async fn find_renewed(
        &self,
        leases: &[&Lease],
        limit: OperationDeadline,
    ) -> RequestResult<HashMap<String, Document>> {
        let names: Vec<_> = leases.iter().map(|lease| lease.resource.as_str()).collect();
        let mut view = pipeline::view();
        view.extend(doc! { KEY: 1, RENEWAL: 1 });
        let request = self
            .collection
            .find(doc! { "_id": { "$in": names } })
            .projection(view)
            .selection_criteria(primary())
            .read_concern(ReadConcern::majority())
            .collation(exact());
        let sent = |time| async move { request.max_time(time).await?.try_collect().await };
        let answer = self.request_gate.send(limit, Access::Read, sent).await?;
        let found: Vec<Document> = answer.map_err(|error| Access::Read.failure(error))?;
        let found = found.into_iter();
        Ok(found
            .filter_map(|document| Some((document.get_str("_id").ok()?.to_owned(), document)))
            .collect())
    }
}

/// Splits leases by their ttl and into parts that one request can take. A name that comes twice is sent alone the second
/// time, so that the number of matches tells whether all were renewed.
fn batches(leases: &[(Lease, Duration)]) -> Vec<Vec<usize>> {
    let (mut by_ttl, mut alone) = (BTreeMap::<_, Vec<_>>::new(), Vec::new());
    let mut names = HashSet::new();
    for (index, (lease, ttl)) in leases.iter().enumerate() {
        if names.insert(&lease.resource) {
            by_ttl
                .entry(pipeline::millis(*ttl))
                .or_default()
                .push(index);
        } else {
            alone.push(vec![index]);
        }
    }
    let parts = by_ttl.values().flat_map(|group| group.chunks(MOST));
    parts.map(<[usize]>::to_vec).chain(alone).collect()
}

/// Why a whole batch has failed.
enum BatchFailure {
    /// Because of one document, so the others can be renewed without it.
    OneDocument,
    All(Failure),
}

impl From<Failure> for BatchFailure {
    fn from(failure: Failure) -> Self {
        Self::All(failure)
    }
}

/// What the record of one lease says after the update.
enum Verdict {
    Told(Outcome),
    /// It was left out, because its holder is asked to do this.
    Instructed(StandingInstruction),
    /// The batch cannot match it, but a single renewal may.
    Alone,
}

/// The outcome of the second update of a lease with an instruction.
enum Told {
    /// Renewed, with the instruction that was read before.
    AsRead,
    Anew(Outcome),
}

fn judge(lease: &Lease, found: Option<&Document>, renewal: AttemptId) -> Verdict {
    let record = found.map_or(Ok(None), |found| {
        document::record(found, ReadPurpose::Write)
    });
    let (found, record) = match (found, record) {
        (_, Err(failure)) => return Verdict::Told(Err(failure)),
        (Some(found), Ok(Some(record))) => (found, record),
        (_, Ok(_)) => return Verdict::Told(Ok(RenewOutcome::Lost(None))),
    };
    if !is_held_by(lease, &record) {
        return Verdict::Told(Ok(RenewOutcome::Lost(Some(record))));
    }
    let instruction = record.instruction();
    let own_key = (found.get_str(KEY)).is_ok_and(|key| key == pipeline::renewal_key(lease));
    match instruction {
        instruction if document::renewal(found) == Some(renewal) => {
            Verdict::Told(Ok(RenewOutcome::Renewed { instruction }))
        }
        Some(instruction) if own_key => Verdict::Instructed(instruction),
        // Another batch has renewed the lease since. It may be a late copy of an older one, so it says nothing about
        // this one.
        None if own_key => Verdict::Told(Err(overtaken())),
        _ => Verdict::Alone,
    }
}

fn is_held_by(lease: &Lease, record: &LeaseRecord) -> bool {
    record.token == lease.token
        && record.holder.as_ref() == Some(&lease.holder)
        && !record.closing
        && record.is_held()
}

fn overtaken() -> Failure {
    let message = "another request has written the record at the same moment: the lock asks again";
    Failure::new(StoreErrorKind::Unknown, message)
}
