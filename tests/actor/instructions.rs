//! What a lock shows of an operator's instructions, and hand-overs through its handle.

use std::sync::Arc;

use tenure::{
    LockActor, Operator, Reason,
    operator::{HandOverOutcome, OperatorError},
    testing::{Fault, TokioClock},
};

use crate::support::*;

#[test]
fn a_status_has_the_note_of_the_pause_while_it_leads_and_after() {
    paused(async {
        let lab = Lab::new();
        let (lock, _recorder) = lab.leader().await;
        assert_eq!(lock.status().await.unwrap().pause, None);
        let operator = Operator::new(Arc::new(lab.memory.clone())).on_current_runtime();
        operator.pause("r", "database upgrade").await.unwrap();
        assert_eq!(lab.log.last().1, follower(Reason::Paused));
        for _ in 0..2 {
            let status = serde_json::to_value(lock.status().await.unwrap()).unwrap();
            assert_eq!(status["pause"], "database upgrade");
            sleep(20.0).await;
        }
        operator.resume("r").await.unwrap();
        sleep(5.0).await;
        assert!(lock.is_leader());
        assert_eq!(lock.status().await.unwrap().pause, None);
    });
}

#[test]
fn every_handle_may_hand_the_lease_over() {
    paused(async {
        let lab = Lab::new();
        let (first, _recorder) = lab.leader().await;
        let log = Log::new();
        let second = lab.healthy("second").start_on_current_runtime().unwrap();
        let _second = Recorder::follow(&second, &log);
        // It has no subscriber, so it does not contend.
        let third = lab.healthy("third").start_on_current_runtime().unwrap();
        sleep(1.0).await;
        let outcome = third.hand_over("second").await.unwrap();
        assert!(outcome.is_done() && second.is_leader(), "{outcome}");
        let to = "second".parse().unwrap();
        assert_eq!(lab.log.last().1, follower(Reason::HandedOver { to }));
        let outcome = first.hand_over("second").await.unwrap();
        assert!(
            matches!(outcome, HandOverOutcome::AlreadyLeads { .. }),
            "{outcome}"
        );
        let outcome = second.hand_over("third").await.unwrap();
        // The third one does not contend, so after a poll anybody may lead.
        let HandOverOutcome::LedByAnother { by, .. } = outcome else {
            panic!("{outcome}");
        };
        assert!(["me", "second"].contains(&by.as_str()), "{by}");
        let error = first.hand_over("two\nlines").await.unwrap_err();
        assert!(matches!(error, OperatorError::Name(_)));
    });
}

#[test]
fn a_hand_over_waits_for_slow_subscribers_and_for_the_expiry_after_them() {
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let mut stuck = Recorder::new(&lock, &lab.log);
        stuck.stopping_takes = None;
        let _stuck = actix::Actor::start(stuck);
        lab.log.wait(2).await;
        let second = lab.healthy("second").start_on_current_runtime().unwrap();
        let _second = Recorder::follow(&second, &Log::new());
        sleep(1.0).await;
        let outcome = lock.hand_over("second").await.unwrap();
        let HandOverOutcome::HandedOver { took, .. } = outcome else {
            panic!("{outcome}");
        };
        assert!(
            took > secs(10.0),
            "{took:?}: yield_for, and the rest of the ttl"
        );
    });
}

#[test]
fn a_hand_over_through_a_handle_fails_as_its_store_does() {
    paused(async {
        let lab = Lab::new();
        let (lock, _recorder) = lab.leader().await;
        lab.store.always(Fault::Hang);
        let error = lock.hand_over("second").await.unwrap_err();
        assert!(matches!(error, OperatorError::Store(_)), "{error}");
    });
}

#[test]
fn two_locks_with_one_id_exclude_each_other() {
    paused(async {
        let lab = Lab::new();
        let (first, _recorder) = lab.leader().await;
        let second = LockActor::builder("r", Arc::new(lab.memory.clone()))
            .candidate("me")
            .timing(timing())
            .clock(Arc::new(TokioClock::new()))
            .start_on_current_runtime()
            .unwrap();
        let _second = Recorder::follow(&second, &Log::new());
        sleep(40.0).await;
        assert!(first.is_leader() && !second.is_leader());
    });
}
