use std::panic;

use actix::{
    Actor, ActorContext as _, Addr, AsyncContext as _, AtomicResponse, Context, Handler, Message,
    ResponseActFuture, ResponseFuture, Supervised, WrapFuture as _,
    dev::{MessageResponse, OneshotSender},
};
use rand::RngExt as _;

use super::{
    plan::{Style, SubscriberPlan},
    world::{Command, SharedWorld, SubscriberLog},
};
use crate::{
    actor::{BecameFollower, BecameLeader, LockActor, Subscribe, Unsubscribe},
    clock::Clock as _,
    lease::FencingToken,
};

/// A subscriber of a lock that acknowledges in its own style.
pub(super) struct Subscriber {
    pub(super) shared: SharedWorld,
    pub(super) lock: Addr<LockActor>,
    pub(super) plan: SubscriberPlan,
    /// Its index in the world.
    pub(super) index: usize,
}

impl Subscriber {
    pub(super) fn new(
        shared: &SharedWorld,
        life: usize,
        lock: &Addr<LockActor>,
        plan: SubscriberPlan,
    ) -> Self {
        let world = &mut *shared.world();
        world.subscribers.push(SubscriberLog {
            life,
            style: plan.style,
            told: None,
            messages: 0,
            running: Vec::new(),
            alive: true,
            subscribed: false,
            again: false,
            loose: false,
            misled_since: None,
        });
        Self {
            shared: shared.clone(),
            lock: lock.clone(),
            plan,
            index: world.subscribers.len() - 1,
        }
    }

    fn subscribe(&self, ctx: &Context<Self>) {
        let world = &mut *self.shared.world();
        let seen = &mut world.subscribers[self.index];
        seen.again |= seen.subscribed || seen.messages > 0;
        seen.subscribed = true;
        // One that subscribes again after a restart does not know whether its earlier work has stopped.
        if let Some(token) = seen.told {
            world.lives[seen.life].term(token).unclean = true;
        }
        world.log(|| format!("subscriber {} subscribes", self.index));
        self.lock.do_send(Subscribe::new(&ctx.address()));
    }

    fn gone(&self, restarts: bool) {
        let world = &mut *self.shared.world();
        let index = self.index;
        world.log(|| format!("subscriber {index} is gone; restarts: {restarts}"));
        world.counts.count(if restarts {
            "subscriber restarted"
        } else {
            "subscriber died"
        });
        let seen = &mut world.subscribers[index];
        let life = &mut world.lives[seen.life];
        seen.alive = restarts;
        life.commands.push((life.clock.now(), Command::Leave));
        if let Some(token) = seen.told {
            life.term(token).unclean = true;
        }
    }

    /// Handles a message in the style of the subscriber.
    fn take(&self, token: Option<FencingToken>, ctx: &mut Context<Self>) -> HandlerResponse {
        let (stops, faults_stopped, time) = {
            let world = &mut *self.shared.world();
            world.check();
            let stops = !world.faults_stopped && world.rng.random_bool(self.plan.fragile);
            let slow = world.rng.random_bool(0.3);
            let time = world.seconds(if slow { 25.0 } else { 1.0 });
            (stops, world.faults_stopped, time)
        };
        if stops {
            ctx.stop();
        }
        if self.plan.style == Style::Prompt || faults_stopped {
            return HandlerResponse::Now;
        }
        let run = RunningHandler::begin(&self.shared, self.index, token);
        let shared = self.shared.clone();
        let work = async move {
            shared.wait(time).await;
            run.complete();
        };
        match self.plan.style {
            Style::Prompt => unreachable!("answered above"),
            Style::Slow => {
                HandlerResponse::Atomic(AtomicResponse::new(Box::pin(work.into_actor(self))))
            }
            Style::Overlapping => HandlerResponse::Overlapping(Box::pin(work.into_actor(self))),
            Style::Detached => HandlerResponse::Detached(Box::pin(work)),
        }
    }
}

impl Actor for Subscriber {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.subscribe(ctx);
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        if !self.plan.supervised {
            self.gone(false);
        }
    }
}

impl Supervised for Subscriber {
    fn restarting(&mut self, _: &mut Context<Self>) {
        self.gone(true);
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        // Also when it panics, and when its last address is dropped.
        if self.shared.world().subscribers[self.index].alive {
            self.gone(false);
        }
    }
}

