//! Rules 7 and 8: the subscribers know of an end before the lease is released and before the next leadership.

use super::is_release_of;
use crate::{
    clock::Clock as _,
    election::{Call, ElectionState, IdleReason, Reply, StepDownOutcome, tests::bench::*},
    leadership::Reason,
};

#[test]
fn rule_7_on_a_loss_the_subscribers_come_first() {
    let (mut bench, leadership) = Bench::leading();
    let renewal = bench.request();
    bench.reply(&renewal, Reply::Lost(Some(record("other", 2, 9.0))));
    assert!(!leadership.is_current());
    let by = name("other");
    assert_eq!(bench.ended(), Some(Reason::Deposed { by }));
    bench.advance(5.0);
    assert!(
        bench.poll().is_none(),
        "no request before the subscribers have acknowledged"
    );
}

#[test]
fn rule_7_a_planned_step_down_renews_until_the_acknowledgement_then_releases() {
    let (mut bench, leadership) = Bench::leading();
    bench.advance(1.0);
    bench.election.step_down(secs(10.0), bench.clock.now());
    assert_eq!(bench.ended(), Some(Reason::SteppedDown));
    bench.subscriber_state(BUSY);
    let renewal = bench.request();
    assert!(matches!(renewal.call, Call::Renew { .. }));
    bench.reply(&renewal, Reply::RENEWED);
    assert!(
        leadership.is_current(),
        "work that winds down may still write"
    );
    bench.subscriber_state(READY);
    assert!(!leadership.is_current(), "ended before the release is sent");
    let release = bench.poll().expect("the release follows at once");
    assert!(is_release_of(&release.call, 1));
    assert!(!bench.election.is_settled());
    bench.reply(&release, Reply::Released { was_held: true });
    assert!(bench.election.is_settled());
    assert_eq!(bench.election.outcome(), StepDownOutcome::Released);
}

#[test]
fn rule_7_without_an_acknowledgement_the_lease_is_left_to_expire() {
    let (mut bench, leadership) = Bench::leading();
    bench.election.step_down(secs(1.0), bench.clock.now());
    drop(bench.transition());
    bench.subscriber_state(BUSY);
    let start = bench.clock.now();
    let mut renewals = 0;
    while let Some(next) = bench.election.poll_timeout() {
        bench.clock.advance_to(next);
        bench.election.handle_timeout(next);
        if let Some(request) = bench.poll() {
            assert!(matches!(request.call, Call::Renew { .. }), "{request:?}");
            bench.reply(&request, Reply::RENEWED);
            renewals += 1;
        }
    }
    assert!(renewals >= 2, "renewed {renewals} times while it yields");
    assert_eq!(
        start.until(bench.clock.now()),
        secs(10.0),
        "until yield_for is over"
    );
    assert!(leadership.is_current(), "until its deadline");
    bench.advance(60.0);
    assert!(!leadership.is_current());
    assert!(bench.poll().is_none(), "it does not contend");
    bench.subscriber_state(READY);
    assert_eq!(bench.election.outcome(), StepDownOutcome::LeftToExpire);
    assert!(
        matches!(bench.request().call, Call::Acquire(_)),
        "never released"
    );
}

#[test]
fn rule_8_no_leadership_begins_before_the_last_end_was_acknowledged() {
    let (mut bench, _) = Bench::leading();
    bench.advance(20.0);
    assert_eq!(bench.ended(), Some(Reason::Expired));
    bench.subscriber_state(BUSY);
    bench.advance(60.0);
    assert_eq!(bench.election.poll_timeout(), None);
    assert!(bench.poll().is_none());
    bench.subscriber_state(READY);
    assert!(matches!(bench.request().call, Call::Acquire(_)));
}

/// Found by the simulation, seed 260: an input said that all had acknowledged, and found the deadline passed.
/// Its acknowledgement released the lease before the subscribers were told of the end.
#[test]
fn rule_8_an_acknowledgement_from_before_the_end_does_not_count() {
    let (mut bench, _) = Bench::leading();
    bench.clock.advance(secs(9.5));
    bench.subscriber_state(READY);
    assert!(bench.poll().is_none(), "nobody was told yet");
    assert_eq!(bench.ended(), Some(Reason::Expired));
    bench.subscriber_state(BUSY);
    assert!(bench.poll().is_none());
    bench.subscriber_state(READY);
    assert!(is_release_of(&bench.request().call, 1));
}

#[test]
fn rule_8_a_subscriber_that_died_leaves_the_lease_to_expire() {
    let (mut bench, _) = Bench::leading();
    bench.election.step_down(secs(0.0), bench.clock.now());
    drop(bench.transition());
    let mut dead = READY;
    dead.clean = false;
    bench.subscriber_state(dead);
    assert_eq!(bench.election.outcome(), StepDownOutcome::LeftToExpire);
    assert!(
        matches!(bench.request().call, Call::Acquire(_)),
        "not released"
    );
}

#[test]
fn rule_8_the_last_subscriber_gone_ends_the_leadership() {
    for clean in [true, false] {
        let (mut bench, leadership) = Bench::leading();
        let mut nobody = READY;
        nobody.present = false;
        nobody.clean = clean;
        bench.subscriber_state(nobody);
        assert_eq!(bench.ended(), Some(Reason::SteppedDown));
        bench.subscriber_state(nobody);
        assert_eq!(leadership.is_current(), !clean);
        let request = bench.poll().map(|request| request.call);
        assert_eq!(request.is_some_and(|call| is_release_of(&call, 1)), clean);
        assert_eq!(
            bench.election.state(bench.clock.now()),
            ElectionState::Idle(IdleReason::NoSubscriber)
        );
    }
}
