//! What an operator asks of the holder, and of those who bid.

use super::bench::*;
use crate::{
    clock::Clock as _,
    election::{Call, HoldOptions, RecordEvent, Reply},
    leadership::Reason,
    lease::{EndReason, FencingToken, Note, PauseRecord, ReleaseTarget, StandingInstruction},
    mutants::{self, Mutant},
};

fn hand_over() -> StandingInstruction {
    let to = name("next");
    StandingInstruction::HandOver { to }
}

fn pause() -> StandingInstruction {
    let note = Note::new("upgrade").unwrap();
    StandingInstruction::Pause { note }
}

/// Answers the next renewal with this instruction.
fn instruct(bench: &mut Bench, instruction: StandingInstruction) {
    let renewal = bench.request();
    let instruction = Some(instruction);
    bench.reply(&renewal, Reply::Renewed { instruction });
}

#[test]
fn rule_15_a_leader_obeys_when_its_subscribers_have_acknowledged() {
    let handed_over = Reason::HandedOver { to: name("next") };
    for (instruction, reason, noted) in [
        (hand_over(), handed_over, EndReason::HandedOver),
        (pause(), Reason::Paused, EndReason::Paused),
    ] {
        let (mut bench, leadership) = Bench::leading();
        instruct(&mut bench, instruction);
        assert_eq!(bench.ended(), Some(reason));
        bench.subscriber_state(BUSY);
        assert!(leadership.is_current(), "while the work stops");
        // It renews while the subscribers stop.
        let renewal = bench.request();
        assert!(matches!(renewal.call, Call::Renew { .. }));
        bench.reply(&renewal, Reply::RENEWED);
        bench.subscriber_state(READY);
        assert!(!leadership.is_current());
        let release = bench.request();
        let Call::Release(ReleaseTarget::Lease(_), why) = release.call else {
            panic!("no release: {release:?}");
        };
        assert_eq!(why, Some(noted));
    }
}

#[test]
fn rule_15_a_mutex_goes_on() {
    for instruction in [hand_over(), pause()] {
        let mut bench = Bench::with(HoldOptions {
            is_mutex: true,
            ..HoldOptions::default()
        });
        let leadership = bench.win(1);
        instruct(&mut bench, instruction);
        assert_eq!(bench.ended(), None);
        assert!(leadership.is_current());
    }
}

#[test]
fn a_hand_over_to_the_leader_itself_changes_nothing() {
    let (mut bench, leadership) = Bench::leading();
    let to = name("me");
    instruct(&mut bench, StandingInstruction::HandOver { to });
    assert_eq!(bench.ended(), None);
    assert!(leadership.is_current());
}

#[test]
fn after_a_hand_over_it_lets_everybody_bid_before_it_does() {
    let (mut bench, _) = Bench::leading();
    instruct(&mut bench, hand_over());
    bench.ended().unwrap();
    bench.subscriber_state(READY);
    let release = bench.request();
    bench.reply(&release, Reply::Released { was_held: true });
    let now = bench.clock.now();
    let waited = now.until(bench.request().sent_at).as_secs_f64();
    assert!(waited >= 2.0, "{waited}");
}

#[test]
fn those_who_are_passed_over_wait_a_poll_and_then_say_so() {
    let mut bench = Bench::new();
    let bid = bench.request();
    let mut free = record("other", 7, 0.0);
    (free.holder, free.hand_over) = (None, Some(name("next")));
    bench.reply(&bid, Reply::Refused(free));
    let now = bench.clock.now();
    let again = bench.request();
    let waited = now.until(again.sent_at).as_secs_f64();
    assert!(waited >= 2.0, "{waited}");
    let Call::Acquire(bid) = again.call else {
        panic!("no bid");
    };
    assert_eq!(bid.waited.map(FencingToken::get), Some(7));
}

#[test]
fn no_event_shortens_the_time_in_which_the_named_candidate_bids() {
    for event in [RecordEvent::Changed, RecordEvent::Lost] {
        let mut bench = Bench::new();
        bench.election.set_pushed(true, bench.clock.now());
        let bid = bench.request();
        let mut free = record("other", 7, 0.0);
        (free.holder, free.hand_over) = (None, Some(name("next")));
        bench.reply(&bid, Reply::Refused(free));
        let now = bench.clock.now();
        bench.election.handle_change(event, now);
        bench.election.set_pushed(false, now);
        let waited = now.until(bench.request().sent_at).as_secs_f64();
        assert!(waited >= 2.0, "{waited} after {event:?}");
    }
}

/// An outage from 4 s to 9.2 s. A lease with a ttl of 10 s and a margin of 1 s, renewed every 3.3 s, survives it.
fn survives_an_outage() -> bool {
    let (mut bench, leadership) = Bench::leading();
    let begun = bench.clock.now();
    while begun.until(bench.clock.now()) < secs(11.0) && leadership.is_current() {
        let renewal = bench.request();
        let at = begun.until(bench.clock.now());
        let down = (secs(4.0)..secs(9.2)).contains(&at);
        let reply = if down { Reply::Failed } else { Reply::RENEWED };
        bench.reply(&renewal, reply);
    }
    leadership.is_current()
}

#[test]
fn rule_16_the_fault_of_a_renewal_that_waits_for_a_batch_loses_the_lease() {
    assert!(survives_an_outage());
    let deferred = mutants::with(Some(Mutant::RenewalDeferred), || {
        std::panic::catch_unwind(survives_an_outage)
    });
    assert!(!deferred.unwrap_or(false));
}

#[test]
fn a_bid_that_a_pause_refuses_is_given_back_and_sent_again_after_a_poll() {
    let mut bench = Bench::new();
    let lost = bench.request();
    bench.reply(&lost, Reply::Unknown);
    let again = bench.request();
    let mut paused = record("me", 1, 9.0);
    paused.pause = Some(PauseRecord {
        note: Note::default(),
        since: std::time::SystemTime::UNIX_EPOCH,
    });
    let now = bench.clock.now();
    bench.reply(&again, Reply::Refused(paused));
    let Call::Acquire(bid) = again.call else {
        panic!("no bid");
    };
    let given_back = bench.request();
    let Call::Release(ReleaseTarget::Attempt { attempt, .. }, None) = given_back.call else {
        panic!("not given back: {given_back:?}");
    };
    assert_eq!(attempt, bid.attempt);
    bench.reply(&given_back, Reply::Released { was_held: true });
    let next = bench.request();
    let waited = now.until(next.sent_at).as_secs_f64();
    assert!((2.0..=2.4).contains(&waited), "{waited}");
}

#[test]
fn rule_16_a_lease_joins_others_from_half_of_renew_every_on() {
    let (mut bench, _) = Bench::leading();
    let early = bench.election.early_renewal().unwrap();
    let from = bench.clock.now().until(early.from).as_secs_f64();
    assert!((1.6..=1.7).contains(&from) && !early.is_retry, "{early:?}");
    bench.advance(1.6);
    bench.election.renew_early(bench.clock.now());
    assert!(bench.poll().is_none(), "too early");
    bench.advance(0.1);
    bench.election.renew_early(bench.clock.now());
    let renewal = bench.poll().unwrap();
    assert!(matches!(renewal.call, Call::Renew { .. }));
    assert_eq!(bench.election.early_renewal(), None, "it is being renewed");
    bench.reply(&renewal, Reply::Failed);
    assert!(bench.election.early_renewal().unwrap().is_retry);
}
