//! What holds for every [`Timing`] that can be built.

use std::time::Duration;

use proptest::prelude::*;

use super::bench::*;
use crate::{
    clock::{Clock as _, Moment},
    election::{Call, Reply},
    timing::{Timing, TimingBuilder},
};

fn nanos(nanos: std::ops::RangeInclusive<u64>) -> impl Strategy<Value = Duration> {
    nanos.prop_map(Duration::from_nanos)
}

/// Times that can be built, each set or left to follow from the ttl.
pub(super) fn accepted_timings() -> impl Strategy<Value = Timing> {
    const MILLI: u64 = 1_000_000;
    let times = (10 * MILLI..=60_000 * MILLI).prop_flat_map(|ttl| {
        let time = || proptest::option::of(nanos(MILLI..=ttl));
        (nanos(ttl..=ttl), time(), time(), time(), time())
    });
    times.prop_filter_map("the times do not go together", |times| {
        let (ttl, renew_every, poll_every, margin, call_timeout) = times;
        let set = |builder: TimingBuilder,
                   time: Option<Duration>,
                   set: fn(TimingBuilder, Duration) -> TimingBuilder| {
            time.map_or(builder, |time| set(builder, time))
        };
        let builder = Timing::builder().ttl(ttl);
        let builder = set(builder, renew_every, TimingBuilder::renew_every);
        let builder = set(builder, poll_every, TimingBuilder::poll_every);
        let builder = set(builder, margin, TimingBuilder::margin);
        let builder = set(builder, call_timeout, TimingBuilder::call_timeout);
        builder.build().ok()
    })
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    /// Each renewal is due by the rule alone: the one before it was answered at once.
    #[test]
    fn one_renewal_that_is_answered_within_call_timeout_keeps_the_lease(
        timing in accepted_timings(),
        seed: u64,
        slow in 0.0..1.0,
    ) {
        let mut bench = Bench::timed(timing, seed);
        let leadership = bench.win(1);
        for number in 0..4 {
            let renewal = bench.request();
            prop_assert!(matches!(renewal.call, Call::Renew { .. }), "{:?}", renewal);
            if number % 2 == 0 {
                let longest = timing.call_timeout() - Duration::from_nanos(1);
                bench.clock.advance(longest.mul_f64(slow));
                bench.election.handle_timeout(bench.clock.now());
            }
            bench.reply(&renewal, Reply::RENEWED);
            prop_assert!(bench.transition().is_none());
            prop_assert!(leadership.is_current());
        }
    }
}

proptest! {
    #![proptest_config(config())]

    /// With a `call_timeout` longer than `renew_every`, each renewal waits for the answer to the one before.
    #[test]
    fn renewals_that_are_all_answered_just_within_call_timeout_keep_the_lease(
        timing in accepted_timings(),
        seed: u64,
    ) {
        let mut bench = Bench::timed(timing, seed);
        let longest = timing.call_timeout() - Duration::from_nanos(1);
        let bid = bench.request();
        bench.clock.advance(longest);
        bench.reply(&bid, granted(1));
        let leadership = bench.elected();
        for _ in 0..4 {
            let renewal = bench.request();
            prop_assert!(matches!(renewal.call, Call::Renew { .. }), "{:?}", renewal);
            bench.clock.advance(longest);
            bench.election.handle_timeout(bench.clock.now());
            bench.reply(&renewal, Reply::RENEWED);
            prop_assert!(bench.transition().is_none());
            prop_assert!(leadership.is_current());
        }
    }
}

/// What a store does with a request.
#[derive(Clone, Copy, Debug)]
enum StoreBehavior {
    Answers,
    RefusesAtOnce,
    NeverAnswers,
}

