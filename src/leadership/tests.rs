#[cfg(tenure_loom)]
mod interleavings;
mod shard;

use super::*;
use crate::{lease::CandidateId, testing::ManualClock};

const SECOND: Duration = Duration::from_secs(1);

fn hold(clock: &ManualClock, seconds: u32) -> LeadershipControl {
    let lease = Lease {
        resource: ResourceName::new("r").unwrap(),
        holder: CandidateId::new("a").unwrap(),
        token: FencingToken::new(7),
    };
    LeadershipControl::new(
        lease,
        clock.now() + SECOND * seconds,
        Arc::new(clock.clone()),
    )
}

#[test]
fn is_current_until_the_deadline_and_never_after() {
    let clock = ManualClock::new();
    let hold = hold(&clock, 2);
    let leadership = hold.leadership().clone();
    assert!(leadership.is_current());
    clock.advance(SECOND * 2 - Duration::from_nanos(1));
    assert!(leadership.is_current());
    clock.advance(Duration::from_nanos(1));
    assert!(!leadership.is_current());
}

#[test]
fn an_expired_leadership_never_becomes_current_again() {
    let clock = ManualClock::new();
    let hold = hold(&clock, 2);
    let before = clock.now();
    clock.advance(SECOND * 2);
    assert!(!hold.leadership().is_current());
    // The reply to a renewal was handled by a time before the deadline.
    assert!(!hold.extend(before + SECOND * 10, before));
    assert!(!hold.leadership().is_current());
}

#[test]
fn an_expired_leadership_is_not_extended_even_if_no_reader_saw_it_expire() {
    let clock = ManualClock::new();
    let hold = hold(&clock, 2);
    clock.advance(SECOND * 2);
    assert!(!hold.extend(clock.now() + SECOND, clock.now()));
    assert!(!hold.leadership().is_current());
}

#[test]
fn extending_moves_the_deadline_on_and_never_back() {
    let clock = ManualClock::new();
    let hold = hold(&clock, 2);
    assert!(hold.extend(clock.now() + SECOND * 5, clock.now()));
    assert!(hold.extend(clock.now() + SECOND, clock.now()));
    assert_eq!(hold.leadership().remaining(), SECOND * 5);
}

#[test]
fn require_checks_the_time_left() {
    let clock = ManualClock::new();
    let hold = hold(&clock, 2);
    assert!(hold.leadership().require(SECOND * 2).is_ok());
    let error = hold.leadership().require(SECOND * 3).unwrap_err();
    assert_eq!((error.remaining, error.needed), (SECOND * 2, SECOND * 3));
    hold.revoke();
    assert!(hold.leadership().require(Duration::ZERO).is_err());
}

#[test]
fn a_deadline_that_was_extended_meanwhile_ends_nothing() {
    let clock = ManualClock::new();
    let hold = hold(&clock, 2);
    let read_before = (clock.now() + SECOND).as_nanos();
    assert!(!hold.leadership().end(read_before));
    assert!(hold.leadership().is_current());
    hold.revoke();
    assert!(
        hold.leadership().end(read_before),
        "another thread has ended it"
    );
}

#[test]
fn clones_are_equal_and_another_acquisition_of_the_same_lease_is_not() {
    let clock = ManualClock::new();
    let (one, two) = (hold(&clock, 2), hold(&clock, 2));
    assert_eq!(one.leadership(), &one.leadership().clone());
    assert_ne!(one.leadership(), two.leadership());
}

#[test]
fn debug_shows_the_lease_and_the_time_left() {
    let hold = hold(&ManualClock::new(), 2);
    let text = format!("{:?}", hold.leadership());
    assert!(
        text.contains("FencingToken(7)") && text.ends_with("remaining: 2s }"),
        "{text}"
    );
}

#[tokio::test]
async fn lost_completes_with_the_reason_for_every_clone() {
    let hold_clock = ManualClock::new();
    let mut hold = hold(&hold_clock, 2);
    let (one, two) = (hold.leadership().clone(), hold.leadership().clone());
    assert!(one.lost().now_or_never().is_none());
    hold.notify_lost(&Reason::Paused);
    assert_eq!(one.lost().await, Reason::Paused);
    assert_eq!(two.lost().await, Reason::Paused);
    assert!(one.is_current(), "winding down is still leading");
}

#[tokio::test]
async fn run_drops_the_work_when_the_leadership_ends() {
    let clock = ManualClock::new();
    let mut hold = hold(&clock, 2);
    let leadership = hold.leadership().clone();
    assert_eq!(leadership.run(async { 5 }).await, Ok(5));
    let work = tokio::spawn(async move { leadership.run(std::future::pending::<()>()).await });
    tokio::task::yield_now().await;
    hold.notify_lost(&Reason::Evicted);
    assert_eq!(work.await.unwrap(), Err(Reason::Evicted));
}

#[tokio::test]
async fn run_does_not_poll_work_after_the_deadline_even_without_a_notification() {
    let clock = ManualClock::new();
    let hold = hold(&clock, 2);
    clock.advance(SECOND * 2);
    assert_eq!(hold.leadership().run(async {}).await, Err(Reason::Expired));
}

#[test]
fn dropping_the_hold_ends_the_leadership_and_leaving_it_does_not() {
    let clock = ManualClock::new();
    let dropped = hold(&clock, 2);
    let leadership = dropped.leadership().clone();
    drop(dropped);
    assert!(!leadership.is_current());
    assert_eq!(leadership.lost().now_or_never(), Some(Reason::Expired));
    let left = hold(&clock, 2);
    let leadership = left.leadership().clone();
    left.let_expire();
    assert!(leadership.is_current());
}

#[test]
fn readers_on_other_threads_never_see_it_become_current_again() {
    let clock = ManualClock::new();
    let hold = hold(&clock, 1);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let leadership = hold.leadership().clone();
            scope.spawn(move || {
                while leadership.is_current() {}
                for _ in 0..1000 {
                    assert!(!leadership.is_current());
                }
            });
        }
        for _ in 0..200 {
            let now = clock.now();
            clock.advance(SECOND / 100);
            if !hold.extend(now + SECOND, now) {
                break;
            }
        }
        clock.advance(SECOND * 2);
    });
}
