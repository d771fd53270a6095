use std::collections::BTreeSet;

use super::bench::*;
use crate::{
    clock::Clock as _,
    election::{AttemptSource, Call, RecordEvent, Reply, SubscriberState},
    lease::AttemptId,
};

#[test]
fn a_refused_bid_comes_again_after_poll_every_or_the_time_left() {
    for (remaining, least) in [(8.0, 2.0), (1.0, 1.0), (0.001, 0.25)] {
        let mut bench = Bench::new();
        let bid = bench.request();
        bench.reply(&bid, Reply::Refused(record("other", 1, remaining)));
        let next = bench.request();
        let waited = bid.sent_at.until(next.sent_at).as_secs_f64();
        assert!(
            (least..=least + 0.4).contains(&waited),
            "{remaining}: {waited}"
        );
    }
}

#[test]
fn followers_of_one_leader_do_not_come_at_the_same_instant() {
    let times: BTreeSet<_> = (0..50)
        .map(|seed| {
            let mut bench = Bench::seeded(seed);
            let bid = bench.request();
            bench.reply(&bid, Reply::Refused(record("other", 1, 8.0)));
            bench.request().sent_at
        })
        .collect();
    assert!(times.len() > 45);
}

#[test]
fn errors_back_off_up_to_poll_every() {
    let mut bench = Bench::new();
    let mut last = bench.request();
    for _ in 0..20 {
        bench.reply(&last, Reply::Failed);
        let next = bench.request();
        let waited = last.sent_at.until(next.sent_at).as_secs_f64();
        assert!((0.5..=2.0).contains(&waited), "{waited}");
        last = next;
    }
}

/// Has none for the first three times.
#[derive(Debug)]
struct DryAttempts(u32);

impl AttemptSource for DryAttempts {
    fn draw(&mut self) -> Option<AttemptId> {
        self.0 += 1;
        (self.0 > 3).then_some(AttemptId::new(7))
    }
}

#[test]
fn a_bid_for_which_no_attempt_can_be_drawn_is_tried_again_later() {
    let mut bench = Bench::with_attempts(Box::new(DryAttempts(0)));
    let begun = bench.clock.now();
    for _ in 0..3 {
        assert!(bench.poll().is_none());
        let next = bench.election.poll_timeout().unwrap();
        assert!(
            bench.clock.now() + secs(0.5) <= next,
            "no more often than a bid that failed"
        );
        bench.clock.advance_to(next);
    }
    let Call::Acquire(bid) = bench.request().call else {
        panic!("no bid");
    };
    assert_eq!(bid.attempt, AttemptId::new(7));
    assert!(begun.until(bench.clock.now()) <= secs(6.0));
}

#[test]
fn a_candidate_replaces_an_attempt_that_is_spent() {
    let mut bench = Bench::new();
    let bid = bench.request();
    // An operator freed the grant whose reply was lost.
    let mut freed = record("me", 1, 0.0);
    freed.holder = None;
    bench.reply(&bid, Reply::Refused(freed));
    let (Call::Acquire(first), Call::Acquire(second)) = (bid.call, bench.request().call) else {
        panic!("not bids");
    };
    assert_ne!(first.attempt, second.attempt);
}

#[test]
fn a_store_event_brings_the_next_bid_forward_but_not_below_the_minimum_interval() {
    let mut bench = Bench::new();
    let bid = bench.request();
    bench.reply(&bid, Reply::Refused(record("other", 1, 8.0)));
    for _ in 0..100 {
        bench
            .election
            .handle_change(RecordEvent::Changed, bench.clock.now());
    }
    let next = bench.request();
    let waited = bid.sent_at.until(next.sent_at).as_secs_f64();
    assert!((0.25..=0.5).contains(&waited), "{waited}");
}

#[test]
fn renewals_of_one_process_do_not_stay_in_step() {
    let times: BTreeSet<_> = (0..50)
        .map(|seed| {
            let mut bench = Bench::seeded(seed);
            drop(bench.win(1));
            let renewal = bench.request();
            assert!(bench.clock.now() <= renewal.sent_at + secs(10.0 / 3.0));
            renewal.sent_at
        })
        .collect();
    assert!(times.len() > 45);
}

#[test]
fn observing_a_lock_that_contends_neither_spins_nor_doubles_the_requests() {
    let mut bench = Bench::new();
    bench.election.observe(true);
    let (mut bids, mut reads) = (0, 0);
    for _ in 0..50 {
        let request = bench.request();
        match request.call {
            Call::Acquire(_) => {
                bids += 1;
                bench.reply(&request, Reply::Refused(record("other", 1, 8.0)));
            }
            _ => {
                reads += 1;
                bench.reply(&request, Reply::Read);
            }
        }
        let next = bench.election.poll_timeout().unwrap();
        assert!(next > bench.clock.now(), "due at once, for ever");
    }
    assert_eq!((bids, reads), (50, 0));
}

#[test]
fn a_leader_renews_upon_events_at_most_four_times_per_renew_every() {
    let (mut bench, _) = Bench::leading();
    let mut renewals = 0;
    for _ in 0..400 {
        (bench.election).handle_change(RecordEvent::Changed, bench.clock.now());
        if let Some(renewal) = bench.poll() {
            renewals += 1;
            bench.reply(&renewal, Reply::RENEWED);
        }
        bench.advance(0.025);
    }
    // 10 s, renew_every 3.33 s.
    assert!((10..=12).contains(&renewals), "{renewals} renewals");
}

#[test]
fn a_leader_does_not_renew_because_events_were_lost_or_somebody_acquired() {
    let (mut bench, _) = Bench::leading();
    for _ in 0..100 {
        for event in [RecordEvent::Lost, RecordEvent::Acquired { ttl: secs(10.0) }] {
            bench.election.handle_change(event, bench.clock.now());
        }
        bench.advance(0.025);
        assert!(bench.poll().is_none());
    }
}

/// The simulation found 22 requests in a ttl (seeds 3, 476 and 195,419 of their time).
#[test]
fn a_store_that_refuses_at_once_is_asked_at_most_four_times_as_often_as_one_that_answers() {
    for seed in 0..50 {
        let mut bench = Bench::seeded(seed);
        let mut sent = Vec::new();
        while sent.len() < 300 {
            while bench.transition().is_some() {}
            bench.subscriber_state(SubscriberState {
                present: true,
                acknowledged: true,
                clean: true,
            });
            let Some(request) = bench.poll() else {
                let next = bench.election.poll_timeout().unwrap();
                bench.clock.advance_to(next);
                bench.election.handle_timeout(next);
                continue;
            };
            sent.push(request.sent_at);
            // Now and then it leads, so that renewals and releases are refused as well.
            let wins = matches!(request.call, Call::Acquire(_)) && sent.len() % 7 == 0;
            let reply = if wins {
                granted(sent.len() as u64)
            } else {
                Reply::Failed
            };
            bench.reply(&request, reply);
        }
        let most = 4 * 10 / 2 + 1;
        for window in sent.windows(most + 1) {
            let took = window[0].until(window[most]);
            assert!(
                took >= timing().ttl(),
                "seed {seed}: {} in {took:?}",
                most + 1
            );
        }
    }
}
