//! Corners that a review found, each wrong at the time.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix::prelude::*;
use async_trait::async_trait;
use futures::{FutureExt as _, stream::BoxStream};
use tenure::{
    BecameFollower, BecameLeader, FencingToken, Leader, LeaseStore, LockActor, LockHandle,
    MemoryStore, Reason, StoreError, Timing,
    actor::{ElectionState, IdleReason, LeaderChanged, StepDownOutcome, Unsubscribe},
    lease::{Lease, LeaseRecord, ResourceName, Scope},
    store::{AcquireOutcome, Bid, EvictionMode, ReleaseOutcome, ReleaseTarget, RenewOutcome},
    testing::{Fault, FaultyStore, TokioClock},
};

use crate::support::*;

/// Leads, and stops itself in the handler that acknowledges the end.
struct Leaves(Log);

impl Actor for Leaves {
    type Context = Context<Self>;
}

impl Handler<BecameLeader> for Leaves {
    type Result = ();
    fn handle(&mut self, message: BecameLeader, _: &mut Context<Self>) {
        let _ = (message.leadership, &self.0);
    }
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
        let leaves = Leaves(lab.log.clone()).start();
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
        // Both are gone before the lock looks; the first at work and without a word.
        drop((first, second));
        sleep(0.1).await;
        lock.address().do_send(unsubscribe);
        sleep(5.0).await;
        assert_eq!(lab.store.calls().release, 0, "its work may run on");
    });
}

/// Spawns its work on the thread, and is restarted by its supervisor.
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
        assert!(works.load(Ordering::SeqCst), "the old work runs on");
        assert_eq!(outcome, Ok(StepDownOutcome::LeftToExpire));
    });
}

#[test]
fn a_step_down_during_a_bid_completes_even_if_the_bid_is_granted_later() {
    paused(async {
        let lab = Lab::new();
        lab.store.script([Fault::Delay(secs(1.0))]);
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let _plain = Plain::start_with(&lock, &lab.log);
        sleep(0.5).await;
        assert_eq!(lab.store.calls().acquire, 1);
        let step_down = lock.step_down_for(Duration::ZERO);
        let done = tokio::time::timeout(secs(60.0), step_down).await;
        assert!(done.is_ok(), "still waiting: {:?}", lab.log.timed());
    });
}

#[test]
fn a_pause_that_is_resumed_during_a_bid_completes() {
    paused(async {
        let lab = Lab::new();
        lab.store.script([Fault::Delay(secs(1.0))]);
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let _plain = Plain::start_with(&lock, &lab.log);
        sleep(0.5).await;
        let pausing = actix::spawn({
            let lock = lock.clone();
            async move { lock.pause().await }
        });
        sleep(0.1).await;
        lock.resume().await.unwrap();
        let done = tokio::time::timeout(secs(60.0), pausing).await;
        assert!(done.is_ok(), "still waiting: {:?}", lab.log.timed());
    });
}

#[test]
fn a_command_is_carried_out_if_its_future_is_dropped_after_one_poll() {
    paused(async {
        let lab = Lab::new();
        let (lock, _recorder) = lab.leader().await;
        assert!(lock.pause().now_or_never().is_none(), "polled once");
        sleep(5.0).await;
        let state = lock.status().await.unwrap().state;
        assert_eq!(state, ElectionState::Idle(IdleReason::Paused));
    });
}

#[test]
fn a_candidate_that_gets_no_replies_does_not_keep_others_from_leading() {
    paused(async {
        let lab = Lab::new();
        // What it asks arrives, the answers do not.
        lab.store.always(Fault::LostReply);
        let deaf = lab.lock("deaf").start_on_current_runtime().unwrap();
        let _deaf = Plain::start_with(&deaf, &Log::new());
        sleep(1.0).await;
        let rival = LockActor::builder("r", Arc::new(lab.memory.clone()))
            .candidate("rival")
            .clock(Arc::new(TokioClock::new()))
            .timing(timing());
        let rival = rival.start_on_current_runtime().unwrap();
        let _rival = Plain::start_with(&rival, &lab.log);
        sleep(600.0).await;
        let events = lab.log.events();
        let led = events.iter().any(|event| matches!(event, Event::Leader(_)));
        assert!(led, "nobody led for 60 ttls: {:?}", lab.record().await);
    });
}

