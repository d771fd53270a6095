//! Commands at the moment when a request is in flight, or whose future is dropped.

use std::time::Duration;

use futures::FutureExt as _;
use tenure::{
    actor::{ElectionState, IdleReason, StepDownOutcome},
    testing::Fault,
};

use crate::support::*;

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
