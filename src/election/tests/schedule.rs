//! When a follower asks again, to the nanosecond where nothing is drawn at random.

use rand::{SeedableRng as _, rngs::SmallRng};

use super::bench::*;
use crate::{clock::Moment, election::bid_schedule::BidSchedule, timing::POLL_JITTER};

fn at(seconds: f64) -> Moment {
    Moment::default() + secs(seconds)
}

fn schedule() -> (BidSchedule, SmallRng) {
    (BidSchedule::new(at(100.0)), SmallRng::seed_from_u64(7))
}

#[test]
fn the_read_after_a_bid_leaves_the_bid_two_polls_and_the_time_to_answer() {
    let (mut schedule, _) = schedule();
    schedule.bid(&timing(), at(100.0));
    assert_eq!(schedule.next_read, at(100.0 + 2.0 * 2.0 + 2.0));
}

#[test]
fn a_read_is_repeated_after_poll_every_and_up_to_the_jitter_later() {
    let (mut schedule, mut rng) = schedule();
    let mut latest = at(0.0);
    for _ in 0..100 {
        schedule.read(&timing(), &mut rng, at(100.0));
        assert!((at(102.0)..=at(102.4)).contains(&schedule.next_read));
        latest = latest.max(schedule.next_read);
    }
    assert!(
        latest > at(102.3),
        "the jitter is drawn from its whole range"
    );
}

#[test]
fn staying_away_lets_each_other_follower_poll_once_and_be_answered() {
    let (mut schedule, _) = schedule();
    schedule.let_others_try(&timing(), at(100.0));
    let polled = timing().poll_every().mul_f64(1.0 + POLL_JITTER);
    assert_eq!(schedule.next_bid, at(100.0) + polled + secs(2.0));
}

#[test]
fn an_answer_ends_the_backoff() {
    let (mut schedule, mut rng) = schedule();
    for _ in 0..5 {
        schedule.failed(&timing(), &mut rng, at(100.0));
    }
    schedule.answered(&timing(), None);
    // The first backoff is poll_every / 4 and nothing is drawn.
    schedule.failed(&timing(), &mut rng, at(100.0));
    assert_eq!(schedule.next_bid, at(100.5));
}