#[test]
fn a_leader_is_elected_with_every_margin_that_build_accepts() {
    paused(async {
        let lab = Lab::new();
        let builder = Timing::builder().ttl(secs(10.0)).renew_every(secs(3.0));
        let builder = builder.margin(secs(4.0));
        assert!(builder.margin(secs(6.0)).build().is_err());
        assert!(builder.call_timeout(secs(2.1)).build().is_err());
        let timing = builder.call_timeout(secs(2.0)).build().unwrap();
        lab.store.always(Fault::Delay(secs(1.9)));
        let lock = lab
            .lock("me")
            .timing(timing)
            .start_on_current_runtime()
            .unwrap();
        let _plain = Plain::start_with(&lock, &lab.log);
        sleep(600.0).await;
        let events = lab.log.events();
        let led = events.iter().any(|event| matches!(event, Event::Leader(_)));
        assert!(led, "{:?}", lab.store.calls());
    });
}

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

/// A memory store whose hints panic after a second.
#[derive(Debug)]
struct BadWatch(FaultyStore);

#[async_trait]
impl LeaseStore for BadWatch {
    fn kind(&self) -> &'static str {
        "bad watch"
    }
    async fn acquire(&self, bid: &Bid, limit: Duration) -> Result<AcquireOutcome, StoreError> {
        self.0.acquire(bid, limit).await
    }
    async fn renew(
        &self,
        lease: &Lease,
        ttl: Duration,
        limit: Duration,
    ) -> Result<RenewOutcome, StoreError> {
        self.0.renew(lease, ttl, limit).await
    }
    async fn release(
        &self,
        claim: &ReleaseTarget,
        limit: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        self.0.release(claim, limit).await
    }
    async fn read(
        &self,
        name: &ResourceName,
        limit: Duration,
    ) -> Result<Option<LeaseRecord>, StoreError> {
        self.0.read(name, limit).await
    }
    async fn list(&self, scope: &Scope, limit: Duration) -> Result<Vec<LeaseRecord>, StoreError> {
        self.0.list(scope, limit).await
    }
    async fn evict(
        &self,
        name: &ResourceName,
        token: FencingToken,
        eviction: EvictionMode,
        limit: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        self.0.evict(name, token, eviction, limit).await
    }
    fn watch(&self, _: &ResourceName) -> Option<BoxStream<'static, ()>> {
        let hint = async {
            sleep(1.0).await;
            panic!("a panic on purpose");
        };
        Some(Box::pin(futures::stream::once(hint)))
    }
}

#[test]
fn a_watch_that_panics_is_an_error_of_the_store_and_the_subscribers_are_told() {
    paused(async {
        let lab = Lab::new();
        let lock = LockActor::builder("r", Arc::new(BadWatch(lab.store.clone())))
            .timing(timing())
            .clock(Arc::new(TokioClock::new()))
            .start_on_current_runtime()
            .unwrap();
        let _plain = Plain::start_with(&lock, &lab.log);
        lab.log.wait(2).await;
        sleep(30.0).await;
        let told = lab.log.events().len() > 2;
        let leads = lab.log.leadership().is_current();
        assert!(told || leads, "leadership ended and nobody was told");
        assert!(lock.status().await.is_ok(), "the lock is dead");
    });
}

#[test]
fn a_release_whose_reply_was_lost_is_reported_as_released() {
    paused(async {
        let lab = Lab::new();
        let (lock, _recorder) = lab.leader().await;
        lab.store.script([Fault::LostReply]);
        let outcome = lock.shutdown().await;
        assert!(!lab.record().await.is_held());
        assert_eq!(outcome, Ok(StepDownOutcome::Released));
    });
}

#[test]
fn times_that_build_accepts_do_not_spin_the_thread_of_the_locks() {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        System::new().block_on(async move {
            let tiny = Timing::builder().renew_every(Duration::from_nanos(1));
            assert!(tiny.build().is_err());
            let timing = Timing::builder().renew_every(Duration::from_millis(1));
            let timing = timing.poll_every(Duration::from_millis(1)).build().unwrap();
            let lock = LockActor::builder("r", Arc::new(MemoryStore::new())).timing(timing);
            let lock = lock.start_on_current_runtime().unwrap();
            let log = Log::new();
            let _plain = Plain::start_with(&lock, &log);
            log.wait(2).await;
            lock.shutdown().await.unwrap();
            tell.send(()).unwrap();
        });
    });
    let done = told.recv_timeout(secs(5.0));
    assert!(
        done.is_ok(),
        "the thread renews for ever and does nothing else"
    );
}

/// Says nothing of its own: it was subscribed by its handle's owner.
struct Restarts(Log);

impl Actor for Restarts {
    type Context = Context<Self>;
}

impl Supervised for Restarts {}

impl Handler<BecameLeader> for Restarts {
    type Result = ResponseActFuture<Self, ()>;
    fn handle(&mut self, message: BecameLeader, _: &mut Context<Self>) -> Self::Result {
        // The work is the handler; a restart drops it.
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
        assert!(events.len() > 2, "it leads, nobody works: {events:?}");
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

/// Busy with something else for this long.
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
        // BecameLeader waits in its mailbox.
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
