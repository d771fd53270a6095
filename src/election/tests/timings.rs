//! What holds for every [`Timing`] that can be built.

use std::time::Duration;

use proptest::prelude::*;

use super::bench::*;
use crate::{
    clock::Clock as _,
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
            bench.reply(&renewal, Reply::Renewed);
            prop_assert!(bench.transition().is_none());
            prop_assert!(leadership.is_current());
        }
    }
}
