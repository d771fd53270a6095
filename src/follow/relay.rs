use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, AsyncContext as _, Context, Handler, Message,
    ResponseFuture, fut::wrap_future,
};
use futures::channel::{mpsc, oneshot};

use crate::{
    actor::{BecameFollower, BecameLeader, LockHandle},
    leadership::{Leadership, Reason},
};

/// What the election says; dropping the answer acknowledges it.
#[derive(Debug)]
pub(super) enum Event {
    BecameLeader {
        leadership: Leadership,
        answer: oneshot::Sender<()>,
    },
    BecameFollower {
        reason: Reason,
        answer: oneshot::Sender<()>,
    },
}

/// Passes on what a lock says to a future elsewhere.
#[derive(Debug)]
pub(super) struct Relay {
    events: mpsc::UnboundedSender<Event>,
}

impl Relay {
    pub(super) fn new(events: mpsc::UnboundedSender<Event>) -> Self {
        Self { events }
    }

    fn pass(&self, event: impl FnOnce(oneshot::Sender<()>) -> Event) -> ResponseFuture<()> {
        let (answer, answered) = oneshot::channel();
        // Where nobody listens any more the work has stopped: the event is dropped here, answer and
        // all.
        let _ = self.events.unbounded_send(event(answer));
        Box::pin(async move {
            let _ = answered.await;
        })
    }
}

impl Actor for Relay {
    type Context = Context<Self>;
}

impl Handler<BecameLeader> for Relay {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, message: BecameLeader, _: &mut Context<Self>) -> Self::Result {
        let leadership = message.leadership;
        self.pass(|answer| Event::BecameLeader { leadership, answer })
    }
}

impl Handler<BecameFollower> for Relay {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, message: BecameFollower, _: &mut Context<Self>) -> Self::Result {
        let reason = message.reason;
        self.pass(|answer| Event::BecameFollower { reason, answer })
    }
}

/// Nobody follows any more: be there until the lock has given its lease back.
pub(super) struct Outlive(pub(super) LockHandle);

impl Message for Outlive {
    type Result = ();
}

impl Handler<Outlive> for Relay {
    type Result = ();

    fn handle(&mut self, Outlive(lock): Outlive, ctx: &mut Context<Self>) {
        let this = ctx.address();
        let ended = wrap_future(async move { lock.shutdown().await });
        ctx.spawn(ended.map(move |_, _: &mut Self, ctx| {
            // Kept until now, so that the actor was there to acknowledge.
            drop(this);
            ctx.stop();
        }));
    }
}
