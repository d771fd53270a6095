use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use tokio::time::timeout;

use crate::{
    election::{Call, Reply},
    lease::{LeaseRecord, ReleaseTarget},
    runtime::text_of,
    store::{
        AcquireOutcome, LeaseStore, Operation, ReleaseOutcome, RenewOutcome, StoreError,
        StoreErrorKind,
    },
};

/// The time limit for the store if the caller waits for `wait`. It is a tenth shorter, so that the caller gets
/// the store's own error, which names the cause, before it gives up.
pub(super) fn limit_of_store(wait: Duration) -> Duration {
    wait - wait / 10
}

/// The answer of a store, and the record in it if it has one.
#[derive(Debug)]
pub(crate) struct ReplyWithRecord {
    pub(crate) reply: Reply,
    pub(crate) record: Option<LeaseRecord>,
}

/// Sends a request of the election to the store, for a caller that waits for `wait`. A panic in the store is
/// returned as an error. Only the store limits the time.
pub(crate) fn call(
    store: Arc<dyn LeaseStore>,
    call: Call,
    wait: Duration,
) -> BoxFuture<'static, Result<ReplyWithRecord, StoreError>> {
    let (kind, operation) = (store.kind(), operation(&call));
    let limit = limit_of_store(wait);
    let answer = AssertUnwindSafe(async move { answer(&*store, call, limit).await }).catch_unwind();
    answer
        .map(move |answer| {
            answer.unwrap_or_else(|panic| {
                if mutant!(PanicNotCaught) {
                    std::panic::resume_unwind(panic);
                }
                let text = format!("the store panicked: {}", text_of(&*panic));
                Err(StoreError::new(
                    StoreErrorKind::Unknown,
                    kind,
                    operation,
                    text,
                ))
            })
        })
        .boxed()
}

/// Sends a request, and waits for the answer. It needs a tokio runtime.
pub(crate) async fn call_within(
    store: &Arc<dyn LeaseStore>,
    call: Call,
    wait: Duration,
) -> Result<ReplyWithRecord, StoreError> {
    let operation = operation(&call);
    let answer = self::call(store.clone(), call, wait);
    let answer = timeout(wait, answer).await;
    answer.unwrap_or_else(|_| Err(unanswered(&**store, operation)))
}

/// The error of a request that is no longer waited for.
pub(super) fn unanswered(store: &dyn LeaseStore, operation: Operation) -> StoreError {
    let (kind, text) = (StoreErrorKind::Unknown, "no answer within the time limit");
    StoreError::new(kind, store.kind(), operation, text)
}

pub(super) fn operation(call: &Call) -> Operation {
    match call {
        Call::Acquire(_) => Operation::Acquire,
        Call::Renew { .. } => Operation::Renew,
        Call::Release(..) => Operation::Release,
        Call::Read(_) => Operation::Read,
    }
}

pub(super) fn reply_to_renewal(outcome: RenewOutcome) -> ReplyWithRecord {
    let (reply, record) = match outcome {
        RenewOutcome::Renewed { instruction } => (Reply::Renewed { instruction }, None),
        RenewOutcome::Lost(record) => (Reply::Lost(record.clone()), record),
    };
    ReplyWithRecord { reply, record }
}

async fn answer(
    store: &dyn LeaseStore,
    call: Call,
    limit: Duration,
) -> Result<ReplyWithRecord, StoreError> {
    let (reply, record) = match call {
        Call::Acquire(bid) => match store.acquire(&bid, limit).await? {
            AcquireOutcome::Granted { token } => (Reply::Granted { token }, None),
            AcquireOutcome::Refused(record) => (Reply::Refused(record.clone()), Some(record)),
        },
        Call::Renew { lease, ttl } => {
            return Ok(reply_to_renewal(store.renew(&lease, ttl, limit).await?));
        }
        Call::Release(claim, reason) => match store.release(&claim, reason, limit).await? {
            ReleaseOutcome::Released => (Reply::Released { was_held: true }, None),
            ReleaseOutcome::NotHeld(record) => {
                // The record still has this token and no holder: an earlier copy of this request released it.
                let freed = |record: &LeaseRecord| match &claim {
                    ReleaseTarget::Lease(lease) => {
                        // After a forced eviction it is closing.
                        let freed = record.holder.is_none() && !record.closing;
                        freed && record.token == lease.token
                    }
                    ReleaseTarget::Attempt { .. } | ReleaseTarget::Holder { .. } => false,
                };
                let was_held = record.as_ref().is_some_and(freed);
                (Reply::Released { was_held }, record)
            }
        },
        Call::Read(resource) => (Reply::Read, store.read(&resource, limit).await?),
    };
    Ok(ReplyWithRecord { reply, record })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_given_less_time_than_its_caller_waits() {
        let ms = Duration::from_millis;
        for (wait, limit) in [(ms(600), ms(540)), (ms(1), Duration::from_micros(900))] {
            assert_eq!(limit_of_store(wait), limit);
        }
        assert_eq!(limit_of_store(Duration::ZERO), Duration::ZERO);
        assert!(limit_of_store(Duration::MAX) < Duration::MAX);
    }
}
