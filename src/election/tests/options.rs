use super::bench::*;
use crate::{
    clock::Clock as _,
    election::{Call, HoldOptions, Reply, Request, StepDownOutcome},
    leadership::{Leadership, Reason},
    lease::ReleaseTarget,
};

fn longest(seconds: f64) -> Bench {
    Bench::with(HoldOptions {
        max_hold: Some(secs(seconds)),
        ..HoldOptions::default()
    })
}

/// Gives a leadership back before its end.
fn given_back(bench: &mut Bench) -> Option<Request> {
    bench.election.shutdown(bench.clock.now());
    assert_eq!(bench.ended(), Some(Reason::Shutdown));
    bench.subscriber_state(READY);
    bench.poll()
}

fn is_reentrant(bid: &Request) -> bool {
    matches!(&bid.call, Call::Acquire(bid) if bid.reentrant)
}

/// Answers the renewals, as many as there are, until the leadership ends.
fn answered_to_the_end(bench: &mut Bench, leadership: &Leadership, answer: &Reply) -> usize {
    let mut renewals = 0;
    while leadership.is_current() {
        if let Some(request) = bench.poll() {
            assert!(matches!(request.call, Call::Renew { .. }), "{request:?}");
            renewals += 1;
            bench.reply(&request, answer.clone());
        }
        let next = bench.election.poll_timeout().unwrap();
        assert!(
            bench.clock.now() < next,
            "nothing to do is no reason to turn in circles"
        );
        bench.clock.advance_to(next);
        bench.election.handle_timeout(next);
    }
    renewals
}

#[test]
fn a_hold_ends_at_max_hold_even_if_renewals_succeed() {
    let mut bench = longest(17.0);
    let leadership = bench.win(1);
    let since = bench.clock.now();
    let renewals = answered_to_the_end(&mut bench, &leadership, &Reply::RENEWED);
    assert_eq!(bench.clock.now(), since + secs(17.0));
    assert_eq!(bench.ended(), Some(Reason::MaxHold));
    // After 3 to 3.33 s each; that of 8 s and later reaches past the end.
    assert_eq!(renewals, 3);
}

#[test]
fn a_hold_whose_renewals_fail_ends_at_its_deadline_before_max_hold() {
    let mut bench = longest(17.0);
    let leadership = bench.win(1);
    let since = bench.clock.now();
    answered_to_the_end(&mut bench, &leadership, &Reply::Failed);
    assert_eq!(bench.clock.now(), since + secs(9.0));
    assert_eq!(bench.ended(), Some(Reason::StoreLost));
}

#[test]
fn a_lease_released_before_min_hold_is_kept_from_others_by_a_last_renewal() {
    let mut bench = Bench::with(HoldOptions {
        min_hold: secs(4.0),
        ..HoldOptions::default()
    });
    let leadership = bench.win(1);
    bench.advance(1.0);
    let keep = given_back(&mut bench).expect("a last renewal");
    assert!(!leadership.is_current(), "it ends before the store is told");
    assert!(
        matches!(&keep.call, Call::Renew { lease: held, ttl } if *held == lease(1) && *ttl == secs(3.0))
    );
    bench.reply(&keep, Reply::RENEWED);
    assert_eq!(bench.election.outcome(), StepDownOutcome::Released);
    assert!(bench.election.is_shut_down());
}

#[test]
fn a_last_renewal_that_fails_is_retried_for_the_time_left() {
    let mut bench = Bench::with(HoldOptions {
        min_hold: secs(4.0),
        min_ttl: secs(2.0),
        ..HoldOptions::default()
    });
    bench.win(1);
    let keep = given_back(&mut bench).unwrap();
    bench.advance(1.5);
    bench.reply(&keep, Reply::Failed);
    let again = bench.request();
    assert!(
        matches!(&again.call, Call::Renew { ttl, .. } if *ttl == secs(2.0)),
        "no less than the store can keep: {again:?}"
    );
    bench.advance(2.0);
    bench.reply(&again, Reply::Unknown);
    let last = bench.request();
    assert!(
        matches!(&last.call, Call::Release(ReleaseTarget::Lease(held), _) if *held == lease(1)),
        "{last:?}"
    );
}