/// Has an election run on a store that treats each request in one of these ways, for some hundred
/// requests, and gives the moments at which they were sent.
fn requests_sent(timing: Timing, seed: u64, treatments: &[StoreBehavior]) -> Vec<Moment> {
    let mut bench = Bench::timed(timing, seed);
    let mut sent = Vec::new();
    while sent.len() < 200 {
        while bench.transition().is_some() {}
        bench.subscriber_state(READY);
        let Some(request) = bench.poll() else {
            let next = bench.election.poll_timeout().expect("it contends for ever");
            bench.clock.advance_to(next);
            bench.election.handle_timeout(next);
            continue;
        };
        sent.push(request.sent_at);
        let reply = match (treatments[sent.len() % treatments.len()], &request.call) {
            (StoreBehavior::NeverAnswers, _) => continue,
            (StoreBehavior::RefusesAtOnce, _) => Reply::Failed,
            (_, Call::Acquire(_)) => granted(sent.len() as u64),
            (_, Call::Renew { .. }) => Reply::RENEWED,
            (_, Call::Release(..)) => Reply::Released { was_held: true },
            (_, Call::Read(_)) => Reply::Read,
        };
        bench.reply(&request, reply);
        // Now and then it steps down, so that it releases, too.
        if sent.len() % 17 == 0 {
            bench.election.step_down(Duration::ZERO, bench.clock.now());
        }
    }
    sent
}

proptest! {
    #![proptest_config(config())]

    /// Besides, the first and the last retry of a renewal are never delayed.
    #[test]
    fn no_store_is_asked_more_than_four_times_as_often_as_one_that_answers(
        timing in accepted_timings(),
        seed: u64,
        treatments in proptest::collection::vec(
            prop_oneof![
                Just(StoreBehavior::Answers),
                Just(StoreBehavior::RefusesAtOnce),
                Just(StoreBehavior::NeverAnswers),
            ],
            1..12,
        ),
    ) {
        let every = timing.poll_every().min(timing.renew_every());
        let most = (timing.ttl().as_nanos() * 4 / every.as_nanos()) as usize + 2;
        let sent = requests_sent(timing, seed, &treatments);
        for window in sent.windows(most + 1) {
            let took = window[0].until(window[most]);
            prop_assert!(took >= timing.ttl(), "{} requests in {:?}", most + 1, took);
        }
    }

    #[test]
    fn a_renewal_that_fails_once_is_tried_again_before_the_deadline(
        timing in accepted_timings(),
        seed: u64,
        refused in 0_u32..20,
    ) {
        let mut bench = Bench::timed(timing, seed);
        for _ in 0..refused {
            let bid = bench.request();
            bench.reply(&bid, Reply::Failed);
        }
        let leadership = bench.win(1);
        for _ in 0..5 {
            let renewal = bench.request();
            bench.reply(&renewal, Reply::Failed);
            let again = bench.request();
            prop_assert!(matches!(again.call, Call::Renew { .. }), "{:?}", again);
            bench.reply(&again, Reply::RENEWED);
            prop_assert!(leadership.is_current());
        }
    }
}

proptest! {
    #![proptest_config(config())]

    /// The rule of the README. The outage begins with the first renewal.
    #[test]
    fn an_outage_that_ends_a_call_timeout_before_the_deadline_keeps_the_lease(
        timing in accepted_timings(),
        seed: u64,
        hangs: bool,
    ) {
        let mut bench = Bench::timed(timing, seed);
        let leadership = bench.win(1);
        let ends = bench.clock.now() + (timing.ttl() - timing.margin() - timing.call_timeout());
        let last = loop {
            let Some(renewal) = bench.poll() else {
                let next = bench.election.poll_timeout().unwrap();
                bench.clock.advance_to(next);
                bench.election.handle_timeout(next);
                prop_assert_eq!(bench.ended(), None, "timing {:?}", timing);
                continue;
            };
            if renewal.sent_at >= ends {
                break renewal;
            }
            if !hangs {
                bench.reply(&renewal, Reply::Failed);
            }
        };
        bench.reply(&last, Reply::RENEWED);
        prop_assert!(leadership.is_current());
    }
}

/// A renewal that is sent late leaves less than the usual least pause between two tries.
#[test]
fn a_renewal_that_fails_once_is_tried_again_however_little_time_is_left() {
    let millis = Duration::from_millis;
    let timing = Timing::builder()
        .ttl(millis(51_888))
        .renew_every(millis(45_973))
        .margin(millis(5_189))
        .call_timeout(millis(1));
    let timing = timing.build().unwrap();
    for seed in 0..100 {
        let mut bench = Bench::timed(timing, seed);
        let leadership = bench.win(1);
        for _ in 0..5 {
            let renewal = bench.request();
            bench.reply(&renewal, Reply::Failed);
            let again = bench.request();
            assert!(matches!(again.call, Call::Renew { .. }), "{again:?}");
            bench.reply(&again, Reply::RENEWED);
            assert!(leadership.is_current(), "seed {seed}");
        }
    }
}
