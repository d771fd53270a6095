use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use actix::prelude::*;
use tenure::{
    BecameFollower, BecameLeader, LockHandle, Reason, Timing,
    actor::{ElectionState, IdleReason, LeaderChanged, StepDownOutcome},
};

use crate::support::*;

#[test]
fn a_new_subscriber_gets_its_present_state_at_once() {
    paused(async {
        let lab = Lab::new();
        let (lock, _recorder) = lab.leader().await;
        let log = Log::new();
        let _second = Recorder::follow(&lock, &log);
        log.wait(1).await;
        assert_eq!(log.events(), [Event::Leader(1)]);
        assert!(log.now() < 0.01);
    });
}

#[test]
fn a_subscriber_that_panics_is_dropped_and_the_others_keep_receiving() {
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let mut bad = Recorder::new(&lock, &Log::new());
        bad.panics = true;
        let bad = bad.start();
        let _good = Recorder::follow(&lock, &lab.log);
        lab.log.wait(2).await;
        sleep(10.0).await;
        assert!(!bad.connected());
        assert_eq!(lock.status().await.unwrap().subscribers, 1);
        assert!(lab.log.leadership().is_current());
        // The work of the dead subscriber may still run.
        assert_eq!(lock.step_down().await, Ok(StepDownOutcome::LeftToExpire));
        assert_eq!(lab.log.last().1, follower(Reason::SteppedDown));
        assert_eq!(lab.store.calls().release, 0);
    });
}

#[test]
fn when_the_last_subscriber_is_gone_the_lease_is_left_to_expire() {
    paused(async {
        let lab = Lab::new();
        let (lock, recorder) = lab.leader().await;
        recorder.do_send(Stop);
        sleep(4.0).await;
        let status = lock.status().await.unwrap();
        let idle = ElectionState::Idle(IdleReason::NoSubscriber);
        assert_eq!((status.subscribers, status.state), (0, idle));
        assert_eq!(lab.log.leadership().lost().await, Reason::SteppedDown);
        sleep(20.0).await;
        assert_eq!(lab.store.calls().release, 0);
        assert!(!lab.record().await.is_held());
        assert_eq!(
            lab.store.calls().acquire,
            1,
            "without a subscriber it does not contend"
        );
        let _back = Recorder::follow(&lock, &lab.log);
        lab.log.wait(4).await;
        assert_eq!(lab.log.last().1, Event::Leader(2));
    });
}

#[test]
fn an_actor_whose_address_was_dropped_is_no_subscriber() {
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        drop(Plain::start_with(&lock, &lab.log));
        sleep(20.0).await;
        assert_eq!(lab.store.calls().acquire, 0);
        let idle = ElectionState::Idle(IdleReason::NoSubscriber);
        assert_eq!(lock.status().await.unwrap().state, idle);
    });
}

#[test]
fn a_supervised_subscriber_that_restarts_gets_the_end_before_it_leads_again() {
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let recorder = Recorder::new(&lock, &lab.log);
        let recorder = Supervisor::start(|_| recorder);
        lab.log.wait(2).await;
        recorder.do_send(Stop);
        lab.log.wait(4).await;
        let expected = [
            follower(Reason::NotElected),
            Event::Leader(1),
            follower(Reason::NotElected),
            Event::Leader(1),
        ];
        assert_eq!(lab.log.events(), expected);
        let status = lock.status().await.unwrap();
        assert_eq!((status.subscribers, status.unacknowledged), (1, 0));
    });
}

#[test]
fn unsubscribing_acknowledges_that_the_work_has_stopped() {
    paused(async {
        let lab = Lab::new();
        let (lock, recorder) = lab.leader().await;
        lock.unsubscribe(&recorder);
        sleep(0.1).await;
        assert_eq!(lab.store.calls().release, 1);
        sleep(20.0).await;
        assert_eq!(lab.log.events().len(), 2, "no further message");
    });
}

/// The token and the holder of a record that an observer was sent.
type Seen = (u64, Option<String>);

#[derive(Clone, Default)]
struct Observer(Arc<Mutex<Vec<Seen>>>);

impl Actor for Observer {
    type Context = Context<Self>;
}

impl Handler<LeaderChanged> for Observer {
    type Result = ();
    fn handle(&mut self, LeaderChanged { record }: LeaderChanged, _: &mut Context<Self>) {
        let holder = record.holder.clone().filter(|_| record.is_held());
        let holder = holder.map(|holder| holder.to_string());
        self.0.lock().unwrap().push((record.token.get(), holder));
    }
}