#[test]
fn a_lease_held_for_min_hold_is_released_at_once() {
    let mut bench = Bench::with(HoldOptions {
        min_hold: secs(2.0),
        ..HoldOptions::default()
    });
    bench.win(1);
    bench.advance(2.0);
    let release = given_back(&mut bench).unwrap();
    assert!(matches!(release.call, Call::Release(..)), "{release:?}");
}

#[test]
fn a_lease_of_the_own_id_is_refused_once_before_a_reentrant_bid() {
    let mut bench = Bench::with(HoldOptions {
        reentrant: true,
        ..HoldOptions::default()
    });
    let first = bench.request();
    assert!(!is_reentrant(&first));
    bench.reply(&first, Reply::Refused(record("me", 4, 9.0)));
    let again = bench.poll().expect("at once");
    assert!(is_reentrant(&again));
    bench.reply(&again, Reply::Refused(record("other", 5, 9.0)));
    let waiting = bench.request();
    assert!(!is_reentrant(&waiting), "somebody else has it now");
    bench.reply(&waiting, granted(6));
    assert!(bench.transition().is_some());
}

#[test]
fn a_refused_reentrant_bid_waits_before_the_next() {
    let mut bench = Bench::with(HoldOptions {
        reentrant: true,
        ..HoldOptions::default()
    });
    let mut closing = record("me", 4, 9.0);
    closing.closing = true;
    for _ in 0..2 {
        let bid = bench.request();
        bench.reply(&bid, Reply::Refused(closing.clone()));
    }
    assert!(bench.poll().is_none(), "a third time at once");
}

#[test]
fn a_reentered_lease_is_not_released_when_no_caller_waits() {
    let mut bench = Bench::with(HoldOptions {
        reentrant: true,
        ..HoldOptions::default()
    });
    let first = bench.request();
    bench.reply(&first, Reply::Refused(record("me", 4, 9.0)));
    let again = bench.poll().unwrap();
    bench.election.shutdown(bench.clock.now());
    bench.reply(&again, granted(5));
    // Another mutex of this owner has locked it, and believes in it.
    assert!(bench.poll().is_none());
    assert!(bench.election.is_shut_down());
}

#[test]
fn without_the_option_the_own_id_excludes_itself() {
    let mut bench = Bench::new();
    let first = bench.request();
    bench.reply(&first, Reply::Refused(record("me", 4, 9.0)));
    assert!(bench.poll().is_none());
    assert!(!is_reentrant(&bench.request()));
}

#[test]
fn a_last_renewal_is_retried_until_the_lease_expires() {
    let mut bench = Bench::with(HoldOptions {
        min_hold: secs(60.0),
        ..HoldOptions::default()
    });
    bench.win(1);
    let since = bench.clock.now();
    let mut keep = given_back(&mut bench).unwrap();
    while since.until(bench.clock.now()) < secs(7.0) {
        bench.reply(&keep, Reply::Failed);
        keep = bench.request();
        assert!(matches!(keep.call, Call::Renew { .. }), "{keep:?}");
    }
    bench.reply(&keep, Reply::RENEWED);
    assert_eq!(bench.election.outcome(), StepDownOutcome::Released);
    assert!(bench.election.is_shut_down());
}

#[test]
fn a_last_renewal_that_the_store_refuses_is_not_retried() {
    let mut bench = Bench::with(HoldOptions {
        min_hold: secs(60.0),
        ..HoldOptions::default()
    });
    bench.win(1);
    let keep = given_back(&mut bench).unwrap();
    bench.reply(&keep, Reply::Lost(None));
    assert_eq!(bench.election.outcome(), StepDownOutcome::LeftToExpire);
    assert!(bench.election.is_shut_down());
}
