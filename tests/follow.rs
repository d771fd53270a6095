//! Leader election by callbacks.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/from_one.rs"]
mod from_one;

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix::System;
use async_trait::async_trait;
use futures::future::{AbortHandle, abortable};
use tenure::{
    LeaderCallbacks, Leadership, LeaseStore, LockActor, MemoryStore, Reason, Timing,
    actor::{ElectionState, IdleReason, StepDownOutcome},
    clock::{BootClock, Clock as _},
    follow,
    follow::Follow,
    testing::{Fault, FaultyStore, TokioClock},
};

use from_one::FromOne;

const TTL: Duration = Duration::from_secs(10);
/// The time limit of calls whose limit does not matter to the test.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Eq)]
enum CallbackEvent {
    Led(u64),
    ThreadEnded,
    Followed(Reason),
}

/// Leads until it is dropped, and records the callbacks.
#[derive(Clone, Default)]
struct CallbackLog(Arc<Mutex<Vec<CallbackEvent>>>);

impl CallbackLog {
    fn add(&self, said: CallbackEvent) {
        self.0.lock().unwrap().push(said);
    }

    fn take(&self) -> Vec<CallbackEvent> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// Records that the work was dropped.
struct Work(CallbackLog);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.add(CallbackEvent::ThreadEnded);
    }
}

#[async_trait]
impl LeaderCallbacks for CallbackLog {
    async fn became_leader(&mut self, leadership: Leadership) {
        self.add(CallbackEvent::Led(leadership.token().get()));
        let _work = Work(self.clone());
        pending::<()>().await;
    }

    async fn became_follower(&mut self, reason: Reason) {
        // Slow, to show that callbacks do not overlap.
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.add(CallbackEvent::Followed(reason));
    }
}

/// Runs a test under paused time, on one thread.
fn paused<T>(test: impl Future<Output = T>) -> T {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap()
    };
    System::with_tokio_rt(runtime).block_on(test)
}

fn memory(clock: &Arc<TokioClock>) -> Arc<MemoryStore> {
    Arc::new(MemoryStore::with_clock(Arc::new(FromOne(**clock))))
}

fn following(
    store: Arc<dyn LeaseStore>,
    clock: &Arc<TokioClock>,
    name: &str,
) -> (CallbackLog, Follow<CallbackLog>) {
    let diary = CallbackLog::default();
    let timing = Timing::builder().ttl(TTL).build().unwrap();
    let lock = LockActor::builder("r", store)
        .candidate(name)
        .timing(timing)
        .clock(clock.clone());
    (diary.clone(), lock.follow(diary).on_current_runtime())
}

fn start(follow: Follow<CallbackLog>) -> AbortHandle {
    let (work, handle) = abortable(follow.into_future());
    actix::spawn(work);
    handle
}

async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

#[test]
fn one_leads_and_the_other_takes_over_when_it_stops() {
    paused(async {
        let clock = Arc::new(TokioClock::new());
        let store = memory(&clock);
        let (first, follow) = following(store.clone(), &clock, "first");
        let stop = pause(TTL * 3);
        let ended = actix::spawn(follow.until(stop).into_future());
        pause(TTL / 10).await;
        let (second, follow) = following(store, &clock, "second");
        start(follow);
        pause(TTL * 2).await;
        assert_eq!(
            first.take(),
            [
                CallbackEvent::Followed(Reason::NotElected),
                CallbackEvent::Led(1)
            ]
        );
        assert_eq!(second.take(), [CallbackEvent::Followed(Reason::NotElected)]);
        ended.await.unwrap().unwrap();
        let end = [
            CallbackEvent::ThreadEnded,
            CallbackEvent::Followed(Reason::Shutdown),
        ];
        assert_eq!(first.take(), end, "told before the future completes");
        pause(TTL / 3).await;
        assert_eq!(
            second.take(),
            [CallbackEvent::Led(2)],
            "long before a ttl has passed"
        );
    });
}

