use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix::prelude::*;
use tenure::{
    BecameFollower, BecameLeader, FencingToken, Leader as _, Leadership, LeaseStore, LockActor,
    LockBuilder, LockHandle, MemoryStore, Reason, Timing,
    testing::{FaultyStore, TokioClock},
};

use crate::from_one::FromOne;

/// The time limit of calls whose limit does not matter to the test.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Runs a test in an actix system with paused time: it advances only when every task waits.
pub(crate) fn paused<F: Future<Output = ()>>(test: F) {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap()
    };
    System::with_tokio_rt(runtime).block_on(test);
}

pub(crate) fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

pub(crate) async fn sleep(seconds: f64) {
    tokio::time::sleep(secs(seconds)).await;
}

/// ttl 10 s: renewals after 3 to 3.33 s, polls every 2 s, margin 1 s, calls limited to 2 s.
pub(crate) fn timing() -> Timing {
    Timing::builder().ttl(secs(10.0)).build().unwrap()
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Leader(u64),
    Follower(Reason),
}

pub(crate) fn follower(reason: Reason) -> Event {
    Event::Follower(reason)
}

/// The messages that a recorder was sent, each with the seconds since the log was made.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    start: tokio::time::Instant,
    events: Arc<Mutex<Vec<(f64, Event)>>>,
    leadership: Arc<Mutex<Option<Leadership>>>,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self {
            start: tokio::time::Instant::now(),
            events: Arc::default(),
            leadership: Arc::default(),
        }
    }

    pub(crate) fn now(&self) -> f64 {
        (self.start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0
    }

    pub(crate) fn push(&self, event: Event) {
        self.events.lock().unwrap().push((self.now(), event));
    }

    pub(crate) fn timed(&self) -> Vec<(f64, Event)> {
        self.events.lock().unwrap().clone()
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.timed().into_iter().map(|(_, event)| event).collect()
    }

    pub(crate) fn last(&self) -> (f64, Event) {
        self.timed().last().cloned().expect("an event")
    }

    pub(crate) fn clear(&self) {
        self.events.lock().unwrap().clear();
    }

    /// The leadership of the last `BecameLeader`.
    pub(crate) fn leadership(&self) -> Leadership {
        self.leadership
            .lock()
            .unwrap()
            .clone()
            .expect("a leadership")
    }

    /// Waits until this many events have come.
    pub(crate) async fn wait(&self, count: usize) {
        while self.timed().len() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// A subscriber that records its messages, with handlers that take as long as the test says.
pub(crate) struct Recorder {
    pub(crate) lock: LockHandle,
    pub(crate) log: Log,
    /// How long its handlers take; with `None` they do not return.
    pub(crate) leading_takes: Option<Duration>,
    pub(crate) stopping_takes: Option<Duration>,
    pub(crate) panics: bool,
}

impl Recorder {
    pub(crate) fn new(lock: &LockHandle, log: &Log) -> Self {
        Self {
            lock: lock.clone(),
            log: log.clone(),
            leading_takes: Some(Duration::ZERO),
            stopping_takes: Some(Duration::ZERO),
            panics: false,
        }
    }

    /// Starts a recorder for this lock.
    pub(crate) fn follow(lock: &LockHandle, log: &Log) -> Addr<Self> {
        Self::new(lock, log).start()
    }
}

impl Actor for Recorder {
    type Context = Context<Self>;
    fn started(&mut self, ctx: &mut Context<Self>) {
        self.subscribe(&self.lock, ctx);
    }
}

impl Supervised for Recorder {}

fn take(time: Option<Duration>) -> ResponseFuture<()> {
    Box::pin(async move {
        match time {
            Some(Duration::ZERO) => {}
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    })
}

impl Handler<BecameLeader> for Recorder {
    type Result = ResponseFuture<()>;
    fn handle(&mut self, message: BecameLeader, _: &mut Context<Self>) -> ResponseFuture<()> {
        self.log
            .push(Event::Leader(message.leadership.token().get()));
        *self.log.leadership.lock().unwrap() = Some(message.leadership);
        assert!(!self.panics, "a panic on purpose");
        take(self.leading_takes)
    }
}

impl Handler<BecameFollower> for Recorder {
    type Result = ResponseFuture<()>;
    fn handle(&mut self, message: BecameFollower, _: &mut Context<Self>) -> ResponseFuture<()> {
        let first = message.reason == Reason::NotElected && message.token.is_none();
        self.log.push(Event::Follower(message.reason));
        take(if first {
            Some(Duration::ZERO)
        } else {
            self.stopping_takes
        })
    }
}

/// Stops the actor. If it has a supervisor, that restarts it.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Stop;

impl Handler<Stop> for Recorder {
    type Result = ();
    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

/// A memory store on the paused clock, behind a [`FaultyStore`].
pub(crate) struct Lab {
    pub(crate) store: FaultyStore,
    pub(crate) memory: MemoryStore,
    clock: TokioClock,
    pub(crate) log: Log,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let clock = TokioClock::new();
        let memory = MemoryStore::with_clock(Arc::new(FromOne(clock)));
        let store = FaultyStore::new(Arc::new(memory.clone()));
        let log = Log::new();
        Self {
            store,
            memory,
            clock,
            log,
        }
    }

    pub(crate) fn lock(&self, candidate: &str) -> LockBuilder {
        LockActor::builder("r", Arc::new(self.store.clone()))
            .candidate(candidate)
            .timing(timing())
            .clock(Arc::new(self.clock))
    }

    /// A lock on another resource, on a store that it shares with others.
    pub(crate) fn lock_on(&self, store: Arc<dyn LeaseStore>, resource: &str) -> LockBuilder {
        LockActor::builder(resource, store)
            .timing(timing())
            .clock(Arc::new(self.clock))
    }

    /// A lock for which the store never fails.
    pub(crate) fn healthy(&self, candidate: &str) -> LockBuilder {
        LockActor::builder("r", Arc::new(self.memory.clone()))
            .candidate(candidate)
            .timing(timing())
            .clock(Arc::new(self.clock))
    }

    /// A lock that leads with token 1, and its recorder.
    pub(crate) async fn leader(&self) -> (LockHandle, Addr<Recorder>) {
        let lock = self.lock("me").start_on_current_runtime().unwrap();
        let recorder = Recorder::follow(&lock, &self.log);
        self.log.wait(2).await;
        assert_eq!(
            self.log.events(),
            [follower(Reason::NotElected), Event::Leader(1)]
        );
        (lock, recorder)
    }

    pub(crate) async fn record(&self) -> tenure::lease::LeaseRecord {
        use tenure::LeaseStore as _;
        let resource = "r".parse().unwrap();
        self.memory
            .read(&resource, LIMIT)
            .await
            .unwrap()
            .expect("a record")
    }

    pub(crate) async fn token(&self) -> FencingToken {
        self.record().await.token
    }
}

/// A subscriber that holds no handle, so that it does not keep the lock running.
pub(crate) struct Plain(Log);

impl Plain {
    pub(crate) fn start_with(lock: &LockHandle, log: &Log) -> Addr<Self> {
        let plain = Self(log.clone()).start();
        lock.subscribe(&plain);
        plain
    }
}

impl Actor for Plain {
    type Context = Context<Self>;
}

impl Handler<BecameLeader> for Plain {
    type Result = ();
    fn handle(&mut self, message: BecameLeader, _: &mut Context<Self>) {
        self.0.push(Event::Leader(message.leadership.token().get()));
        *self.0.leadership.lock().unwrap() = Some(message.leadership);
    }
}

impl Handler<BecameFollower> for Plain {
    type Result = ();
    fn handle(&mut self, message: BecameFollower, _: &mut Context<Self>) {
        self.0.push(Event::Follower(message.reason));
    }
}
