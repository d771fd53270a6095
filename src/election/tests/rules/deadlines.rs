//! Rules 1, 2, 9 and 10: when a leadership ends, and what does not end it.

use crate::{
    clock::Clock as _,
    election::{Call, ElectionState, RecordEvent, Reply, Transition, tests::bench::*},
    leadership::Reason,
};

#[test]
fn rule_1_the_deadline_counts_from_when_the_request_was_sent() {
    let mut bench = Bench::new();
    let bid = bench.request();
    bench.advance(1.5);
    bench.reply(&bid, granted(1));
    let Some(Transition::BecameLeader { leadership }) = bench.transition() else {
        panic!("not leading");
    };
    assert_eq!(leadership.remaining(), secs(10.0 - 1.0 - 1.5));
    let renewal = bench.request();
    bench.advance(1.5);
    bench.reply(&renewal, Reply::RENEWED);
    assert_eq!(leadership.remaining(), secs(7.5));
}

#[test]
fn rule_2_a_hung_renewal_does_not_delay_the_deadline() {
    let (mut bench, leadership) = Bench::leading();
    let deadline = bench.clock.now() + secs(9.0);
    while bench
        .election
        .poll_timeout()
        .is_some_and(|next| next < deadline)
    {
        let next = bench.election.poll_timeout().unwrap();
        bench.clock.advance_to(next);
        bench.election.handle_timeout(next);
        // Sent, and never answered.
        drop(bench.poll());
        assert!(leadership.is_current());
    }
    assert_eq!(bench.election.poll_timeout(), Some(deadline));
    bench.clock.advance_to(deadline);
    bench.election.handle_timeout(deadline);
    assert_eq!(bench.ended(), Some(Reason::StoreLost));
    assert!(!leadership.is_current());
}

#[test]
fn rule_2_every_input_checks_the_deadline_before_anything_else() {
    type Input = fn(&mut Bench, &crate::election::Request);
    let inputs: [Input; 7] = [
        |bench, renewal| bench.reply(renewal, Reply::RENEWED),
        |bench, renewal| bench.reply(renewal, Reply::Unknown),
        |bench, _| {
            bench
                .election
                .handle_change(RecordEvent::Changed, bench.clock.now());
        },
        |bench, _| bench.election.step_down(secs(1.0), bench.clock.now()),
        |bench, _| bench.election.pause(bench.clock.now()),
        |bench, _| bench.subscriber_state(READY),
        |bench, _| drop(bench.poll()),
    ];
    for input in inputs {
        let (mut bench, leadership) = Bench::leading();
        let renewal = bench.request();
        // The process was frozen, so no call came in time.
        bench.clock.advance(secs(20.0));
        input(&mut bench, &renewal);
        assert_eq!(bench.ended(), Some(Reason::StoreLost));
        assert!(!leadership.is_current());
        assert_ne!(
            bench.election.state(bench.clock.now()),
            ElectionState::Leading
        );
    }
}

#[test]
fn rule_9_a_lapsed_lease_is_not_renewed() {
    let (mut bench, _) = Bench::leading();
    bench.clock.advance(secs(9.0));
    assert!(bench.poll().is_none(), "no renewal at the deadline");
    let (mut bench, leadership) = Bench::leading();
    let renewal = bench.request();
    bench.clock.advance(secs(9.0));
    bench.reply(&renewal, Reply::RENEWED);
    assert!(
        !leadership.is_current(),
        "a reply after the deadline does not revive it"
    );
}

#[test]
fn rule_9_a_lapse_that_only_a_reader_saw_ends_the_term() {
    let (mut bench, leadership) = Bench::leading();
    let renewal = bench.request();
    let before = bench.clock.now();
    bench.clock.advance(secs(9.0));
    assert!(!leadership.is_current());
    // The driver read its clock before the reader did.
    bench
        .election
        .handle_reply(renewal.id, renewal.sent_at, Reply::RENEWED, before);
    assert!(bench.ended().is_some());
}

#[test]
fn rule_10_an_outage_shorter_than_the_deadline_changes_nothing() {
    // A store that hangs for half the ttl, from any moment of a term, for many random paces.
    for seed in 0..200 {
        let mut bench = Bench::seeded(seed);
        let leadership = bench.win(1);
        let start = bench.clock.now();
        let hang = start + secs(seed as f64 * 0.05)..start + secs(seed as f64 * 0.05 + 5.0);
        while bench.clock.now() < start + secs(40.0) {
            let request = bench.request();
            let hangs = hang.contains(&bench.clock.now());
            if !hangs {
                bench.advance(0.02);
                bench.reply(&request, Reply::RENEWED);
            }
            assert!(bench.transition().is_none(), "seed {seed}");
        }
        assert!(leadership.is_current());
    }
}

#[test]
fn rule_10_errors_are_retried_within_the_deadline() {
    let (mut bench, leadership) = Bench::leading();
    let mut tries = 0;
    loop {
        let request = bench.request();
        if !matches!(request.call, Call::Renew { .. }) || bench.transition().is_some() {
            break;
        }
        tries += 1;
        bench.reply(&request, Reply::Failed);
        if bench.clock.now() > leadership_end(&bench) {
            break;
        }
        if tries == 8 {
            let request = bench.request();
            bench.reply(&request, Reply::RENEWED);
            break;
        }
    }
    assert_eq!(tries, 8);
    assert!(leadership.is_current());
    assert!(bench.transition().is_none());
}

fn leadership_end(bench: &Bench) -> crate::clock::Moment {
    bench.election.confirmed_at().unwrap() + secs(9.0)
}
