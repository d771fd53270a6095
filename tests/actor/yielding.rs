use std::time::Duration;

use actix::Actor as _;
use tenure::{
    Reason,
    actor::{ElectionState, IdleReason, StepDownOutcome},
};

use crate::support::*;

#[test]
fn an_uncontended_acquire_renew_and_release_are_one_request_each() {
    paused(async {
        let lab = Lab::new();
        let (lock, _recorder) = lab.leader().await;
        assert_eq!(
            (lab.store.calls().acquire, lab.store.calls().total()),
            (1, 1)
        );
        sleep(3.5).await;
        assert_eq!((lab.store.calls().renew, lab.store.calls().total()), (1, 2));
        assert_eq!(lock.shutdown().await, Ok(StepDownOutcome::Released));
        assert_eq!(
            (lab.store.calls().release, lab.store.calls().total()),
            (1, 3)
        );
        sleep(60.0).await;
        assert_eq!(lab.store.calls().total(), 3, "inert after the shutdown");
    });
}

#[test]
fn the_release_waits_for_a_subscriber_that_takes_a_second() {
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let mut recorder = Recorder::new(&lock, &lab.log);
        recorder.stopping_takes = Some(secs(1.0));
        let _recorder = recorder.start();
        lab.log.wait(2).await;
        sleep(1.0).await;
        let before = lab.log.now();
        let stepping = actix::spawn(async move { (lock.step_down().await, lock) });
        sleep(0.999).await;
        assert_eq!(lab.store.calls().release, 0);
        assert!(lab.log.leadership().is_current(), "until the release");
        let (outcome, _lock) = stepping.await.unwrap();
        assert_eq!(outcome, Ok(StepDownOutcome::Released));
        assert!(
            (lab.log.now() - before - 1.0).abs() < 0.005,
            "{}",
            lab.log.now() - before
        );
        assert!(!lab.log.leadership().is_current());
        assert!(!lab.record().await.is_held());
    });
}

#[test]
fn an_asynchronous_handler_of_became_leader_delays_the_acknowledgement() {
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let mut recorder = Recorder::new(&lock, &lab.log);
        recorder.leading_takes = Some(secs(5.0));
        let _recorder = recorder.start();
        lab.log.wait(2).await;
        let elected = lab.log.now();
        assert_eq!(lock.step_down().await, Ok(StepDownOutcome::Released));
        let waited = lab.log.now() - elected;
        assert!((4.99..5.05).contains(&waited), "{waited}");
        let events = [
            follower(Reason::NotElected),
            Event::Leader(1),
            follower(Reason::SteppedDown),
        ];
        assert_eq!(lab.log.events(), events);
    });
}

#[test]
fn a_subscriber_that_never_acknowledges_leaves_the_lease_to_expire() {
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let mut recorder = Recorder::new(&lock, &lab.log);
        recorder.stopping_takes = None;
        let recorder = recorder.start();
        lab.log.wait(2).await;
        let before = lab.log.now();
        let outcome = lock.step_down_for(Duration::ZERO).await;
        assert_eq!(outcome, Ok(StepDownOutcome::LeftToExpire));
        let waited = lab.log.now() - before;
        assert!(
            (waited - 10.0).abs() < 0.01,
            "yield_for is 10 s, waited {waited}"
        );
        let renewed = lab.store.calls().renew;
        assert!(renewed >= 2, "renewed while it yields");
        assert!(lab.record().await.is_held());
        assert!(lab.log.leadership().is_current(), "until its deadline");
        sleep(30.0).await;
        assert!(!lab.log.leadership().is_current());
        assert!(!lab.record().await.is_held(), "expired");
        assert_eq!(
            lab.store.calls().renew,
            renewed,
            "renewed no more after yield_for"
        );
        assert_eq!(lab.store.calls().release, 0, "and was never released");
        assert_eq!(lab.store.calls().acquire, 1, "and does not contend");
        assert!(recorder.connected());
    });
}

#[test]
fn a_lock_contends_again_when_the_subscriber_that_did_not_acknowledge_is_gone() {
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let mut stuck = Recorder::new(&lock, &lab.log);
        stuck.stopping_takes = None;
        let stuck = stuck.start();
        lab.log.wait(2).await;
        let other = Log::new();
        let _other = Recorder::follow(&lock, &other);
        other.wait(1).await;
        actix::spawn({
            let lock = lock.clone();
            async move { lock.step_down_for(Duration::ZERO).await }
        });
        sleep(40.0).await;
        assert_eq!(lab.token().await.get(), 1);
        assert_eq!(lock.status().await.unwrap().unacknowledged, 1);
        stuck.do_send(Stop);
        sleep(5.0).await;
        assert_eq!(other.last().1, Event::Leader(2));
        assert_eq!(lab.store.calls().release, 0);
    });
}

#[test]
fn pause_and_resume() {
    paused(async {
        let lab = Lab::new();
        let (lock, _recorder) = lab.leader().await;
        assert_eq!(lock.pause().await, Ok(StepDownOutcome::Released));
        assert_eq!(lab.log.last().1, follower(Reason::Paused));
        sleep(100.0).await;
        let paused = ElectionState::Idle(IdleReason::Paused);
        assert_eq!(lock.status().await.unwrap().state, paused);
        assert_eq!(lock.pause().await, Ok(StepDownOutcome::NotLeading));
        lock.resume().await.unwrap();
        lab.log.wait(4).await;
        assert_eq!(lab.log.last().1, Event::Leader(2));
    });
}

#[test]
fn a_step_down_lets_others_lead_first() {
    paused(async {
        let lab = Lab::new();
        let (lock, _recorder) = lab.leader().await;
        let other = Log::new();
        let rival = lab.lock("rival").start_on_current_runtime().unwrap();
        let _rival = Recorder::follow(&rival, &other);
        sleep(1.0).await;
        assert_eq!(lock.step_down().await, Ok(StepDownOutcome::Released));
        let released = other.now();
        other.wait(2).await;
        assert_eq!(other.last().1, Event::Leader(2));
        // At most one `poll_every` with its jitter.
        assert!(other.now() - released < 2.0 * 1.2 + 0.1);
        rival.shutdown().await.unwrap();
        sleep(8.0).await;
        assert_eq!(lab.token().await.get(), 2, "held off for a ttl");
        sleep(4.0).await;
        assert_eq!(lab.log.last().1, Event::Leader(3));
    });
}

#[test]
fn dropping_the_last_handle_is_a_graceful_shutdown() {
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let log = lab.log.clone();
        let mut recorder = Recorder::new(&lock, &log);
        recorder.stopping_takes = Some(secs(2.0));
        let recorder = recorder.start();
        log.wait(2).await;
        drop(lock);
        // The recorder holds the last handle, which ends with it.
        recorder.do_send(Stop);
        sleep(1.0).await;
        assert_eq!(
            lab.store.calls().release,
            0,
            "the subscriber died without acknowledging"
        );
        sleep(20.0).await;
        assert!(!lab.record().await.is_held());

        let log = Log::new();
        let lock = lab.lock("again").start_on_current_runtime().unwrap();
        let _follower = Plain::start_with(&lock, &log);
        log.wait(2).await;
        drop(lock);
        log.wait(3).await;
        assert_eq!(log.last().1, follower(Reason::Shutdown));
        sleep(0.1).await;
        assert_eq!(lab.store.calls().release, 1);
    });
}
