use actix::{AsyncContext as _, Context, Handler, ResponseFuture, WrapFuture as _};
use futures::channel::oneshot;

use super::{
    LockActor, Status,
    messages::{
        ClockJumped, Command, CommandKind, DeliveryEnded, GetStatus, LeaderWatchStarted, Observe,
        Pause, Resume, Shutdown, StepDown, Subscribe, Unsubscribe,
    },
};
use crate::election::StepDownOutcome;

impl LockActor {
    fn command(&mut self, kind: CommandKind, reply: oneshot::Sender<StepDownOutcome>) {
        // Transitions from before the command are delivered first, so that they do not answer it.
        let now = self.clock.now();
        self.election.handle_timeout(now);
        self.deliver();
        match kind {
            CommandKind::StepDown { hold_off } => {
                let hold_off = hold_off.unwrap_or(self.config().timing.ttl());
                self.election.step_down(hold_off, now);
            }
            CommandKind::Pause => self.election.pause(now),
            CommandKind::Resume => self.election.resume(now),
            CommandKind::Shutdown => self.election.shutdown(now),
        }
        if matches!(kind, CommandKind::Resume) {
            // There is nothing to wait for. The caller may have dropped its future.
            let _ = reply.send(StepDownOutcome::NotLeading);
        } else {
            self.waiting.push(reply);
        }
        self.deliver();
    }

    /// Lets the other locks of the thread run after some messages in a row: by itself, actix handles
    /// messages for as long as there are any.
    fn yield_after_batch(&mut self, ctx: &mut Context<Self>) {
        if self.subscribers.is_last_message_of_batch() {
            ctx.wait(tokio::task::yield_now().into_actor(self));
        }
    }

    fn command_and_wait(&mut self, kind: CommandKind) -> ResponseFuture<StepDownOutcome> {
        let (reply, outcome) = oneshot::channel();
        self.command(kind, reply);
        // Without a reply, the lock itself has ended and releases nothing.
        Box::pin(async { outcome.await.unwrap_or(StepDownOutcome::LeftToExpire) })
    }
}

impl Handler<Command> for LockActor {
    type Result = ();

    fn handle(&mut self, Command { kind, reply }: Command, _: &mut Context<Self>) {
        self.command(kind, reply);
    }
}

impl Handler<StepDown> for LockActor {
    type Result = ResponseFuture<StepDownOutcome>;

    fn handle(&mut self, message: StepDown, _: &mut Context<Self>) -> Self::Result {
        let hold_off = message.hold_off;
        self.command_and_wait(CommandKind::StepDown { hold_off })
    }
}

impl Handler<Pause> for LockActor {
    type Result = ResponseFuture<StepDownOutcome>;

    fn handle(&mut self, _: Pause, _: &mut Context<Self>) -> Self::Result {
        self.command_and_wait(CommandKind::Pause)
    }
}

impl Handler<Shutdown> for LockActor {
    type Result = ResponseFuture<StepDownOutcome>;

    fn handle(&mut self, _: Shutdown, _: &mut Context<Self>) -> Self::Result {
        self.command_and_wait(CommandKind::Shutdown)
    }
}

impl Handler<Resume> for LockActor {
    type Result = ();

    fn handle(&mut self, _: Resume, _: &mut Context<Self>) {
        drop(self.command_and_wait(CommandKind::Resume));
    }
}

impl Handler<Subscribe> for LockActor {
    type Result = ();

    fn handle(&mut self, message: Subscribe, ctx: &mut Context<Self>) {
        self.yield_after_batch(ctx);
        let Some(lock) = self.lock.clone() else {
            return;
        };
        // The leadership may have expired while the message was in the mailbox.
        let now = self.clock.now();
        self.election.handle_timeout(now);
        self.deliver();
        let leading = self.election.leadership().is_some();
        let leader = self.leader_view.leader(None, now);
        self.subscribers
            .subscribe(message, leading, leader.as_ref(), &lock);
        self.deliver();
    }
}

impl Handler<Unsubscribe> for LockActor {
    type Result = ();

    fn handle(&mut self, message: Unsubscribe, ctx: &mut Context<Self>) {
        self.yield_after_batch(ctx);
        if let Some(lock) = self.lock.clone() {
            self.subscribers.unsubscribe(&message, &lock);
        }
        self.deliver();
    }
}

impl Handler<Observe> for LockActor {
    type Result = ();

    fn handle(&mut self, message: Observe, _: &mut Context<Self>) {
        self.leader_view.observe(&message.observer);
        self.deliver();
    }
}

impl Handler<LeaderWatchStarted> for LockActor {
    type Result = ();

    fn handle(&mut self, _: LeaderWatchStarted, _: &mut Context<Self>) {
        self.deliver();
    }
}

impl Handler<GetStatus> for LockActor {
    type Result = Status;

    fn handle(&mut self, _: GetStatus, _: &mut Context<Self>) -> Status {
        let now = self.clock.now();
        self.election.handle_timeout(now);
        self.deliver();
        Status {
            resource: self.config().resource.clone(),
            candidate: self.config().candidate.clone(),
            state: self.election.state(now),
            leadership: self.election.leadership().cloned(),
            last_renewed: self.election.confirmed_at().map(|at| at.until(now)),
            leader: self.leader.leader(),
            last_seen: self.leader_view.last_seen(now),
            pause: self.pause_view.note().cloned(),
            subscribers: self.subscribers.len(),
            unacknowledged: self.subscribers.unacknowledged(),
            store: self.health.status(now),
            restarts: self.restarts,
        }
    }
}

impl Handler<DeliveryEnded> for LockActor {
    type Result = ();

    fn handle(&mut self, message: DeliveryEnded, ctx: &mut Context<Self>) {
        self.yield_after_batch(ctx);
        // Before dead subscribers are removed: this may be the acknowledgement of one of them.
        if let Some(lock) = self.lock.clone() {
            self.subscribers.acknowledged(&message, &lock);
        }
        self.election.handle_timeout(self.clock.now());
        self.deliver();
    }
}

impl Handler<ClockJumped> for LockActor {
    type Result = ();

    fn handle(&mut self, _: ClockJumped, _: &mut Context<Self>) {
        // The timer's clock stood still while the machine slept. The next poll sets it again.
        self.timer.clear();
    }
}