impl Handler<BecameLeader> for Subscriber {
    type Result = HandlerResponse;

    fn handle(&mut self, message: BecameLeader, ctx: &mut Context<Self>) -> HandlerResponse {
        let token = message.leadership.token();
        self.shared
            .world()
            .received_became_leader(self.index, &message.leadership);
        self.take(Some(token), ctx)
    }
}

impl Handler<BecameFollower> for Subscriber {
    type Result = HandlerResponse;

    fn handle(&mut self, message: BecameFollower, ctx: &mut Context<Self>) -> HandlerResponse {
        self.shared
            .world()
            .received_became_follower(self.index, message.token, &message.reason);
        self.take(message.token, ctx)
    }
}

/// What the simulation does to a subscriber.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(super) enum SubscriberStimulus {
    Stop,
    Panic,
    Subscribe,
    Unsubscribe,
}

impl Handler<SubscriberStimulus> for Subscriber {
    type Result = ();

    fn handle(&mut self, poke: SubscriberStimulus, ctx: &mut Context<Self>) {
        match poke {
            SubscriberStimulus::Stop => ctx.stop(),
            // Bypasses the panic hook: the panic is planned.
            SubscriberStimulus::Panic => panic::resume_unwind(Box::new("a panic on purpose")),
            SubscriberStimulus::Subscribe => self.subscribe(ctx),
            SubscriberStimulus::Unsubscribe => {
                let world = &mut *self.shared.world();
                world.log(|| format!("subscriber {} unsubscribes", self.index));
                world.counts.count("unsubscribed");
                let seen = &mut world.subscribers[self.index];
                let life = &mut world.lives[seen.life];
                life.commands.push((life.clock.now(), Command::Leave));
                (seen.told, seen.loose, seen.subscribed) = (None, true, false);
                self.lock.do_send(Unsubscribe::new(&ctx.address()));
            }
        }
    }
}

/// A handler in progress. If it is dropped, the message is not acknowledged.
struct RunningHandler {
    shared: SharedWorld,
    subscriber: usize,
    number: u64,
    complete: bool,
}

impl RunningHandler {
    fn begin(shared: &SharedWorld, subscriber: usize, token: Option<FencingToken>) -> Self {
        let world = &mut *shared.world();
        let now = world.now();
        let seen = &mut world.subscribers[subscriber];
        seen.running.push((seen.messages, token, now));
        Self {
            shared: shared.clone(),
            subscriber,
            number: seen.messages,
            complete: false,
        }
    }

    fn complete(mut self) {
        self.complete = true;
    }
}

impl Drop for RunningHandler {
    fn drop(&mut self) {
        let world = &mut *self.shared.world();
        let index = self.subscriber;
        let complete = self.complete;
        world.log(|| format!("subscriber {index} ends handling; acknowledged: {complete}"));
        let seen = &mut world.subscribers[index];
        let run = seen.running.iter().position(|run| run.0 == self.number);
        let (_, token, _) = seen.running.remove(run.expect("it runs"));
        if let Some(token) = token.filter(|_| !complete) {
            world.counts.count("unclean");
            world.lives[seen.life].term(token).unclean = true;
        }
    }
}

/// How a handler completes.
pub(super) enum HandlerResponse {
    Now,
    Atomic(AtomicResponse<Subscriber, ()>),
    Overlapping(ResponseActFuture<Subscriber, ()>),
    Detached(ResponseFuture<()>),
}

impl<M: Message<Result = ()>> MessageResponse<Subscriber, M> for HandlerResponse {
    fn handle(self, ctx: &mut Context<Subscriber>, sender: Option<OneshotSender<()>>) {
        match self {
            Self::Now => {
                if let Some(sender) = sender {
                    // The lock may have ended.
                    let _ = sender.send(());
                }
            }
            Self::Atomic(answer) => MessageResponse::<Subscriber, M>::handle(answer, ctx, sender),
            Self::Overlapping(answer) => {
                MessageResponse::<Subscriber, M>::handle(answer, ctx, sender);
            }
            Self::Detached(answer) => MessageResponse::<Subscriber, M>::handle(answer, ctx, sender),
        }
    }
}
