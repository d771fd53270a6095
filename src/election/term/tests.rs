use rand::SeedableRng as _;

use super::*;
use crate::{
    lease::{CandidateId, FencingToken, ResourceName},
    testing::ManualClock,
};

const NANOSECOND: Duration = Duration::from_nanos(1);

/// ttl 10 s, margin 1 s, calls limited to 2 s.
fn timing() -> Timing {
    let timing = Timing::builder().ttl(Duration::from_secs(10));
    timing.build().unwrap()
}

fn at(seconds: u32) -> Moment {
    Moment::default() + Duration::from_secs(1) * seconds
}

fn rng() -> SmallRng {
    SmallRng::seed_from_u64(1)
}

/// A term by a bid that was sent at second 100.
fn term() -> Term {
    let clock = ManualClock::new();
    clock.advance_to(at(100));
    let lease = Lease {
        resource: ResourceName::new("r").unwrap(),
        holder: CandidateId::new("me").unwrap(),
        token: FencingToken::new(1),
    };
    let limits = HoldLimits {
        ends_at: None,
        kept_until: Moment::default(),
    };
    Term::new(
        lease,
        &timing(),
        at(100),
        limits,
        Arc::new(clock),
        &mut rng(),
    )
}

#[test]
fn the_deadline_is_a_ttl_less_the_margin_after_the_request() {
    let mut term = term();
    assert_eq!(term.deadline(), Some(at(109)));
    term.renewed(&timing(), at(103), at(104), &mut rng());
    assert_eq!(term.deadline(), Some(at(112)));
}

#[test]
fn a_lease_can_be_ours_for_a_ttl_and_a_call_after_each_request_answered_or_not() {
    let mut term = term();
    assert!(term.may_be_ours(at(112) - NANOSECOND));
    assert!(!term.may_be_ours(at(112)));
    assert!(term.renewal(&timing(), at(104)).is_some());
    assert!(term.may_be_ours(at(116) - NANOSECOND));
    assert!(!term.may_be_ours(at(116)));
}

#[test]
fn the_budget_delays_the_second_try_of_a_renewal_and_never_the_first() {
    let (mut term, mut request_budget) = (term(), RequestBudget::default());
    while request_budget.room(&timing(), at(104)) > 0 {
        request_budget.spend(&timing(), at(104));
    }
    term.renewal_failed(&timing(), &request_budget, at(104), at(105), &mut rng());
    assert_eq!(term.next(true), at(107), "half of what is left");
    term.renewal_failed(&timing(), &request_budget, at(107), at(107), &mut rng());
    assert_eq!(term.next(true), at(109), "no request before the deadline");
}
