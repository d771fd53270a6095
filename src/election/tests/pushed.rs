//! Followers of a store that pushes its changes.

use super::bench::*;
use crate::{
    clock::Clock as _,
    election::{RecordEvent, Reply},
    lease::{Note, PauseRecord},
    mutants::{self, Mutant},
};

/// A follower whose last look found the lease of another candidate, with this many seconds left.
fn waiting(seed: u64, left: f64) -> Bench {
    let mut bench = Bench::seeded(seed);
    bench.subscriber_state(READY);
    bench.election.set_pushed(true, bench.clock.now());
    let bid = bench.request();
    bench.reply(&bid, Reply::Refused(record("other", 1, left)));
    bench
}

/// How long the next request is away, in seconds.
fn next_after(bench: &mut Bench) -> f64 {
    let now = bench.clock.now();
    now.until(bench.request().sent_at).as_secs_f64()
}

#[test]
fn a_waiting_follower_looks_at_most_twice_in_a_ttl() {
    for seed in 0..20 {
        let mut bench = waiting(seed, 10.0);
        let begun = bench.clock.now();
        let mut looks = 0;
        // The holder renews every 3.3 s, so each look finds at least 6.7 s left.
        while begun.until(bench.clock.now()) < secs(1000.0) {
            let look = bench.request();
            bench.reply(&look, Reply::Refused(record("other", 1, 6.7)));
            looks += 1;
        }
        assert!(looks <= 200, "{looks} looks in 100 ttls");
    }
}

#[test]
fn an_event_wakes_it_within_half_a_poll() {
    let mut looks = Vec::new();
    for seed in 0..50 {
        let mut bench = waiting(seed, 10.0);
        bench.advance(1.0);
        let now = bench.clock.now();
        bench.election.handle_change(RecordEvent::Changed, now);
        looks.push(next_after(&mut bench));
    }
    assert!(looks.iter().all(|after| *after <= 1.0), "{looks:?}");
    let early = looks.iter().filter(|after| **after <= 0.02).count();
    assert!(early <= 12, "{early} of 50 within 20 ms");
}

/// How long a follower waits after a look during which an event came, in seconds.
fn wait_after_an_event_during_a_look() -> f64 {
    let mut bench = waiting(1, 0.5);
    let look = bench.request();
    let now = bench.clock.now();
    bench.election.handle_change(RecordEvent::Changed, now);
    bench.reply(&look, Reply::Refused(record("other", 1, 10.0)));
    next_after(&mut bench)
}

#[test]
fn an_event_during_a_look_repeats_the_look() {
    assert!(wait_after_an_event_during_a_look() <= 1.25);
    let fault = Some(Mutant::EventDuringLookForgotten);
    let forgotten = mutants::with(fault, wait_after_an_event_during_a_look);
    assert!(forgotten >= 10.0, "the fault is not caught: {forgotten}");
}

#[test]
fn it_does_not_look_while_another_has_just_acquired() {
    let mut bench = waiting(1, 1.0);
    let now = bench.clock.now();
    let acquired = RecordEvent::Acquired { ttl: secs(10.0) };
    bench.election.handle_change(acquired, now);
    let after = next_after(&mut bench);
    assert!((10.0..=10.5).contains(&after), "{after}");
}

#[test]
fn it_polls_again_within_half_a_poll_once_the_store_no_longer_pushes() {
    for seed in 0..20 {
        let mut bench = waiting(seed, 10.0);
        let now = bench.clock.now();
        bench.election.set_pushed(false, now);
        assert!(next_after(&mut bench) <= 1.0);
    }
}

#[test]
fn the_spread_shrinks_with_the_races_that_it_wins() {
    let mut bench = waiting(3, 10.0);
    for token in 2..14 {
        bench.advance(2.0);
        let now = bench.clock.now();
        bench.election.handle_change(RecordEvent::Changed, now);
        let bid = bench.request();
        bench.reply(&bid, granted(token));
        bench.transition().unwrap();
        let now = bench.clock.now();
        bench.election.step_down(secs(0.0), now);
        bench.transition().unwrap();
        bench.subscriber_state(READY);
        let release = bench.request();
        bench.reply(&release, Reply::Released { was_held: true });
        let bid = bench.request();
        bench.reply(&bid, Reply::Refused(record("other", token, 10.0)));
    }
    bench.advance(2.0);
    let now = bench.clock.now();
    bench.election.handle_change(RecordEvent::Changed, now);
    assert!(next_after(&mut bench) <= 0.005);
}

#[test]
fn the_candidate_that_is_to_lead_next_does_not_spread_its_looks() {
    for seed in 0..20 {
        let mut bench = Bench::seeded(seed);
        bench.subscriber_state(READY);
        bench.election.set_pushed(true, bench.clock.now());
        let bid = bench.request();
        let mut held = record("other", 1, 10.0);
        held.hand_over = Some(name("me"));
        bench.reply(&bid, Reply::Refused(held));
        bench.advance(1.0);
        let now = bench.clock.now();
        bench.election.handle_change(RecordEvent::Changed, now);
        assert!(next_after(&mut bench) <= 0.001);
    }
}

/// The holder is to hand over to this candidate, which the instruction has just woken in vain.
fn woken_by_the_instruction() -> Bench {
    let mut bench = waiting(1, 10.0);
    let now = bench.clock.now();
    bench.election.handle_change(RecordEvent::Changed, now);
    let in_vain = bench.request();
    let mut held = record("other", 1, 10.0);
    held.hand_over = Some(name("me"));
    bench.reply(&in_vain, Reply::Refused(held));
    bench
}

#[test]
fn the_instruction_itself_does_not_delay_the_candidate_that_is_to_lead_next() {
    let mut bench = woken_by_the_instruction();
    // The release.
    let now = bench.clock.now();
    bench.election.handle_change(RecordEvent::Changed, now);
    assert!(next_after(&mut bench) <= 0.001);
}

#[test]
fn the_candidate_that_is_to_lead_next_keeps_the_floor_while_paused() {
    let mut bench = woken_by_the_instruction();
    let now = bench.clock.now();
    bench.election.handle_change(RecordEvent::Changed, now);
    let paused = bench.request();
    let mut record = record("other", 1, 10.0);
    record.hand_over = Some(name("me"));
    record.pause = Some(PauseRecord {
        note: Note::default(),
        since: std::time::SystemTime::UNIX_EPOCH,
    });
    bench.reply(&paused, Reply::Refused(record));
    let now = bench.clock.now();
    bench.election.handle_change(RecordEvent::Changed, now);
    assert!(next_after(&mut bench) >= 0.2);
}

#[test]
fn a_store_that_fails_is_not_asked_at_once_by_the_candidate_that_is_to_lead_next() {
    let mut bench = woken_by_the_instruction();
    let now = bench.clock.now();
    bench.election.handle_change(RecordEvent::Changed, now);
    let fails = bench.request();
    bench.reply(&fails, Reply::Failed);
    let now = bench.clock.now();
    bench.election.handle_change(RecordEvent::Changed, now);
    assert!(next_after(&mut bench) > 0.1);
}
