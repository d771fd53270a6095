use actix::Actor as _;
use tenure::{Reason, actor::StepDownOutcome, store::StoreErrorKind, testing::Fault};

use crate::support::*;

#[test]
fn a_restart_while_a_subscriber_is_busy_does_not_cost_it_a_message() {
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let mut recorder = Recorder::new(&lock, &lab.log);
        // The handler of `BecameLeader` still runs when the leadership ends and the lock restarts.
        recorder.leading_takes = Some(secs(30.0));
        let _recorder = recorder.start();
        lab.log.wait(2).await;
        lab.store.always(Fault::Error(StoreErrorKind::Unavailable));
        sleep(20.0).await;
        let status = lock.status().await.unwrap();
        assert!(status.restarts > 3, "{} restarts", status.restarts);
        assert_eq!(status.unacknowledged, 1);
        let events = [
            follower(Reason::NotElected),
            Event::Leader(1),
            follower(Reason::StoreLost),
        ];
        assert_eq!(lab.log.events(), events);
        lab.store.always(None);
        sleep(5.0).await;
        assert_eq!(lab.log.events(), events, "not before it has acknowledged");
        sleep(10.0).await;
        assert_eq!(lab.log.last().1, Event::Leader(2));
    });
}

#[test]
fn a_restart_does_not_lose_a_pending_command() {
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let mut recorder = Recorder::new(&lock, &lab.log);
        recorder.stopping_takes = Some(secs(6.0));
        let _recorder = recorder.start();
        lab.log.wait(2).await;
        sleep(2.0).await;
        lab.store
            .script([Fault::Error(StoreErrorKind::Unavailable)]);
        assert_eq!(lock.step_down().await, Ok(StepDownOutcome::Released));
        assert_eq!(lock.status().await.unwrap().restarts, 1);
    });
}

#[test]
fn a_panic_in_a_store_call_is_an_error_and_the_lock_continues() {
    paused(async {
        let lab = Lab::new();
        lab.store.script([Fault::Panic, Fault::Panic]);
        let (lock, _recorder) = lab.leader().await;
        let status = lock.status().await.unwrap();
        assert_eq!(status.restarts, 2);
        let error = status.store.last_error.expect("an error").to_string();
        assert!(
            error.contains("panicked: injected panic in acquire"),
            "{error}"
        );
        lab.store.script([Fault::Panic]);
        sleep(30.0).await;
        assert_eq!(lab.log.events().len(), 2);
    });
}

#[test]
fn a_shutdown_completes_while_the_store_is_down() {
    paused(async {
        let lab = Lab::new();
        let (lock, _recorder) = lab.leader().await;
        lab.store.always(Fault::Hang);
        let before = lab.log.now();
        assert_eq!(lock.shutdown().await, Ok(StepDownOutcome::LeftToExpire));
        assert!(lab.log.now() - before < 10.0, "{}", lab.log.now() - before);
        assert_eq!(lab.log.last().1, follower(Reason::Shutdown));
        assert_eq!(lock.shutdown().await, Ok(StepDownOutcome::NotLeading));
    });
}

#[test]
fn a_handle_that_is_dropped_during_a_restart_does_not_end_the_lock() {
    paused(async {
        let lab = Lab::new();
        let (lock, _recorder) = lab.leader().await;
        let log = Log::new();
        let _plain = Plain::start_with(&lock, &log);
        sleep(3.0).await;
        lab.store
            .script([Fault::Error(StoreErrorKind::Throttled); 2]);
        drop(lock);
        sleep(1.0).await;
        // The recorder still holds a handle.
        assert!(lab.log.leadership().is_current());
    });
}

#[test]
fn a_shutdown_during_a_restart_still_releases() {
    paused(async {
        let lab = Lab::new();
        let (lock, _recorder) = lab.leader().await;
        lab.store
            .script([Fault::Error(StoreErrorKind::Throttled); 2]);
        while lock.status().await.unwrap().restarts == 0 {
            sleep(0.001).await;
        }
        assert_eq!(lock.shutdown().await, Ok(StepDownOutcome::Released));
        assert!(!lab.record().await.is_held());
    });
}
