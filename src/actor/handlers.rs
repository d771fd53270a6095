use actix::{AsyncContext as _, Context, Handler, ResponseFuture, WrapFuture as _};
use futures::channel::oneshot;

use super::{
    LockActor, Status,
    messages::{
        ClockJumped, Command, CommandKind, DeliveryEnded, GetStatus, Observe, Pause, Resume,
        Shutdown, StepDown, Subscribe, Unsubscribe, Watched,
    },
};
use crate::election::StepDownOutcome;

impl LockActor {
    fn command(&mut self, what: CommandKind, answer: oneshot::Sender<StepDownOutcome>) {
        // What came before the command is told before it, and ends no wait for its answer.
        let now = self.clock.now();
        self.election.handle_timeout(now);
        self.tell();
        match what {
            CommandKind::StepDown { hold_off } => {
                let hold_off = hold_off.unwrap_or(self.config().timing.ttl());
                self.election.step_down(hold_off, now);
            }
            CommandKind::Pause => self.election.pause(now),
            CommandKind::Resume => self.election.resume(now),
            CommandKind::Shutdown => self.election.shutdown(now),
        }
        match what {
            // There is nothing to wait for, and whoever asked may have gone.
            CommandKind::Resume => drop(answer.send(StepDownOutcome::NotLeading)),
            _ => self.waiting.push(answer),
        }
        self.tell();
    }

    /// Lets the other locks of the thread have their turn after some messages in a row: actix goes on
    /// for as long as there are any.
    fn heard_subscriber(&mut self, ctx: &mut Context<Self>) {
        if self.subscribers.took_message() {
            ctx.wait(tokio::task::yield_now().into_actor(self));
        }
    }

    fn ask(&mut self, what: CommandKind) -> ResponseFuture<StepDownOutcome> {
        let (answer, answered) = oneshot::channel();
        self.command(what, answer);
        // Without an answer the lock itself is gone: nobody will release.
        Box::pin(async { answered.await.unwrap_or(StepDownOutcome::LeftToExpire) })
    }
}

impl Handler<Command> for LockActor {
    type Result = ();

    fn handle(&mut self, Command { what, answer }: Command, _: &mut Context<Self>) {
        self.command(what, answer);
    }
}

impl Handler<StepDown> for LockActor {
    type Result = ResponseFuture<StepDownOutcome>;

    fn handle(&mut self, message: StepDown, _: &mut Context<Self>) -> Self::Result {
        let hold_off = message.hold_off;
        self.ask(CommandKind::StepDown { hold_off })
    }
}

impl Handler<Pause> for LockActor {
    type Result = ResponseFuture<StepDownOutcome>;

    fn handle(&mut self, _: Pause, _: &mut Context<Self>) -> Self::Result {
        self.ask(CommandKind::Pause)
    }
}

impl Handler<Shutdown> for LockActor {
    type Result = ResponseFuture<StepDownOutcome>;

    fn handle(&mut self, _: Shutdown, _: &mut Context<Self>) -> Self::Result {
        self.ask(CommandKind::Shutdown)
    }
}

impl Handler<Resume> for LockActor {
    type Result = ();

    fn handle(&mut self, _: Resume, _: &mut Context<Self>) {
        drop(self.ask(CommandKind::Resume));
    }
}

impl Handler<Subscribe> for LockActor {
    type Result = ();

    fn handle(&mut self, message: Subscribe, ctx: &mut Context<Self>) {
        self.heard_subscriber(ctx);
        let Some(lock) = self.lock.clone() else {
            return;
        };
        // The leadership may have lapsed while the message lay here.
        let now = self.clock.now();
        self.election.handle_timeout(now);
        self.tell();
        let leading = self.election.leadership().is_some();
        let leader = self.leader_view.leader(None, now);
        self.subscribers
            .subscribe(message, leading, leader.as_ref(), &lock);
        self.tell();
    }
}

impl Handler<Unsubscribe> for LockActor {
    type Result = ();

    fn handle(&mut self, message: Unsubscribe, ctx: &mut Context<Self>) {
        self.heard_subscriber(ctx);
        if let Some(lock) = self.lock.clone() {
            self.subscribers.unsubscribe(&message, &lock);
        }
        self.tell();
    }
}

impl Handler<Observe> for LockActor {
    type Result = ();

    fn handle(&mut self, message: Observe, _: &mut Context<Self>) {
        self.leader_view.observe(message.observer);
        self.tell();
    }
}

impl Handler<Watched> for LockActor {
    type Result = ();

    fn handle(&mut self, _: Watched, _: &mut Context<Self>) {
        self.tell();
    }
}

impl Handler<GetStatus> for LockActor {
    type Result = Status;

    fn handle(&mut self, _: GetStatus, _: &mut Context<Self>) -> Status {
        let now = self.clock.now();
        self.election.handle_timeout(now);
        self.tell();
        Status {
            resource: self.config().resource.clone(),
            candidate: self.config().candidate.clone(),
            state: self.election.state(now),
            leadership: self.election.leadership().cloned(),
            last_renewed: self.election.confirmed_at().map(|at| at.until(now)),
            leader: self.leader.leader(),
            last_seen: self.leader_view.last_seen(now),
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
        self.heard_subscriber(ctx);
        // Before anybody who has died is taken out: this may be its last word.
        if let Some(lock) = self.lock.clone() {
            self.subscribers.acknowledged(&message, &lock);
        }
        self.election.handle_timeout(self.clock.now());
        self.tell();
    }
}

impl Handler<ClockJumped> for LockActor {
    type Result = ();

    fn handle(&mut self, _: ClockJumped, _: &mut Context<Self>) {
        // Its clock stood still while the machine slept; it is armed anew when the lock looks.
        self.timer.forget();
    }
}
