use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures::future::BoxFuture;

use super::{
    call::{self, ReplyWithRecord},
    renewals::BatchMember,
};
use crate::{
    clock::Moment,
    election::{Call, EarlyRenewal, Reply, Request, RequestId},
    lease::LeaseRecord,
    store::{LeaseStore, Operation, StoreError},
};

/// Sends the requests of one election, one at a time, and receives their answers.
#[derive(Debug)]
pub(crate) struct RequestSlot {
    store: Arc<dyn LeaseStore>,
    sending: Option<InFlight>,
    batches: BatchMember,
}

struct InFlight {
    id: RequestId,
    sent_at: Moment,
    operation: Operation,
    answer: BoxFuture<'static, Result<ReplyWithRecord, StoreError>>,
}

/// The result of a request.
#[derive(Debug)]
pub(crate) struct CompletedRequest {
    pub(crate) id: RequestId,
    pub(crate) sent_at: Moment,
    pub(crate) operation: Operation,
    pub(crate) reply: Reply,
    /// The record in the answer, if it has one; or why there is no answer.
    pub(crate) outcome: Result<Option<LeaseRecord>, StoreError>,
}

impl RequestSlot {
    pub(crate) fn new(store: Arc<dyn LeaseStore>) -> Self {
        Self {
            store,
            sending: None,
            batches: BatchMember::default(),
        }
    }

    pub(crate) fn store(&self) -> &Arc<dyn LeaseStore> {
        &self.store
    }

    /// Sends a request; a renewal together with others of the store.
    pub(crate) fn send(&mut self, request: Request) {
        let Request {
            id, sent_at, call, ..
        } = request;
        let wait = sent_at.until(request.give_up_at);
        self.sending = Some(InFlight {
            id,
            sent_at,
            operation: call::operation(&call),
            answer: match call {
                Call::Renew { lease, ttl } => {
                    (self.batches).renew(&self.store, lease, ttl, sent_at, wait)
                }
                call => call::call(self.store.clone(), call, wait),
            },
        });
    }

    /// Whether other leases of the store are renewed now, so that this one may join them.
    pub(crate) fn is_invited(&self, cx: &mut Context<'_>) -> bool {
        self.batches.is_invited(cx)
    }

    /// Says when the lease may be renewed with others, and answers an invitation. Call it whenever the election waits.
    pub(crate) fn answer_invitation(&mut self, joins_from: Option<EarlyRenewal>) {
        self.batches.answer(&self.store, joins_from);
    }

    /// Ready when the store has answered. If the request is not the one that the election `awaits`, the
    /// election has given it up, and it fails. Always pending if no request is in flight.
    pub(crate) fn poll(
        &mut self,
        awaits: Option<RequestId>,
        cx: &mut Context<'_>,
    ) -> Poll<CompletedRequest> {
        let Some(sending) = &mut self.sending else {
            return Poll::Pending;
        };
        let answer = if awaits == Some(sending.id) {
            ready!(sending.answer.as_mut().poll(cx))
        } else {
            Err(call::unanswered(&*self.store, sending.operation))
        };
        let (id, sent_at, operation) = (sending.id, sending.sent_at, sending.operation);
        self.sending = None;
        let (reply, outcome) = match answer {
            Ok(ReplyWithRecord { reply, record }) => (reply, Ok(record)),
            Err(error) if error.kind().may_have_been_applied() => (Reply::Unknown, Err(error)),
            Err(error) if mutant!(ErrorTakenForRenewal) => {
                (Reply::Renewed { instruction: None }, Err(error))
            }
            Err(error) => (Reply::Failed, Err(error)),
        };
        Poll::Ready(CompletedRequest {
            id,
            sent_at,
            operation,
            reply,
            outcome,
        })
    }

    /// Drops the request in flight. The store may have applied it: the caller must pass
    /// [`Reply::Unknown`] to the election.
    pub(crate) fn drop_request(&mut self) {
        self.sending = None;
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight")
            .field("operation", &self.operation)
            .finish_non_exhaustive()
    }
}
