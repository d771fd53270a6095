//! What observers and new subscribers are told of the present leader.

use std::sync::{Arc, Mutex};

use actix::prelude::*;
use tenure::{
    BecameFollower, BecameLeader,
    actor::{LeaderChanged, StepDownOutcome},
};

use crate::support::*;

#[derive(Clone, Default)]
struct Observer(Arc<Mutex<Vec<u64>>>);

impl Actor for Observer {
    type Context = Context<Self>;
}

impl Handler<LeaderChanged> for Observer {
    type Result = ();
    fn handle(&mut self, message: LeaderChanged, _: &mut Context<Self>) {
        self.0.lock().unwrap().push(message.record.token.get());
    }
}

#[test]
fn an_observer_is_told_of_the_next_leader_while_a_subscriber_does_not_acknowledge() {
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let mut stuck = Recorder::new(&lock, &lab.log);
        stuck.stopping_takes = None;
        let _stuck = stuck.start();
        lab.log.wait(2).await;
        let observer = Observer::default();
        let seen = observer.0.clone();
        let observer = observer.start();
        lock.observe(&observer);
        assert_eq!(lock.step_down().await, Ok(StepDownOutcome::LeftToExpire));
        let rival = lab.lock("rival").start_on_current_runtime().unwrap();
        let _rival = Plain::start_with(&rival, &Log::new());
        sleep(120.0).await;
        assert_eq!(lab.token().await.get(), 2);
        assert_eq!(seen.lock().unwrap().last(), Some(&2));
    });
}

#[test]
fn no_record_is_read_for_an_observer_that_died() {
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let observer = Observer::default().start();
        lock.observe(&observer);
        sleep(10.0).await;
        drop(observer);
        sleep(10.0).await;
        let reads = lab.store.calls().read;
        sleep(600.0).await;
        assert_eq!(lab.store.calls().read, reads);
    });
}

struct Leaders(Arc<Mutex<Vec<Option<String>>>>);

impl Actor for Leaders {
    type Context = Context<Self>;
}

impl Handler<BecameLeader> for Leaders {
    type Result = ();
    fn handle(&mut self, _: BecameLeader, _: &mut Context<Self>) {}
}

impl Handler<BecameFollower> for Leaders {
    type Result = ();
    fn handle(&mut self, message: BecameFollower, _: &mut Context<Self>) {
        let leader = message.leader.map(|leader| leader.to_string());
        self.0.lock().unwrap().push(leader);
    }
}

#[test]
fn a_new_subscriber_is_not_told_of_a_leader_whose_lease_has_expired() {
    paused(async {
        let lab = Lab::new();
        let (lock, recorder) = lab.leader().await;
        // Its only subscriber dies: the lease is left to expire.
        recorder.do_send(Stop);
        sleep(3600.0).await;
        assert!(!lab.record().await.is_held());
        let leaders = Arc::default();
        let actor = Leaders(Arc::clone(&leaders)).start();
        lock.subscribe(&actor);
        sleep(0.1).await;
        assert_eq!(leaders.lock().unwrap().first(), Some(&None));
    });
}