#[test]
fn dropping_the_future_stops_the_work_and_releases_the_lease() {
    paused(async {
        let clock = Arc::new(TokioClock::new());
        let store = memory(&clock);
        let (first, follow) = following(store.clone(), &clock, "first");
        let handle = start(follow);
        pause(TTL).await;
        let (second, follow) = following(store, &clock, "second");
        start(follow);
        pause(TTL).await;
        first.take();
        handle.abort();
        pause(TTL / 3).await;
        assert_eq!(first.take(), [CallbackEvent::ThreadEnded]);
        let told = second.take();
        assert_eq!(
            told,
            [
                CallbackEvent::Followed(Reason::NotElected),
                CallbackEvent::Led(2)
            ]
        );
    });
}

#[test]
fn stops_the_work_by_the_deadline_when_the_store_hangs_and_leads_again_later() {
    paused(async {
        let clock = Arc::new(TokioClock::new());
        let store = FaultyStore::new(memory(&clock));
        let (diary, follow) = following(Arc::new(store.clone()), &clock, "first");
        start(follow);
        pause(TTL / 10).await;
        diary.take();
        store.always(Fault::Hang);
        pause(TTL).await;
        assert_eq!(
            diary.take(),
            [
                CallbackEvent::ThreadEnded,
                CallbackEvent::Followed(Reason::StoreLost)
            ]
        );
        store.always(None);
        pause(TTL * 2).await;
        assert_eq!(diary.take(), [CallbackEvent::Led(2)]);
    });
}

