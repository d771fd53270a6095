//! What counts as the acknowledgement of a subscriber that stops, restarts, dies or unsubscribes.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use actix::prelude::*;
use tenure::{
    BecameFollower, BecameLeader, Leader, LockHandle, Reason,
    actor::{StepDownOutcome, Unsubscribe},
    testing::Fault,
};

use crate::support::*;

/// Stops itself in the handler of `BecameFollower`, when its leadership has ended.
struct Leaves;

impl Actor for Leaves {
    type Context = Context<Self>;
}

impl Handler<BecameLeader> for Leaves {
    type Result = ();
    fn handle(&mut self, _: BecameLeader, _: &mut Context<Self>) {}
}

impl Handler<BecameFollower> for Leaves {
    type Result = ();
    fn handle(&mut self, message: BecameFollower, ctx: &mut Context<Self>) {
        if message.token.is_some() {
            ctx.stop();
        }
    }
}

#[test]
fn a_subscriber_that_acknowledges_the_end_and_stops_itself_has_acknowledged() {
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let leaves = Leaves.start();
        lock.subscribe(&leaves);
        sleep(1.0).await;
        assert_eq!(lab.token().await.get(), 1);
        assert_eq!(lock.step_down().await, Ok(StepDownOutcome::Released));
    });
}

#[test]
fn unsubscribing_one_dead_actor_does_not_acknowledge_for_another() {
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let first = Plain::start_with(&lock, &lab.log);
        let second = Plain::start_with(&lock, &Log::new());
        lab.log.wait(2).await;
        sleep(1.0).await;
        let unsubscribe = Unsubscribe::new(&second);
        // Both die before the lock checks them. The first leads and has not unsubscribed.
        drop((first, second));
        sleep(0.1).await;
        lock.address().do_send(unsubscribe);
        sleep(5.0).await;
        assert_eq!(
            lab.store.calls().release,
            0,
            "the work of the first may still run"
        );
    });
}

/// Spawns its work as a task that outlives a restart of the actor.
struct Spawns {
    lock: LockHandle,
    works: Arc<AtomicBool>,
}

impl Actor for Spawns {
    type Context = Context<Self>;
    fn started(&mut self, ctx: &mut Context<Self>) {
        self.subscribe(&self.lock, ctx);
    }
}

impl Supervised for Spawns {}

impl Handler<BecameLeader> for Spawns {
    type Result = ();
    fn handle(&mut self, _: BecameLeader, _: &mut Context<Self>) {
        if !self.works.swap(true, Ordering::SeqCst) {
            let works = self.works.clone();
            actix::spawn(async move {
                sleep(300.0).await;
                works.store(false, Ordering::SeqCst);
            });
        }
    }
}

impl Handler<BecameFollower> for Spawns {
    type Result = ();
    fn handle(&mut self, _: BecameFollower, _: &mut Context<Self>) {}
}

impl Handler<Stop> for Spawns {
    type Result = ();
    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

#[test]
fn the_lease_expires_if_a_subscriber_restarted_while_it_led() {
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let works = Arc::new(AtomicBool::new(false));
        let spawns = Spawns {
            lock: lock.clone(),
            works: works.clone(),
        };
        let spawns = Supervisor::start(|_| spawns);
        sleep(1.0).await;
        assert!(works.load(Ordering::SeqCst));
        spawns.do_send(Stop);
        sleep(1.0).await;
        let outcome = lock.step_down().await;
        assert!(works.load(Ordering::SeqCst), "the old work still runs");
        assert_eq!(outcome, Ok(StepDownOutcome::LeftToExpire));
    });
}

/// Does not subscribe itself: the test does, so a restart does not subscribe it again.
struct Restarts(Log);

impl Actor for Restarts {
    type Context = Context<Self>;
}

impl Supervised for Restarts {}

impl Handler<BecameLeader> for Restarts {
    type Result = ResponseActFuture<Self, ()>;
    fn handle(&mut self, message: BecameLeader, _: &mut Context<Self>) -> Self::Result {
        // The work is the future of the handler, which a restart drops.
        self.0.push(Event::Leader(message.leadership.token().get()));
        let lost = async move {
            message.leadership.lost().await;
        };
        Box::pin(actix::fut::wrap_future(lost))
    }
}

impl Handler<BecameFollower> for Restarts {
    type Result = ();
    fn handle(&mut self, message: BecameFollower, _: &mut Context<Self>) {
        self.0.push(Event::Follower(message.reason));
    }
}

impl Handler<Stop> for Restarts {
    type Result = ();
    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

#[test]
fn a_subscriber_that_restarts_during_became_leader_is_told_the_end() {
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let log = lab.log.clone();
        let restarts = Supervisor::start(|_| Restarts(log));
        lock.subscribe(&restarts);
        lab.log.wait(2).await;
        restarts.do_send(Stop);
        sleep(600.0).await;
        let events = lab.log.events();
        assert!(events.len() > 2, "it was not told of the end: {events:?}");
    });
}

/// Keeps the actor from handling other messages for this many seconds.
#[derive(Message)]
#[rtype(result = "()")]
struct Busy(f64);

impl Handler<Busy> for Restarts {
    type Result = ();
    fn handle(&mut self, Busy(seconds): Busy, ctx: &mut Context<Self>) {
        ctx.wait(actix::fut::wrap_future(sleep(seconds)));
    }
}

#[test]
fn an_actor_that_unsubscribes_before_became_leader_still_gets_its_end() {
    paused(async {
        let lab = Lab::new();
        lab.store.script([Fault::Delay(secs(1.0))]);
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let actor = Restarts(lab.log.clone()).start();
        lock.subscribe(&actor);
        lab.log.wait(1).await;
        actor.do_send(Busy(2.0));
        // `BecameLeader` is in its mailbox, and not handled yet.
        sleep(1.5).await;
        lock.unsubscribe(&actor);
        sleep(60.0).await;
        assert_eq!(lab.store.calls().release, 1);
        let events = [
            follower(Reason::NotElected),
            Event::Leader(1),
            follower(Reason::SteppedDown),
        ];
        assert_eq!(lab.log.events(), events);
    });
}