#[test]
fn an_observer_is_told_every_change_and_the_lock_does_not_contend() {
    paused(async {
        let lab = Lab::new();
        let watching = lab.lock("observer").start_on_current_runtime().unwrap();
        let observer = Observer::default();
        let seen = observer.0.clone();
        let observer = observer.start();
        watching.observe(&observer);
        sleep(5.0).await;
        let (lock, _recorder) = lab.leader().await;
        sleep(5.0).await;
        lock.pause().await.unwrap();
        sleep(5.0).await;
        let me = Some("me".to_owned());
        assert_eq!(*seen.lock().unwrap(), [(1, me), (1, None)]);
        assert_eq!(
            lab.store.calls().acquire,
            1,
            "the observer's lock never bid"
        );
    });
}

/// Fails if `BecameLeader` and `BecameFollower` do not alternate. It acknowledges ends slowly.
struct Pairing {
    leads: bool,
}

impl Actor for Pairing {
    type Context = Context<Self>;
}

impl Handler<BecameLeader> for Pairing {
    type Result = ();
    fn handle(&mut self, _: BecameLeader, _: &mut Context<Self>) {
        assert!(!self.leads, "BecameLeader twice");
        self.leads = true;
    }
}

impl Handler<BecameFollower> for Pairing {
    type Result = ResponseActFuture<Self, ()>;
    fn handle(&mut self, message: BecameFollower, _: &mut Context<Self>) -> Self::Result {
        assert_eq!(
            self.leads,
            message.token.is_some(),
            "BecameFollower without BecameLeader"
        );
        let pause = actix::fut::wrap_future(sleep(0.7));
        Box::pin(pause.map(|(), act: &mut Self, _: &mut Context<Self>| act.leads = false))
    }
}

#[test]
fn messages_alternate_for_each_subscriber_whatever_is_commanded() {
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let pairing = Pairing { leads: false }.start();
        lock.subscribe(&pairing);
        for round in 0..40 {
            let lock = lock.clone();
            actix::spawn(async move { lock.step_down_for(secs(0.1)).await });
            sleep(0.3 * f64::from(round % 7)).await;
        }
        assert!(pairing.connected(), "it has panicked");
        assert!(lab.token().await.get() > 3);
    });
}

/// Enough subscribers for several batches of messages.
const MANY: usize = 1000;

/// [`MANY`] subscribers, each of which was told that it leads.
async fn many_leaders(lock: &LockHandle, log: &Log) -> Vec<Addr<Plain>> {
    let plain: Vec<_> = (0..MANY).map(|_| Plain::start_with(lock, log)).collect();
    let leads = |event: &Event| matches!(event, Event::Leader(_));
    while log.events().into_iter().filter(leads).count() < MANY {
        sleep(0.001).await;
    }
    plain
}

#[test]
fn other_tasks_of_the_thread_run_while_a_thousand_subscribers_are_told() {
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let subscribers = many_leaders(&lock, &lab.log).await;
        lab.log.clear();
        let turns = actix::spawn({
            let log = lab.log.clone();
            async move {
                let mut told = vec![0];
                while told.last() < Some(&MANY) {
                    tokio::task::yield_now().await;
                    told.push(log.timed().len());
                }
                told
            }
        });
        lock.step_down().await.unwrap();
        let told = turns.await.unwrap();
        let most = told.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(most <= Some(MANY / 3), "{most:?} in one turn");
        assert_eq!(lab.log.events(), vec![follower(Reason::SteppedDown); MANY]);
        drop(subscribers);
    });
}

#[test]
fn the_lease_of_a_thousand_subscribers_is_released_when_the_last_batch_has_acknowledged() {
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let subscribers = many_leaders(&lock, &lab.log).await;
        let last = Recorder::new(&lock, &lab.log);
        let stopping_takes = Some(secs(3.0));
        let last = Recorder {
            stopping_takes,
            ..last
        }
        .start();
        sleep(0.1).await;
        lab.log.clear();
        let before = lab.log.now();
        assert_eq!(lock.step_down().await, Ok(StepDownOutcome::Released));
        assert_eq!(lab.log.events().len(), MANY + 1);
        assert_eq!(lab.log.now() - before, 3.0);
        drop((subscribers, last));
    });
}

#[test]
fn a_shutdown_with_no_yield_for_still_tells_a_thousand_subscribers() {
    paused(async {
        let lab = Lab::new();
        let timing = Timing::builder().ttl(secs(10.0)).yield_for(Duration::ZERO);
        let timing = timing.build().unwrap();
        let lock = lab
            .lock("me")
            .timing(timing)
            .start_on_current_runtime()
            .unwrap();
        let subscribers = many_leaders(&lock, &lab.log).await;
        lab.log.clear();
        lock.shutdown().await.unwrap();
        drop(lock);
        sleep(0.1).await;
        assert_eq!(lab.log.events(), vec![follower(Reason::Shutdown); MANY]);
        drop(subscribers);
    });
}