#[test]
fn an_invalid_name_is_an_error_and_calls_nothing() {
    paused(async {
        let diary = CallbackLog::default();
        let store = Arc::new(MemoryStore::new());
        let error = follow(store, "two\nlines", diary.clone())
            .await
            .unwrap_err();
        assert!(error.to_string().contains("control character"), "{error}");
        assert!(diary.take().is_empty());
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_on_a_tokio_runtime_of_several_threads() {
    let diary = CallbackLog::default();
    let (tell, told) = tokio::sync::oneshot::channel::<()>();
    let memory = MemoryStore::with_clock(Arc::new(FromOne(BootClock)));
    let followed = follow(Arc::new(memory), "r", diary.clone()).until(told);
    let task = tokio::spawn(followed.into_future());
    while !diary.0.lock().unwrap().contains(&CallbackEvent::Led(1)) {
        pause(Duration::from_millis(5)).await;
    }
    drop(tell);
    task.await.unwrap().unwrap();
    let said = diary.take();
    assert_eq!(
        said.last(),
        Some(&CallbackEvent::Followed(Reason::Shutdown)),
        "{said:?}"
    );
}

#[test]
fn the_handle_shows_the_leader_steps_down_and_shuts_down() {
    paused(async {
        let clock = Arc::new(TokioClock::new());
        let (diary, follow) = following(memory(&clock), &clock, "first");
        let following = follow.start().unwrap();
        let lock = following.handle().clone();
        let task = actix::spawn(following.into_future());
        let mut leader = lock.watch_leader();
        let holder = leader.changed().await.unwrap().unwrap().holder;
        assert_eq!(holder.as_str(), "first");
        pause(TTL).await;
        diary.take();
        assert!(lock.is_leader() && lock.liveness().is_ok());
        assert_eq!(lock.status().await.unwrap().subscribers, 1);
        assert_eq!(lock.step_down().await, Ok(StepDownOutcome::Released));
        let end = [
            CallbackEvent::ThreadEnded,
            CallbackEvent::Followed(Reason::SteppedDown),
        ];
        assert_eq!(diary.take(), end);
        assert!(!lock.is_leader() && leader.leader().is_none());
        lock.resume().await.unwrap();
        leader.known().await.unwrap();
        assert_eq!(lock.pause().await, Ok(StepDownOutcome::Released));
        lock.shutdown().await.unwrap();
        task.await.unwrap().unwrap();
        assert_eq!(leader.leader(), None);
        assert!(leader.changed().await.is_err(), "the lock has ended");
    });
}

#[test]
fn does_not_contend_before_it_is_awaited() {
    paused(async {
        let clock = Arc::new(TokioClock::new());
        let store = memory(&clock);
        let (diary, follow) = following(store.clone(), &clock, "first");
        let following = follow.start().unwrap();
        pause(TTL).await;
        let status = following.handle().status().await.unwrap();
        let waits = ElectionState::Idle(IdleReason::AwaitingAcknowledgement);
        assert_eq!((status.state, diary.take()), (waits, Vec::new()));
        assert_eq!(
            store.read(&"r".try_into().unwrap(), TTL).await.unwrap(),
            None
        );
    });
}

/// Its `became_follower` takes longer than `yield_for`.
struct Slow(CallbackLog);

#[async_trait]
impl LeaderCallbacks for Slow {
    async fn became_leader(&mut self, leadership: Leadership) {
        self.0.became_leader(leadership).await;
    }

    async fn became_follower(&mut self, reason: Reason) {
        let _work = Work(self.0.clone());
        tokio::time::sleep(TTL * 3).await;
        self.0.add(CallbackEvent::Followed(reason));
    }
}

#[test]
fn a_callback_that_exceeds_yield_for_is_dropped_and_the_lease_expires() {
    paused(async {
        let clock = Arc::new(TokioClock::new());
        let store = memory(&clock);
        let diary = CallbackLog::default();
        let timing = Timing::builder().ttl(TTL).build().unwrap();
        let lock = LockActor::builder("r", store.clone());
        let lock = lock.timing(timing).clock(clock.clone());
        let own = diary.clone();
        let stop = async move {
            pause(TTL * 5).await;
            own.take();
        };
        let follow = lock.follow(Slow(diary.clone())).on_current_runtime();
        let until = clock.now() + TTL * 5 + timing.yield_for();
        follow.until(stop).await.unwrap();
        assert_eq!(clock.now(), until);
        assert_eq!(
            diary.take(),
            [CallbackEvent::ThreadEnded, CallbackEvent::ThreadEnded]
        );
        let record = store.read(&"r".try_into().unwrap(), LIMIT).await.unwrap();
        assert!(
            record.unwrap().is_held(),
            "released, although the callback has not returned"
        );
    });
}

#[tokio::test(start_paused = true)]
async fn leads_and_releases_the_lease_under_paused_tokio_time() {
    let clock = Arc::new(TokioClock::new());
    let store = memory(&clock);
    let (first, follow) = following(store.clone(), &clock, "first");
    let following = follow.until(pause(TTL * 3)).start().unwrap();
    let lock = following.handle().clone();
    let ended = tokio::spawn(following.into_future());
    pause(TTL).await;
    let led = [
        CallbackEvent::Followed(Reason::NotElected),
        CallbackEvent::Led(1),
    ];
    assert_eq!(first.take(), led);
    assert!(lock.is_leader());
    ended.await.unwrap().unwrap();
    let end = [
        CallbackEvent::ThreadEnded,
        CallbackEvent::Followed(Reason::Shutdown),
    ];
    assert_eq!(first.take(), end);
    let record = store.read(&"r".try_into().unwrap(), LIMIT).await.unwrap();
    assert!(!record.unwrap().is_held());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_future_releases_the_lease_on_a_tokio_runtime() {
    let clock = Arc::new(TokioClock::new());
    let store = memory(&clock);
    let (first, follow) = following(store.clone(), &clock, "first");
    let (work, handle) = abortable(follow.into_future());
    let task = tokio::spawn(work);
    pause(TTL).await;
    handle.abort();
    assert!(task.await.unwrap().is_err(), "aborted");
    pause(TTL / 10).await;
    assert_eq!(first.take().last(), Some(&CallbackEvent::ThreadEnded));
    let record = store.read(&"r".try_into().unwrap(), LIMIT).await.unwrap();
    assert!(!record.unwrap().is_held());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fails_on_a_runtime_of_several_threads() {
    let store = Arc::new(MemoryStore::new());
    let follow = follow(store.clone(), "r", CallbackLog::default()).on_current_runtime();
    let error = follow.await.unwrap_err().to_string();
    assert!(error.contains("current-thread runtime"), "{error}");
    let error = LockActor::builder("r", store)
        .start_on_current_runtime()
        .unwrap_err();
    assert!(
        error.to_string().contains("current-thread runtime"),
        "{error}"
    );
}

#[test]
fn fails_outside_any_runtime() {
    let store = Arc::new(MemoryStore::new());
    let error = LockActor::builder("r", store)
        .start_on_current_runtime()
        .unwrap_err();
    assert!(
        error.to_string().contains("current-thread runtime"),
        "{error}"
    );
}

/// The handle of a lock whose runtime ended before it, after it has run for `time`.
fn lock_of_ended_runtime(by: tokio::runtime::Runtime, time: Duration) -> tenure::LockHandle {
    by.block_on(async {
        let clock = Arc::new(TokioClock::new());
        let (_, follow) = following(memory(&clock), &clock, "first");
        let following = follow.start().unwrap();
        let lock = following.handle().clone();
        drop(tokio::spawn(following.into_future()));
        if !time.is_zero() {
            pause(time).await;
            assert!(lock.is_leader());
        }
        lock
    })
}

#[test]
fn a_runtime_that_ends_before_its_lock_does_not_panic_and_the_next_one_elects_again() {
    for time in [Duration::ZERO, TTL, TTL] {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(true).build().unwrap();
        let lock = lock_of_ended_runtime(runtime, time);
        let ended = paused(async move { lock.status().await });
        assert!(ended.is_err(), "{ended:?}");
    }
}

#[test]
fn a_second_runtime_of_the_thread_elects_while_the_first_one_is_alive() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let (first, second) = (runtime(), runtime());
    for runtime in [&first, &second] {
        let status = runtime.block_on(async {
            let lock = LockActor::builder("r", Arc::new(MemoryStore::new()));
            let lock = lock.start_on_current_runtime().unwrap();
            let commands = async {
                let status = lock.status().await;
                lock.shutdown().await.unwrap();
                status
            };
            tokio::time::timeout(Duration::from_secs(5), commands).await
        });
        let status = status.expect("the runtime drives its lock").unwrap();
        assert_eq!(status.subscribers, 0);
    }
}

/// Fails at once when it leads.
struct Failing(CallbackLog);

#[async_trait]
impl LeaderCallbacks<Result<(), String>> for Failing {
    async fn became_leader(&mut self, leadership: Leadership) -> Result<(), String> {
        self.0.add(CallbackEvent::Led(leadership.token().get()));
        Err("no disk".to_owned())
    }

    async fn became_follower(&mut self, reason: Reason) {
        self.0.add(CallbackEvent::Followed(reason));
    }
}

#[test]
fn an_error_of_became_leader_resigns_for_one_ttl() {
    paused(async {
        let clock = Arc::new(TokioClock::new());
        let store = memory(&clock);
        let log = CallbackLog::default();
        let lock = LockActor::builder("r", store)
            .timing(Timing::builder().ttl(TTL).build().unwrap())
            .clock(clock);
        let following = lock.follow(Failing(log.clone())).on_current_runtime();
        let following = following.start().unwrap();
        let lock = following.handle().clone();
        let task = tokio::spawn(std::future::IntoFuture::into_future(following));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(
            log.take(),
            [
                CallbackEvent::Followed(Reason::NotElected),
                CallbackEvent::Led(1),
                CallbackEvent::Followed(Reason::Resigned)
            ]
        );
        let state = lock.status().await.unwrap().state;
        let ElectionState::Idle(IdleReason::HeldOff { remaining }) = state else {
            panic!("{state}");
        };
        assert!(remaining > TTL / 2 - Duration::from_secs(1) && remaining <= TTL / 2);
        tokio::time::sleep(TTL).await;
        assert_eq!(log.take().first(), Some(&CallbackEvent::Led(2)));
        task.abort();
    });
}
