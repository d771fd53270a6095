//! On real clocks and real threads, with short times. No test depends on the speed of the machine.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use actix::System;
use tenure::{
    BecameFollower, BecameLeader, LeaseStore, LockActor, LockHandle, MemoryStore, Reason, Timing,
    actor::StepDownOutcome,
    clock::BootClock,
    clock::{Clock, Moment},
    testing::{Fault, FaultyStore, ManualClock},
};

use crate::from_one::FromOne;

use crate::support::*;

fn short() -> Timing {
    Timing::builder()
        .ttl(Duration::from_millis(600))
        .build()
        .unwrap()
}

fn lock(store: Arc<dyn LeaseStore>, candidate: &str) -> LockHandle {
    let builder = LockActor::builder("r", store).candidate(candidate);
    builder.timing(short()).start().unwrap()
}

fn renewals_go_on_while_a_handler_blocks(store: Arc<dyn LeaseStore>) {
    System::new().block_on(async {
        let store = FaultyStore::new(store);
        let log = Log::new();
        let lock = lock(Arc::new(store.clone()), "me");
        let _recorder = Recorder::follow(&lock, &log);
        log.wait(2).await;
        let renewed = store.calls().renew;
        thread::sleep(short().ttl() * 2);
        assert!(log.leadership().is_current());
        assert!(store.calls().renew >= renewed + 3);
        lock.shutdown().await.unwrap();
    });
}

#[test]
fn a_handler_that_blocks_for_twice_the_ttl_does_not_stop_renewals_on_memory() {
    renewals_go_on_while_a_handler_blocks(Arc::new(MemoryStore::new()));
}

#[cfg(feature = "sqlite")]
#[test]
fn a_handler_that_blocks_for_twice_the_ttl_does_not_stop_renewals_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let store = tenure::SqliteStore::open(folder.path().join("leases.db")).unwrap();
    renewals_go_on_while_a_handler_blocks(Arc::new(store));
}

#[cfg(feature = "sqlite")]
#[test]
fn on_sqlite_an_uncontended_acquire_renew_and_release_are_one_request_each() {
    System::new().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = tenure::SqliteStore::open(folder.path().join("leases.db")).unwrap();
        let store = FaultyStore::new(Arc::new(store));
        let log = Log::new();
        // The ttl is so long that a slow disk does not cause a second request.
        let timing = Timing::builder().ttl(Duration::from_secs(60));
        let timing = timing
            .renew_every(Duration::from_millis(500))
            .build()
            .unwrap();
        let lock = LockActor::builder("r", Arc::new(store.clone()))
            .timing(timing)
            .start()
            .unwrap();
        let _recorder = Recorder::follow(&lock, &log);
        log.wait(2).await;
        assert_eq!((store.calls().acquire, store.calls().renew), (1, 0));
        while store.calls().renew == 0 {
            sleep(0.01).await;
        }
        assert_eq!(lock.shutdown().await, Ok(StepDownOutcome::Released));
        let calls = store.calls();
        assert_eq!((calls.acquire, calls.release), (1, 1));
        assert_eq!(calls.total(), 2 + calls.renew);
    });
}

#[test]
fn a_leader_whose_store_hangs_stops_before_another_leads() {
    System::new().block_on(async {
        let clock = Arc::new(FromOne(BootClock));
        let memory: Arc<dyn LeaseStore> = Arc::new(MemoryStore::with_clock(clock));
        let mine = FaultyStore::new(memory.clone());
        let (log, other) = (Log::new(), Log::new());
        let first = lock(Arc::new(mine.clone()), "first");
        let _first = Recorder::follow(&first, &log);
        log.wait(2).await;
        let leadership = log.leadership();
        let second = lock(memory, "second");
        let _second = Recorder::follow(&second, &other);
        mine.always(Fault::Hang);
        other.wait(2).await;
        assert!(!leadership.is_current());
        assert_eq!(other.last().1, Event::Leader(2));
        log.wait(3).await;
        let (ended, event) = log.last();
        assert_eq!(event, follower(Reason::StoreLost));
        assert!(ended < other.last().0 + (other.now() - log.now()).abs() + 0.05);
    });
}

