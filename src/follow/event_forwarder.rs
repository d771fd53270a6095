use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, AsyncContext as _, Context, Handler, Message,
    ResponseFuture, fut::wrap_future,
};
use futures::channel::{mpsc, oneshot};

use crate::{
    actor::{BecameFollower, BecameLeader, LockHandle},
    leadership::{Leadership, Reason},
};

/// A message of the lock. Dropping `acknowledge` acknowledges it.
#[derive(Debug)]
pub(super) enum LeadershipEvent {
    BecameLeader {
        leadership: Leadership,
        acknowledge: oneshot::Sender<()>,
    },
    BecameFollower {
        reason: Reason,
        acknowledge: oneshot::Sender<()>,
    },
}

/// A subscriber that forwards the messages of a lock to the future of [`follow`](super::follow()).
#[derive(Debug)]
pub(super) struct EventForwarder {
    events: mpsc::UnboundedSender<LeadershipEvent>,
}

impl EventForwarder {
    pub(super) fn new(events: mpsc::UnboundedSender<LeadershipEvent>) -> Self {
        Self { events }
    }

    fn forward(
        &self,
        event: impl FnOnce(oneshot::Sender<()>) -> LeadershipEvent,
    ) -> ResponseFuture<()> {
        let (acknowledge, acknowledged) = oneshot::channel();
        // If the future was dropped, the work has stopped. Then the event is dropped here, which
        // acknowledges it.
        let _ = self.events.unbounded_send(event(acknowledge));
        Box::pin(async move {
            let _ = acknowledged.await;
        })
    }
}

impl Actor for EventForwarder {
    type Context = Context<Self>;
}

impl Handler<BecameLeader> for EventForwarder {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, message: BecameLeader, _: &mut Context<Self>) -> Self::Result {
        let leadership = message.leadership;
        self.forward(|acknowledge| LeadershipEvent::BecameLeader {
            leadership,
            acknowledge,
        })
    }
}

impl Handler<BecameFollower> for EventForwarder {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, message: BecameFollower, _: &mut Context<Self>) -> Self::Result {
        let reason = message.reason;
        self.forward(|acknowledge| LeadershipEvent::BecameFollower {
            reason,
            acknowledge,
        })
    }
}

/// Shuts the lock down. The forwarder stays subscribed until the lease is released, and then stops.
pub(super) struct ShutDownLock(pub(super) LockHandle);

impl Message for ShutDownLock {
    type Result = ();
}

impl Handler<ShutDownLock> for EventForwarder {
    type Result = ();

    fn handle(&mut self, ShutDownLock(lock): ShutDownLock, ctx: &mut Context<Self>) {
        let this = ctx.address();
        let ended = wrap_future(async move { lock.shutdown().await });
        ctx.spawn(ended.map(move |_, _: &mut Self, ctx| {
            // Kept until now, so that the actor could acknowledge.
            drop(this);
            ctx.stop();
        }));
    }
}
