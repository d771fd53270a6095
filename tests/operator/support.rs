use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix::prelude::*;
use tenure::{
    BecameFollower, BecameLeader, FencingToken, Guard, LeaseStore as _, LockActor, LockHandle,
    LockManager, MemoryStore, Operator, Reason, Timing,
    lease::{CandidateId, LeaseRecord, ResourceName},
    testing::{FaultyStore, TokioClock},
};

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Runs a test in an actix system with paused time.
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

pub(crate) fn name(text: &str) -> CandidateId {
    CandidateId::new(text).unwrap()
}

/// A memory store on the paused clock. The operator's requests go through a [`FaultyStore`].
pub(crate) struct Lab {
    pub(crate) memory: MemoryStore,
    pub(crate) store: FaultyStore,
    clock: TokioClock,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let clock = TokioClock::new();
        let memory = MemoryStore::with_clock(Arc::new(clock));
        let store = FaultyStore::new(Arc::new(memory.clone()));
        Self {
            memory,
            store,
            clock,
        }
    }

    pub(crate) fn operator(&self) -> Operator {
        Operator::new(Arc::new(self.store.clone())).on_current_runtime()
    }

    /// A candidate with a ttl of 10 s.
    pub(crate) fn candidate(&self, candidate: &str) -> (LockHandle, Addr<Worker>) {
        self.candidate_of("r", candidate)
    }

    pub(crate) fn candidate_of(
        &self,
        resource: &str,
        candidate: &str,
    ) -> (LockHandle, Addr<Worker>) {
        let lock = LockActor::builder(resource, Arc::new(self.memory.clone()))
            .candidate(candidate)
            .timing(Timing::builder().ttl(secs(10.0)).build().unwrap())
            .clock(Arc::new(self.clock))
            .start_on_current_runtime()
            .unwrap();
        let worker = Worker::default().start();
        lock.subscribe(&worker);
        (lock, worker)
    }

    /// A guard with a ttl of 10 s.
    pub(crate) async fn guard(&self, resource: &str) -> Guard {
        let locks = LockManager::builder(Arc::new(self.memory.clone()))
            .ttl(secs(10.0))
            .clock(Arc::new(self.clock))
            .build_on_current_runtime()
            .unwrap();
        locks.mutex(resource).unwrap().guard().await.unwrap()
    }

    pub(crate) async fn record(&self) -> LeaseRecord {
        let resource = ResourceName::new("r").unwrap();
        let record = self.memory.read(&resource, LIMIT).await.unwrap();
        record.expect("a record")
    }

    pub(crate) async fn token(&self) -> FencingToken {
        self.record().await.token
    }
}

/// A subscriber that takes as long as the test says to stop, and keeps the reasons that it was told.
#[derive(Clone, Default)]
pub(crate) struct Worker {
    pub(crate) stopping_takes: Arc<Mutex<Duration>>,
    pub(crate) reasons: Arc<Mutex<Vec<Reason>>>,
}

impl Actor for Worker {
    type Context = Context<Self>;
}

impl Handler<BecameLeader> for Worker {
    type Result = ();
    fn handle(&mut self, _: BecameLeader, _: &mut Context<Self>) {}
}

impl Handler<BecameFollower> for Worker {
    type Result = ResponseFuture<()>;
    fn handle(&mut self, message: BecameFollower, _: &mut Context<Self>) -> ResponseFuture<()> {
        self.reasons.lock().unwrap().push(message.reason);
        let takes = *self.stopping_takes.lock().unwrap();
        Box::pin(tokio::time::sleep(takes))
    }
}

/// Asks a worker for its shared state.
#[derive(Message)]
#[rtype(result = "Share")]
pub(crate) struct GetWorker;

#[derive(MessageResponse)]
pub(crate) struct Share(pub(crate) Worker);

impl Handler<GetWorker> for Worker {
    type Result = Share;
    fn handle(&mut self, _: GetWorker, _: &mut Context<Self>) -> Share {
        Share(self.clone())
    }
}

pub(crate) async fn shared(worker: &Addr<Worker>) -> Worker {
    worker.send(GetWorker).await.unwrap().0
}
