use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use tokio::time::timeout;

use crate::{
    election::{Call, Reply},
    lease::{Claim, LeaseRecord},
    runtime::text_of,
    store::{
        AcquireOutcome, LeaseStore, Operation, ReleaseOutcome, RenewOutcome, StoreError,
        StoreErrorKind,
    },
};

/// A store's answer, and the record that it showed on the way.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) reply: Reply,
    pub(crate) record: Option<LeaseRecord>,
}

/// Puts a request of the election to the store. A panic in the store is an error like another.
pub(super) fn call(
    store: Arc<dyn LeaseStore>,
    call: Call,
) -> BoxFuture<'static, Result<Answer, StoreError>> {
    let (kind, operation) = (store.kind(), operation(&call));
    let answer = AssertUnwindSafe(async move { answer(&*store, call).await }).catch_unwind();
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

/// The same with a time limit, on a runtime of tokio.
pub(crate) async fn call_within(
    store: &Arc<dyn LeaseStore>,
    call: Call,
    limit: Duration,
) -> Result<Answer, StoreError> {
    let operation = operation(&call);
    let answer = self::call(store.clone(), call);
    let answer = timeout(limit, answer).await;
    answer.unwrap_or_else(|_| Err(unanswered(&**store, operation)))
}

/// What a request comes to that is no longer waited for.
pub(super) fn unanswered(store: &dyn LeaseStore, operation: Operation) -> StoreError {
    let (kind, text) = (StoreErrorKind::Unknown, "no answer within the time limit");
    StoreError::new(kind, store.kind(), operation, text)
}

pub(super) fn operation(call: &Call) -> Operation {
    match call {
        Call::Acquire(_) => Operation::Acquire,
        Call::Renew { .. } => Operation::Renew,
        Call::Release(_) => Operation::Release,
        Call::Read(_) => Operation::Read,
    }
}

async fn answer(store: &dyn LeaseStore, call: Call) -> Result<Answer, StoreError> {
    let (reply, record) = match call {
        Call::Acquire(bid) => match store.acquire(&bid).await? {
            AcquireOutcome::Granted { token } => (Reply::Granted { token }, None),
            AcquireOutcome::Refused(record) => (Reply::Refused(record.clone()), Some(record)),
        },
        Call::Renew { lease, ttl } => match store.renew(&lease, ttl).await? {
            RenewOutcome::Renewed => (Reply::Renewed, None),
            RenewOutcome::Lost(record) => (Reply::Lost(record.clone()), record),
        },
        Call::Release(claim) => match store.release(&claim).await? {
            ReleaseOutcome::Released => (Reply::Released { was_held: true }, None),
            ReleaseOutcome::NotHeld(record) => {
                // Nobody holds it and nobody has since: an earlier copy of this request freed it.
                let freed = |record: &LeaseRecord| match &claim {
                    Claim::Lease(lease) => record.holder.is_none() && record.token == lease.token,
                    Claim::Attempt { .. } | Claim::Holder { .. } => false,
                };
                let was_held = record.as_ref().is_some_and(freed);
                (Reply::Released { was_held }, record)
            }
        },
        Call::Read(resource) => (Reply::Read, store.read(&resource).await?),
    };
    Ok(Answer { reply, record })
}
