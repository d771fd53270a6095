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
