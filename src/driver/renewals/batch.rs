use std::{panic::AssertUnwindSafe, time::Duration};

use futures::{FutureExt as _, channel::oneshot};
use tokio::time::{Instant, timeout_at};

use super::Answer;
use crate::{
    driver::call::{self, limit_of_store},
    lease::Lease,
    runtime::text_of,
    store::{LeaseStore, Operation, RenewOutcome, StoreError, StoreErrorKind},
};

/// A renewal in a batch.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) lease: Lease,
    pub(super) ttl: Duration,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// Renewals that are sent together.
#[derive(Debug)]
pub(super) struct Batch {
    number: u64,
    entries: Vec<Entry>,
    /// How many of the invited have not answered.
    awaited: usize,
    /// Told when all have.
    complete: Option<oneshot::Sender<()>>,
    /// When the first of the callers gives up.
    until: Instant,
}

impl Batch {
    pub(super) fn new(
        number: u64,
        awaited: usize,
        wait: Duration,
    ) -> (Self, oneshot::Receiver<()>) {
        let (complete, completed) = oneshot::channel();
        let batch = Self {
            number,
            entries: Vec::with_capacity(awaited + 1),
            awaited,
            complete: Some(complete),
            until: Instant::now() + wait,
        };
        (batch, completed)
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Whether a renewal with this much time is sent with the others. If it has much less, it would shorten the time of
    /// all.
    pub(super) fn suits(&self, wait: Duration) -> bool {
        wait.saturating_mul(2) >= self.until.saturating_duration_since(Instant::now())
    }

    pub(super) fn add(&mut self, entry: Entry, wait: Duration) {
        self.until = self.until.min(Instant::now() + wait);
        self.entries.push(entry);
    }

    pub(super) fn answered(&mut self) {
        self.awaited = self.awaited.saturating_sub(1);
        if self.awaited == 0
            && let Some(complete) = self.complete.take()
        {
            // The batch is being sent already if it fails.
            let _ = complete.send(());
        }
    }

    /// Sends the batch, and gives each lease its own answer.
    pub(super) async fn send(self, store: &dyn LeaseStore) {
        let limit = limit_of_store(self.until.saturating_duration_since(Instant::now()));
        let mut leases = Vec::with_capacity(self.entries.len());
        let mut answers = Vec::with_capacity(self.entries.len());
        for Entry { lease, ttl, answer } in self.entries {
            leases.push((lease, ttl));
            answers.push(answer);
        }
        let outcomes = AssertUnwindSafe(store.renew_many(&leases, limit)).catch_unwind();
        let mut outcomes = match timeout_at(self.until, outcomes).await {
            Ok(Ok(outcomes)) => outcomes.into_iter(),
            Ok(Err(panic)) => {
                let text = format!("the store panicked: {}", text_of(&*panic));
                let kind = store.kind();
                let error =
                    || StoreError::new(StoreErrorKind::Unknown, kind, Operation::Renew, &*text);
                let errors: Vec<_> = answers.iter().map(|_| Err(error())).collect();
                errors.into_iter()
            }
            // The callers give up by themselves.
            Err(_) => return,
        };
        for answer in answers {
            // A store that gives too few outcomes has not said what happened.
            let unanswered = || Err(call::unanswered(store, Operation::Renew));
            let outcome = outcomes.next().unwrap_or_else(unanswered);
            let outcome = match outcome {
                Ok(RenewOutcome::Lost(_)) if mutant!(LossInBatchTakenForRenewal) => {
                    Ok(RenewOutcome::Renewed { instruction: None })
                }
                outcome => outcome,
            };
            // The caller may have given up.
            let _ = answer.send(outcome.map(call::reply_to_renewal));
        }
    }
}
