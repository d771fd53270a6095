use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// The same, with the moment of each request.
#[derive(Default)]
struct ExactBudget(Vec<Moment>);

impl ExactBudget {
    fn room_at(&self, most: usize, timing: &Timing) -> Moment {
        let oldest = self.0.len().checked_sub(most);
        oldest.map_or(Moment::default(), |oldest| self.0[oldest] + timing.ttl())
    }
}

fn day(poll_every: Duration) -> Timing {
    let timing = Timing::builder().ttl(Duration::from_secs(24 * 3600));
    timing.poll_every(poll_every).build().unwrap()
}

#[test]
fn a_ttl_of_a_day_polled_ten_times_a_second_needs_no_more_than_some_dozens_of_moments() {
    let timing = day(Duration::from_millis(100));
    let (mut request_budget, mut now) =
        (RequestBudget::default(), Moment::default() + timing.ttl());
    for _ in 0..1_000_000 {
        request_budget.spend(&timing, now);
        now = now + Duration::from_millis(100);
    }
    assert!(request_budget.sent.len() <= PARTS as usize + 1);
    assert!(
        request_budget.bid_at(&timing) <= now,
        "an undisturbed candidate waits"
    );
}

/// A ttl of a day over which this many requests are allowed.
fn allowing(most: u32) -> Timing {
    let timing = day(Duration::from_secs(24 * 3600) / (most / 4));
    assert_eq!(RequestBudget::most(&timing), most as usize);
    timing
}

fn spent(timing: &Timing, moments: impl IntoIterator<Item = Moment>) -> RequestBudget {
    let mut request_budget = RequestBudget::default();
    for now in moments {
        request_budget.spend(timing, now);
    }
    request_budget
}

#[test]
fn the_room_is_what_the_requests_of_the_last_ttl_leave() {
    let timing = allowing(20);
    let now = Moment::default() + timing.ttl();
    let request_budget = spent(&timing, [now; 3]);
    let later = now + timing.ttl();
    let just_before = later - Duration::from_nanos(1);
    let room = [now, just_before, later].map(|at| request_budget.room(&timing, at));
    assert_eq!(room, [17, 17, 20]);
}

#[test]
fn up_to_64_requests_per_ttl_are_kept_one_by_one_and_more_in_batches() {
    let now = Moment::default() + Duration::from_secs(24 * 3600);
    assert_eq!(spent(&allowing(64), [now; 3]).sent.len(), 3);
    let timing = allowing(128);
    let batched = spent(&timing, [now; 3]);
    assert_eq!(batched.sent.len(), 1);
    assert_eq!(batched.room(&timing, now), 128 - 3);
}

#[test]
fn a_batch_is_as_long_as_a_64th_of_the_ttl() {
    let timing = allowing(128);
    let now = Moment::default() + timing.ttl();
    let next = now + timing.ttl() / PARTS;
    let just_before = next - Duration::from_nanos(1);
    assert_eq!(spent(&timing, [now, just_before]).sent.len(), 1);
    assert_eq!(spent(&timing, [now, next]).sent.len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn it_never_allows_more_than_the_exact_count_and_hardly_less(
        per_ttl in 1_u32..2_000,
        gaps in proptest::collection::vec(0.0..3.0, 1..1_500),
    ) {
        let ttl = Duration::from_secs(24 * 3600);
        let timing = day(ttl / per_ttl);
        let most = RequestBudget::most(&timing);
        let (mut request_budget, mut exact) = (RequestBudget::default(), ExactBudget::default());
        let mut now = Moment::default() + ttl;
        for gap in gaps {
            now = now + (ttl / per_ttl / 4).mul_f64(gap);
            request_budget.spend(&timing, now);
            exact.0.push(now);
            prop_assert!(request_budget.sent.len() <= PARTS as usize + 2 || most <= PARTS as usize);
            for (most, room_at) in [
                (most, request_budget.release_at(&timing)),
                (most * 3 / 4, request_budget.bid_at(&timing)),
            ] {
                let exact = exact.room_at(most, &timing);
                // What lies further back than a ttl is of no account.
                prop_assert!(exact <= room_at || exact <= now);
                prop_assert!(room_at <= exact.max(now) + ttl / PARTS);
            }
        }
    }
}
