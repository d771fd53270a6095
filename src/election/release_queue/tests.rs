use rand::SeedableRng as _;

use super::*;
use crate::lease::{CandidateId, FencingToken, ResourceName};

const SECOND: Duration = Duration::from_secs(1);

fn timing() -> Timing {
    Timing::builder().ttl(SECOND * 10).build().unwrap()
}

fn lease(token: u64) -> Lease {
    Lease {
        resource: ResourceName::new("r").unwrap(),
        holder: CandidateId::new("me").unwrap(),
        token: FencingToken::new(token),
    }
}

fn at(seconds: u32) -> Moment {
    Moment::default() + SECOND * seconds
}

/// A queue with the releases of these tokens, added at second 100.
fn queue(tokens: impl IntoIterator<Item = u64>) -> ReleaseQueue {
    let mut queue = ReleaseQueue::default();
    for token in tokens {
        queue.add(ReleaseTarget::Lease(lease(token)), &timing(), at(100));
    }
    queue
}

fn due(queue: &mut ReleaseQueue) -> Option<u64> {
    match queue.due(SECOND, at(109))? {
        Call::Release(ReleaseTarget::Lease(lease), _) => Some(lease.token.get()),
        other => panic!("{other:?}"),
    }
}

/// The tokens that it releases, in this order.
fn released(mut queue: ReleaseQueue) -> Vec<u64> {
    let (mut rng, mut released) = (SmallRng::seed_from_u64(1), Vec::new());
    while let Some(token) = due(&mut queue) {
        released.push(token);
        queue.answered(Some(true), &timing(), &mut rng, at(101));
    }
    released
}

#[test]
fn releases_are_sent_in_the_order_in_which_they_came() {
    assert_eq!(released(queue(1..=8)), [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn of_more_than_eight_releases_the_oldest_is_dropped() {
    assert_eq!(released(queue(1..=10)), [3, 4, 5, 6, 7, 8, 9, 10]);
}

#[test]
fn the_release_under_way_is_not_dropped() {
    let mut queue = queue(1..=8);
    assert_eq!(due(&mut queue), Some(1));
    queue.add(ReleaseTarget::Lease(lease(9)), &timing(), at(100));
    assert_eq!(released(queue), [1, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn a_release_that_fails_is_tried_three_times() {
    let (mut queue, mut rng) = (queue([1]), SmallRng::seed_from_u64(1));
    let mut tries = 0;
    while due(&mut queue).is_some() {
        tries += 1;
        queue.answered(None, &timing(), &mut rng, at(101));
    }
    assert_eq!(tries, 3);
    assert!(queue.is_empty());
}

#[test]
fn only_the_release_of_a_term_has_an_outcome_to_wait_for() {
    let mut rng = SmallRng::seed_from_u64(1);
    let mut queue = queue([1]);
    assert!(!queue.has_own());
    queue.add_own(lease(2), None, Moment::default(), &timing(), at(100));
    assert!(queue.has_own());
    assert_eq!(due(&mut queue), Some(1));
    let other = queue.answered(Some(true), &timing(), &mut rng, at(101));
    assert_eq!((other, due(&mut queue)), (None, Some(2)));
    let own = queue.answered(Some(false), &timing(), &mut rng, at(101));
    assert_eq!((own, queue.has_own()), (Some(false), false));
}

#[test]
fn a_release_is_given_up_once_its_lease_has_expired() {
    let mut queue = queue([1]);
    queue.expire(at(110) - Duration::from_nanos(1));
    assert_eq!(due(&mut queue), Some(1));
    queue.expire(at(110));
    assert!(!queue.is_empty(), "its answer is still to come");
    queue.answered(None, &timing(), &mut SmallRng::seed_from_u64(1), at(110));
    queue.expire(at(110));
    assert!(queue.is_empty());
}

#[test]
fn a_release_after_min_hold_is_tried_until_that_is_over() {
    let (mut queue, mut rng) = (ReleaseQueue::default(), SmallRng::seed_from_u64(1));
    queue.add_own(lease(1), None, at(105), &timing(), at(100));
    for _ in 0..5 {
        assert_eq!(due(&mut queue), Some(1));
        let just_before = at(105) - Duration::from_nanos(1);
        assert_eq!(queue.answered(None, &timing(), &mut rng, just_before), None);
    }
    assert_eq!(due(&mut queue), Some(1));
    let own = queue.answered(None, &timing(), &mut rng, at(105));
    assert_eq!((own, queue.is_empty()), (Some(false), true));
}
