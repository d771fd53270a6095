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
    while request_budget.room(&timing(), at(102)) > 0 {
        request_budget.spend(&timing(), at(102));
    }
    term.renewal_failed(&timing(), &request_budget, at(103), at(103), &mut rng());
    assert_eq!(term.next(true), at(106), "half of what is left");
    term.renewal_failed(&timing(), &request_budget, at(107), at(107), &mut rng());
    assert_eq!(term.next(true), at(109), "no request before the deadline");
}

#[test]
fn a_retry_shortly_before_the_last_one_is_left_out() {
    let shortest = Duration::from_millis(200);
    let next = |now| {
        let (mut term, request_budget) = (term(), RequestBudget::default());
        term.renewal_failed(&timing(), &request_budget, at(106), now, &mut rng());
        term.next(true)
    };
    let retried = at(107) - shortest;
    assert_eq!(next(retried - shortest), retried);
    assert_eq!(next(retried - shortest + NANOSECOND), at(107));
}

#[test]
fn the_last_try_that_can_wait_for_its_whole_limit_is_not_skipped_when_the_budget_is_spent() {
    let (mut term, mut request_budget) = (term(), RequestBudget::default());
    while request_budget.room(&timing(), at(104)) > 0 {
        request_budget.spend(&timing(), at(104));
    }
    term.renewal_failed(&timing(), &request_budget, at(104), at(105), &mut rng());
    term.renewal_failed(&timing(), &request_budget, at(105), at(106), &mut rng());
    assert_eq!(term.next(true), at(107));
}

#[test]
fn a_try_that_hangs_ends_when_the_last_one_begins() {
    let (mut term, request_budget) = (term(), RequestBudget::default());
    term.renewal_failed(&timing(), &request_budget, at(104), at(104), &mut rng());
    let until = |term: &mut Term, now| term.renewal(&timing(), now).map(|(_, until)| until);
    assert_eq!(until(&mut term, at(106)), Some(at(107)));
    term.renewal_failed(&timing(), &request_budget, at(106), at(107), &mut rng());
    assert_eq!(term.next(true), at(107), "at once");
    // It has half of what is left, so that another can follow.
    assert_eq!(until(&mut term, at(107)), Some(at(108)));
}
