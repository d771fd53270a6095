use std::time::Duration;

use super::bench::*;
use crate::{
    clock::Clock as _,
    election::{Call, ElectionState, HoldOptions, IdleReason, Reply},
    leadership::Reason,
    lease::EndReason,
};

/// Resigns, and returns for how long the candidate then holds off.
fn resign(bench: &mut Bench, hold_off: Duration) -> Duration {
    bench.election.resign(hold_off, bench.clock.now());
    assert_eq!(bench.ended(), Some(Reason::Resigned));
    bench.subscriber_state(READY);
    let release = bench.request();
    let Call::Release(_, reason) = &release.call else {
        panic!("{release:?}");
    };
    assert_eq!(*reason, Some(EndReason::Resigned));
    bench.reply(&release, Reply::Released { was_held: true });
    let state = bench.election.state(bench.clock.now());
    let ElectionState::Idle(IdleReason::HeldOff { remaining }) = state else {
        panic!("{state}");
    };
    remaining
}

#[test]
fn the_hold_off_doubles_with_each_resignation_in_a_row_up_to_eight_times() {
    let mut bench = Bench::new();
    for (token, factor) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 8)] {
        drop(bench.win(token));
        bench.advance(1.0);
        assert_eq!(resign(&mut bench, secs(30.0)), secs(30.0) * factor);
    }
}

#[test]
fn a_ttl_led_resets_the_hold_off_whatever_ended_that_term() {
    let mut bench = Bench::new();
    for token in [1, 2] {
        drop(bench.win(token));
        resign(&mut bench, secs(30.0));
    }
    drop(bench.win(3));
    for _ in 0..4 {
        let renewal = bench.request();
        bench.reply(&renewal, Reply::RENEWED);
    }
    let renewal = bench.request();
    bench.reply(&renewal, Reply::Lost(None));
    assert_eq!(bench.ended(), Some(Reason::StoreLost));
    bench.subscriber_state(READY);
    drop(bench.win(4));
    assert_eq!(resign(&mut bench, secs(30.0)), secs(30.0));
}

#[test]
fn the_lease_is_released_when_the_subscribers_have_stopped() {
    let (mut bench, leadership) = Bench::leading();
    bench.election.resign(secs(5.0), bench.clock.now());
    drop(bench.transition());
    bench.subscriber_state(BUSY);
    assert!(matches!(bench.request().call, Call::Renew { .. }));
    assert!(leadership.is_current());
}

#[test]
fn who_does_not_lead_and_who_holds_a_mutex_cannot_resign() {
    let mut bench = Bench::new();
    bench.election.resign(secs(5.0), bench.clock.now());
    let now = bench.clock.now();
    assert_eq!(bench.election.state(now), ElectionState::Standby);
    let mut bench = Bench::with(HoldOptions {
        is_mutex: true,
        ..HoldOptions::default()
    });
    let leadership = bench.win(1);
    bench.election.resign(secs(5.0), bench.clock.now());
    assert!(bench.transition().is_none() && leadership.is_current());
}

#[test]
fn an_endless_hold_off_does_not_overflow() {
    let mut bench = Bench::new();
    for token in [1, 2] {
        drop(bench.win(token));
        assert!(resign(&mut bench, Duration::MAX) > secs(1e9));
        bench.election.resume(bench.clock.now());
    }
}
