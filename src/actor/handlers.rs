use actix::{Context, Handler, ResponseFuture};
use futures::channel::oneshot;

use super::{
    LockActor, Status,
    messages::{
        Acknowledged, GetStatus, Observe, Pause, Resume, Shutdown, StepDown, Subscribe,
        Unsubscribe, Wake,
    },
};
use crate::election::StepDownOutcome;

impl LockActor {
    fn when_settled(&mut self) -> ResponseFuture<StepDownOutcome> {
        let (tell, told) = oneshot::channel();
        self.waiting.push(tell);
        // The lock itself is gone: nobody will release.
        Box::pin(async { told.await.unwrap_or(StepDownOutcome::LeftToExpire) })
    }
}

impl Handler<Subscribe> for LockActor {
    type Result = ();

    fn handle(&mut self, message: Subscribe, _: &mut Context<Self>) {
        let Some(lock) = self.lock.clone() else {
            return;
        };
        // The leadership may have lapsed while the message lay here.
        self.election.handle_timeout(self.clock.now());
        self.tell();
        let leader = self.outlook.leader(None);
        self.subscribers
            .subscribe(message, self.election.leadership(), leader, &lock);
        self.tell();
    }
}

impl Handler<Unsubscribe> for LockActor {
    type Result = ();

    fn handle(&mut self, message: Unsubscribe, _: &mut Context<Self>) {
        self.subscribers.unsubscribe(&message);
        self.tell();
    }
}

impl Handler<Observe> for LockActor {
    type Result = ();

    fn handle(&mut self, message: Observe, _: &mut Context<Self>) {
        self.outlook.observe(message.observer);
        self.tell();
    }
}

impl Handler<StepDown> for LockActor {
    type Result = ResponseFuture<StepDownOutcome>;

    fn handle(&mut self, message: StepDown, _: &mut Context<Self>) -> Self::Result {
        let hold_off = message.hold_off.unwrap_or(self.config().timing.ttl());
        self.election.step_down(hold_off, self.clock.now());
        let settled = self.when_settled();
        self.tell();
        settled
    }
}

impl Handler<Pause> for LockActor {
    type Result = ResponseFuture<StepDownOutcome>;

    fn handle(&mut self, _: Pause, _: &mut Context<Self>) -> Self::Result {
        self.election.pause(self.clock.now());
        let settled = self.when_settled();
        self.tell();
        settled
    }
}

impl Handler<Resume> for LockActor {
    type Result = ();

    fn handle(&mut self, _: Resume, _: &mut Context<Self>) {
        self.election.resume(self.clock.now());
        self.tell();
    }
}

impl Handler<Shutdown> for LockActor {
    type Result = ResponseFuture<StepDownOutcome>;

    fn handle(&mut self, _: Shutdown, _: &mut Context<Self>) -> Self::Result {
        self.election.shutdown(self.clock.now());
        let settled = self.when_settled();
        self.tell();
        settled
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
            record: self.outlook.record().cloned(),
            subscribers: self.subscribers.len(),
            unacknowledged: self.subscribers.unacknowledged(),
            store: self.health.status(now),
            restarts: self.restarts,
        }
    }
}

impl Handler<Acknowledged> for LockActor {
    type Result = ();

    fn handle(&mut self, message: Acknowledged, _: &mut Context<Self>) {
        let Some(lock) = self.lock.clone() else {
            return;
        };
        self.election.handle_timeout(self.clock.now());
        self.tell();
        let leadership = self.election.leadership();
        self.subscribers.acknowledged(&message, leadership, &lock);
        self.tell();
    }
}

impl Handler<Wake> for LockActor {
    type Result = ();

    /// Every message leads to a look at the clock.
    fn handle(&mut self, _: Wake, _: &mut Context<Self>) {}
}
