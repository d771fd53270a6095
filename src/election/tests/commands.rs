use super::bench::*;
use crate::{
    clock::Clock as _,
    election::{Call, ElectionState, IdleReason, Reply, StepDownOutcome},
    leadership::Reason,
    lease::ReleaseTarget,
};

#[test]
fn a_hold_off_counts_from_when_the_lease_was_given_up() {
    let (mut bench, _) = Bench::leading();
    bench.election.step_down(secs(5.0), bench.clock.now());
    drop(bench.transition());
    bench.subscriber_state(BUSY);
    bench.advance(2.0);
    bench.subscriber_state(READY);
    let release = bench.request();
    bench.reply(&release, Reply::Released { was_held: true });
    let given_up = bench.clock.now();
    let remaining = secs(5.0);
    assert_eq!(
        bench.election.state(given_up),
        ElectionState::Idle(IdleReason::HeldOff { remaining })
    );
    let bid = bench.request();
    assert!(matches!(bid.call, Call::Acquire(_)));
    assert_eq!(bid.sent_at, given_up + secs(5.0));
}

#[test]
fn stepping_down_without_leading_only_holds_off() {
    let mut bench = Bench::new();
    bench.election.step_down(secs(5.0), bench.clock.now());
    assert!(bench.election.is_settled());
    assert_eq!(bench.election.outcome(), StepDownOutcome::NotLeading);
    assert!(bench.poll().is_none());
    bench.election.resume(bench.clock.now());
    assert!(bench.poll().is_some(), "resume ends a hold-off");
}

#[test]
fn a_grant_that_answers_after_a_pause_is_released_and_the_command_waits_for_it() {
    let mut bench = Bench::new();
    let bid = bench.request();
    bench.election.pause(bench.clock.now());
    assert!(!bench.election.is_settled());
    bench.reply(&bid, granted(1));
    assert!(bench.transition().is_none());
    let release = bench.request();
    assert!(
        matches!(&release.call, Call::Release(ReleaseTarget::Lease(held), _) if *held == lease(1))
    );
    bench.reply(&release, Reply::Released { was_held: true });
    assert!(bench.election.is_settled());
    assert_eq!(bench.election.poll_timeout(), None, "paused: nothing to do");
}

#[test]
fn a_lock_that_was_shut_down_sends_nothing() {
    let (mut bench, _) = Bench::leading();
    bench.election.shutdown(bench.clock.now());
    assert_eq!(bench.ended(), Some(Reason::Shutdown));
    bench.subscriber_state(READY);
    let release = bench.request();
    bench.reply(&release, Reply::Released { was_held: true });
    bench.election.resume(bench.clock.now());
    bench.subscriber_state(READY);
    assert!(bench.election.is_settled());
    assert_eq!(bench.election.poll_timeout(), None);
    assert!(bench.poll().is_none());
}

#[test]
fn a_release_that_fails_is_retried_and_then_given_up() {
    let (mut bench, _) = Bench::leading();
    bench.election.shutdown(bench.clock.now());
    drop(bench.transition());
    bench.subscriber_state(READY);
    for _ in 0..3 {
        let release = bench.request();
        assert!(matches!(release.call, Call::Release(..)));
        bench.reply(&release, Reply::Failed);
    }
    assert!(bench.election.is_settled());
    assert_eq!(bench.election.outcome(), StepDownOutcome::LeftToExpire);
}

#[test]
fn a_loss_while_yielding_is_not_released() {
    let (mut bench, leadership) = Bench::leading();
    bench.election.pause(bench.clock.now());
    drop(bench.transition());
    bench.subscriber_state(BUSY);
    let renewal = bench.request();
    bench.reply(&renewal, Reply::Lost(Some(record("other", 2, 9.0))));
    assert!(!leadership.is_current());
    bench.subscriber_state(READY);
    assert!(bench.poll().is_none());
    assert!(bench.election.is_settled());
}

#[test]
fn a_second_command_does_not_cut_a_step_down_short() {
    let (mut bench, leadership) = Bench::leading();
    bench.election.step_down(secs(0.0), bench.clock.now());
    drop(bench.transition());
    bench.subscriber_state(BUSY);
    bench.election.shutdown(bench.clock.now());
    assert!(bench.transition().is_none(), "told once");
    assert_eq!(
        bench.election.state(bench.clock.now()),
        ElectionState::Yielding
    );
    assert!(leadership.is_current());
    assert!(matches!(bench.request().call, Call::Renew { .. }));
}

#[test]
fn the_reason_of_a_loss_fits_the_record() {
    let mut closing = record("me", 1, 5.0);
    closing.closing = true;
    let mut freed = record("me", 1, 0.0);
    freed.holder = None;
    let by = name("other");
    let cases = [
        (Some(record("other", 2, 5.0)), Reason::Deposed { by }),
        (Some(closing), Reason::Evicted),
        (Some(freed), Reason::Evicted),
        (Some(record("me", 1, 0.0)), Reason::Expired),
        (Some(record("other", 0, 5.0)), Reason::StoreLost),
        (None, Reason::StoreLost),
    ];
    for (record, reason) in cases {
        let (mut bench, leadership) = Bench::leading();
        let renewal = bench.request();
        bench.reply(&renewal, Reply::Lost(record));
        assert_eq!(bench.ended(), Some(reason));
        assert!(!leadership.is_current());
    }
}

#[test]
fn an_evicted_lease_is_released_once_the_work_has_stopped() {
    let (mut bench, _) = Bench::leading();
    let renewal = bench.request();
    let mut closing = record("me", 1, 5.0);
    closing.closing = true;
    bench.reply(&renewal, Reply::Lost(Some(closing)));
    drop(bench.transition());
    bench.subscriber_state(READY);
    assert!(matches!(bench.request().call, Call::Release(..)));
}

#[test]
fn a_candidate_that_is_only_observed_reads() {
    let mut bench = Bench::new();
    bench.election.pause(bench.clock.now());
    assert_eq!(bench.election.poll_timeout(), None);
    bench.election.observe(true);
    for _ in 0..3 {
        let read = bench.request();
        assert!(matches!(read.call, Call::Read(_)));
        bench.reply(&read, Reply::Read);
    }
}

#[test]
fn a_hold_off_without_leadership_is_over_once_and_does_not_return_after_the_next_term() {
    let mut bench = Bench::new();
    bench.election.step_down(secs(5.0), bench.clock.now());
    bench.advance(5.0);
    drop(bench.win(1));
    let renewal = bench.request();
    bench.reply(&renewal, Reply::Lost(None));
    let now = bench.clock.now();
    assert_eq!(bench.ended(), Some(Reason::StoreLost));
    bench.subscriber_state(READY);
    assert_eq!(bench.election.state(now), ElectionState::Standby);
}

#[test]
fn a_second_command_keeps_the_outcome_of_the_release_under_way_and_a_later_one_does_not() {
    let (mut bench, _) = Bench::leading();
    bench.election.step_down(secs(60.0), bench.clock.now());
    drop(bench.transition());
    bench.subscriber_state(READY);
    let release = bench.request();
    bench.election.pause(bench.clock.now());
    assert_eq!(bench.election.outcome(), StepDownOutcome::LeftToExpire);
    bench.reply(&release, Reply::Released { was_held: true });
    assert_eq!(bench.election.outcome(), StepDownOutcome::Released);
    bench.election.pause(bench.clock.now());
    assert_eq!(bench.election.outcome(), StepDownOutcome::NotLeading);
}
