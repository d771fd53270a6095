//! Rules 3 to 6: which grant begins a leadership.

use super::is_release_of;
use crate::{
    clock::{Clock as _, Moment},
    election::{Call, Reply, Transition, tests::bench::*},
    leadership::Reason,
    lease::{AttemptId, ReleaseTarget},
};

fn attempt(call: &Call) -> AttemptId {
    match call {
        Call::Acquire(bid) => bid.attempt,
        other => panic!("{other:?}"),
    }
}

#[test]
fn rule_3_an_attempt_is_never_bid_again_after_its_leadership_ended() {
    let mut bench = Bench::new();
    let bid = bench.request();
    let first = attempt(&bid.call);
    bench.reply(&bid, granted(1));
    drop(bench.transition());
    bench.clock.advance(secs(20.0));
    bench.election.handle_timeout(bench.clock.now());
    drop(bench.transition());
    bench.subscriber_state(READY);
    assert_ne!(attempt(&bench.request().call), first);
}

#[test]
fn rule_3_an_attempt_is_never_bid_again_after_a_release_of_it() {
    let mut bench = Bench::new();
    let bid = bench.request();
    bench.election.pause(bench.clock.now());
    bench.reply(&bid, Reply::Unknown);
    let release = bench.request();
    let attempt_released = match &release.call {
        Call::Release(ReleaseTarget::Attempt { attempt, .. }, _) => *attempt,
        other => panic!("{other:?}"),
    };
    assert_eq!(attempt_released, attempt(&bid.call));
    bench.reply(&release, Reply::Released { was_held: true });
    bench.election.resume(bench.clock.now());
    assert_ne!(attempt(&bench.request().call), attempt(&bid.call));
}

#[test]
fn rule_3_a_late_grant_of_the_attempt_still_asked_for_changes_nothing() {
    let mut bench = Bench::new();
    let bid = bench.request();
    bench.advance(2.0);
    bench.reply(&bid, granted(1));
    assert!(bench.transition().is_none());
    let again = bench.request();
    assert_eq!(attempt(&again.call), attempt(&bid.call));
    bench.reply(&again, granted(1));
    assert!(matches!(
        bench.transition(),
        Some(Transition::BecameLeader { .. })
    ));
    // And so does a late grant of the token that is led.
    bench.reply(&bid, granted(1));
    assert!(matches!(bench.request().call, Call::Renew { .. }));
}

#[test]
fn rule_3_any_other_late_grant_is_released() {
    let mut bench = Bench::new();
    let bid = bench.request();
    bench.election.pause(bench.clock.now());
    bench.advance(2.0);
    let release = bench.request();
    bench.reply(&release, Reply::Released { was_held: false });
    bench.reply(&bid, granted(4));
    assert!(is_release_of(&bench.request().call, 4));
}

/// Found by the simulation, seed 1719: a second copy of the grant's reply arrived after a subscriber had died
/// during the step-down. It was released, although work under the lease could still run.
#[test]
fn rule_3_a_late_grant_of_a_lease_left_to_expire_is_not_released() {
    let mut bench = Bench::new();
    let bid = bench.request();
    bench.reply(&bid, granted(1));
    let Some(Transition::BecameLeader { leadership }) = bench.transition() else {
        panic!("not leading");
    };
    bench.election.step_down(secs(0.0), bench.clock.now());
    drop(bench.transition());
    let mut dead = READY;
    dead.clean = false;
    bench.subscriber_state(dead);
    bench.reply(&bid, granted(1));
    assert!(matches!(bench.request().call, Call::Acquire(_)));
    assert!(leadership.is_current());
}

#[test]
fn rule_4_a_grant_with_less_than_the_margin_left_is_released() {
    let mut bench = Bench::new();
    let bid = bench.request();
    // The process stood still while the reply lay there.
    bench.clock.advance(secs(8.1));
    bench.reply(&bid, granted(1));
    assert!(bench.transition().is_none());
    assert!(is_release_of(&bench.request().call, 1));
}

#[test]
fn rule_4_a_grant_with_exactly_the_margin_left_is_taken() {
    let mut bench = Bench::new();
    let bid = bench.request();
    bench.clock.advance(secs(8.0));
    bench.reply(&bid, granted(1));
    assert_eq!(bench.elected().remaining(), secs(1.0));
}

#[test]
fn rule_5_returning_after_a_lapse_is_a_new_acquisition() {
    let (mut bench, first) = Bench::leading();
    bench.clock.advance(secs(9.0));
    bench.election.handle_timeout(bench.clock.now());
    assert_eq!(bench.ended(), Some(Reason::Expired));
    bench.subscriber_state(READY);
    let release = bench.request();
    assert!(is_release_of(&release.call, 1));
    bench.reply(&release, Reply::Released { was_held: true });
    let second = bench.win(2);
    assert!(!first.is_current() && second.is_current());
    assert!(second.token() > first.token());
}

#[test]
fn rule_6_leadership_begins_only_with_a_confirmed_write() {
    let mut bench = Bench::new();
    let bid = bench.request();
    bench.reply(&bid, Reply::Unknown);
    assert!(bench.transition().is_none());
    let again = bench.request();
    assert_eq!(
        attempt(&again.call),
        attempt(&bid.call),
        "asked again with the same attempt"
    );
    bench.reply(&again, granted(1));
    assert!(matches!(
        bench.transition(),
        Some(Transition::BecameLeader { .. })
    ));
}

/// A leader, 2 s after its grant, that still has the grant of an older attempt to release.
fn leading_with_a_release() -> (Bench, Moment) {
    let mut bench = Bench::new();
    let older = bench.request();
    let mut free = record("other", 1, 0.0);
    free.holder = None;
    bench.reply(&older, Reply::Refused(free));
    let bid = bench.request();
    assert_ne!(bid.id.attempt, older.id.attempt, "the older one is spent");
    bench.reply(&older, granted(2));
    bench.reply(&bid, granted(3));
    drop(bench.elected());
    bench.clock.advance(secs(2.0));
    (bench, bid.sent_at)
}

#[test]
fn a_release_of_another_grant_does_not_delay_a_renewal() {
    let (mut bench, led_since) = leading_with_a_release();
    let release = bench.request();
    assert!(is_release_of(&release.call, 2));
    // The store does not answer.
    let renewal = bench.request();
    assert!(matches!(renewal.call, Call::Renew { .. }), "{renewal:?}");
    assert!(renewal.sent_at <= led_since + timing().renew_every());
    bench.reply(&renewal, Reply::RENEWED);
    assert!(is_release_of(&bench.request().call, 2), "tried again");
}

#[test]
fn a_release_that_could_hardly_be_answered_before_a_renewal_comes_after_it() {
    let (mut bench, _) = leading_with_a_release();
    bench.clock.advance(secs(0.9));
    let renewal = bench.request();
    assert!(matches!(renewal.call, Call::Renew { .. }), "{renewal:?}");
    bench.reply(&renewal, Reply::RENEWED);
    assert!(is_release_of(&bench.request().call, 2));
}
