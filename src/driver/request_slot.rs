use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures::future::BoxFuture;

use super::{
    call::{self, ReplyWithRecord},
    renewals::BatchMember,
    turns::{Queue, Turn},
};
use crate::{
    clock::{Clock, Moment},
    election::{Call, Election, Reply, Request, RequestId},
    lease::LeaseRecord,
    store::{LeaseStore, Operation, StoreError},
};

/// Sends the requests of one election, one at a time, and receives their answers.
#[derive(Debug)]
pub(crate) struct RequestSlot {
    store: Arc<dyn LeaseStore>,
    sending: Option<InFlight>,
    queue: Queue,
    batches: BatchMember,
}

struct InFlight {
    id: RequestId,
    sent_at: Moment,
    operation: Operation,
    answer: BoxFuture<'static, Result<ReplyWithRecord, StoreError>>,
    /// Until it is answered, or no longer waited for. A renewal has none.
    _turn: Option<Turn>,
}

/// What became of the request that an election has to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// It was sent.
    Sent,
    /// Many others of the store are under way. Its turn wakes the task.
    WaitsForTurn,
    /// There is none now.
    Nothing,
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

impl Sending {
    /// When something of the election is due, if its turn does not come before. What a turn is needed for is due
    /// already; what else becomes due meanwhile waits for at most a `call_timeout`.
    pub(crate) fn next_due(self, election: &Election, now: Moment) -> Option<Moment> {
        match self {
            Self::WaitsForTurn => Some(now + election.config().timing.call_timeout()),
            Self::Sent | Self::Nothing => election.poll_timeout(),
        }
    }
}

impl RequestSlot {
    pub(crate) fn new(store: Arc<dyn LeaseStore>) -> Self {
        Self {
            store,
            sending: None,
            queue: Queue::default(),
            batches: BatchMember::default(),
        }
    }

    pub(crate) fn store(&self) -> &Arc<dyn LeaseStore> {
        &self.store
    }

    /// Sends the request of the election that is due. A renewal is sent at once, together with others of the store.
    /// Any other request waits until fewer of them are under way; its time counts from when it is sent.
    ///
    /// Also answers an invitation to renew with others.
    pub(crate) fn send_due(
        &mut self,
        election: &mut Election,
        clock: &dyn Clock,
        cx: &mut Context<'_>,
    ) -> Sending {
        let sending = if !election.needs_turn(clock.now()) {
            self.queue.leave();
            self.send_next(election, None, clock)
        } else if let Poll::Ready(turn) = self.queue.poll(&self.store, cx) {
            self.send_next(election, Some(turn), clock)
        } else {
            Sending::WaitsForTurn
        };
        (self.batches).answer(&self.store, election.early_renewal());
        sending
    }

    /// Sends the first request of the election, unless there is none or it would have to wait.
    pub(crate) fn send_first(&mut self, election: &mut Election, clock: &dyn Clock) -> Sending {
        match self.queue.without_waiting(&self.store) {
            Some(turn) => self.send_next(election, Some(turn), clock),
            None => Sending::WaitsForTurn,
        }
    }

    fn send_next(
        &mut self,
        election: &mut Election,
        turn: Option<Turn>,
        clock: &dyn Clock,
    ) -> Sending {
        match election.poll_request(clock.now()) {
            Some(request) => {
                self.send(request, turn);
                Sending::Sent
            }
            None => Sending::Nothing,
        }
    }

    fn send(&mut self, request: Request, turn: Option<Turn>) {
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
            _turn: turn,
        });
    }

    /// Whether other leases of the store are renewed now, so that this one may join them.
    pub(crate) fn is_invited(&self, cx: &mut Context<'_>) -> bool {
        self.batches.is_invited(cx)
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