#[test]
fn two_locks_with_the_same_candidate_id_exclude_each_other() {
    System::new().block_on(async {
        let store: Arc<dyn LeaseStore> = Arc::new(MemoryStore::new());
        let logs = [Log::new(), Log::new()];
        let locks: Vec<_> = (0..2).map(|_| lock(store.clone(), "twin")).collect();
        let _recorders: Vec<_> = locks
            .iter()
            .zip(&logs)
            .map(|(lock, log)| Recorder::follow(lock, log))
            .collect();
        let end = Instant::now() + short().ttl() * 3;
        while Instant::now() < end {
            let leads = |log: &&Log| log.timed().len() > 1 && log.leadership().is_current();
            assert!(logs.iter().filter(leads).count() <= 1);
            sleep(0.005).await;
        }
        let leaders = logs.iter().filter(|log| log.timed().len() > 1).count();
        assert_eq!(leaders, 1);
    });
}

#[test]
fn the_application_stopping_its_system_does_not_stop_the_lock() {
    let store = FaultyStore::new(Arc::new(MemoryStore::new()));
    let lock = lock(Arc::new(store.clone()), "me");
    let system = System::new();
    let leadership = system.block_on(async {
        let log = Log::new();
        let _recorder = Recorder::follow(&lock, &log);
        log.wait(2).await;
        System::current().stop();
        log.leadership()
    });
    system.run().unwrap();
    // The system dropped the subscriber before it acknowledged: the lease is left to expire.
    let reason = System::new().block_on(leadership.lost());
    assert_eq!(reason, Reason::SteppedDown);
    assert_eq!(store.calls().release, 0);
}

/// Blocks the thread of the locks for as long as a test holds the gate.
#[derive(Debug)]
struct StuckClock {
    time: ManualClock,
    gate: Arc<Mutex<()>>,
}

impl Clock for StuckClock {
    fn now(&self) -> Moment {
        if thread::current().name() == Some("tenure-locks") {
            drop(self.gate.lock().unwrap());
        }
        self.time.now()
    }
}

#[test]
fn liveness_fails_at_once_when_the_thread_is_stuck() {
    let (time, gate) = (ManualClock::new(), Arc::new(Mutex::new(())));
    let clock = StuckClock {
        time: time.clone(),
        gate: gate.clone(),
    };
    let builder = LockActor::builder("r", Arc::new(MemoryStore::new()));
    let lock = builder.clock(Arc::new(clock)).start().unwrap();
    assert_eq!(lock.liveness(), Ok(()));
    let closed = gate.lock().unwrap();
    time.advance(Duration::from_secs(11));
    let stalled = lock.liveness().unwrap_err();
    assert!(stalled.silent_for >= Duration::from_secs(11), "{stalled}");
    drop(closed);
    let since = Instant::now();
    while lock.liveness().is_err() {
        assert!(
            since.elapsed() < Duration::from_secs(60),
            "the thread does not run again"
        );
        thread::yield_now();
    }
}

struct Worker(std::sync::mpsc::Sender<u64>);

impl actix::Actor for Worker {
    type Context = actix::Context<Self>;
}

impl actix::Handler<BecameLeader> for Worker {
    type Result = ();
    fn handle(&mut self, message: BecameLeader, _: &mut Self::Context) {
        self.0.send(message.leadership.token().get()).unwrap();
    }
}

impl actix::Handler<BecameFollower> for Worker {
    type Result = ();
    fn handle(&mut self, _: BecameFollower, _: &mut Self::Context) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_under_tokio_without_an_actix_system() {
    let memory = MemoryStore::with_clock(Arc::new(FromOne(BootClock)));
    let lock = lock(Arc::new(memory), "me");
    let (tell, told) = std::sync::mpsc::channel();
    let worker = tenure::start_actor(move |_| Worker(tell)).unwrap();
    lock.subscribe(&worker);
    let token = tokio::task::spawn_blocking(move || told.recv().unwrap())
        .await
        .unwrap();
    assert_eq!(token, 1);
    assert!(lock.liveness().is_ok() && lock.is_leader());
    assert_eq!(lock.shutdown().await, Ok(StepDownOutcome::Released));
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
        "the lock keeps its thread busy and shuts down too late"
    );
}
