use super::*;

/// A session until second 2, and a shard of it.
fn owned(clock: &ManualClock) -> (LeadershipControl, ShardControl) {
    let session = hold(clock, 2);
    let shard = ShardControl::new(session.lease().clone(), session.leadership());
    (session, shard)
}

#[test]
fn a_shard_has_the_deadline_of_its_session() {
    let clock = ManualClock::new();
    let (session, shard) = owned(&clock);
    let leadership = shard.leadership();
    assert_eq!(leadership.remaining(), SECOND * 2);
    let now = clock.now();
    assert!(session.extend(now + SECOND * 5, now));
    assert_eq!(leadership.remaining(), SECOND * 5);
    clock.advance(SECOND * 5);
    assert!(!leadership.is_current());
    assert_eq!(session.deadline(), None, "a lapse that was seen is final");
}

#[test]
fn a_shard_ends_with_its_session_and_alone() {
    let clock = ManualClock::new();
    let (session, given_up) = owned(&clock);
    let other = ShardControl::new(session.lease().clone(), session.leadership());
    given_up.revoke();
    assert!(!given_up.leadership().is_current());
    assert!(other.leadership().is_current());
    session.revoke();
    assert!(!other.leadership().is_current());
    let (session, dropped) = owned(&clock);
    let leadership = dropped.leadership().clone();
    drop(dropped);
    assert!(!leadership.is_current());
    assert!(session.leadership().is_current());
}

#[test]
fn a_fixed_shard_ends_at_that_moment_whatever_its_session_does() {
    let clock = ManualClock::new();
    let (session, shard) = owned(&clock);
    let start = clock.now();
    shard.fix(start + SECOND * 3);
    shard.fix(start + SECOND * 9);
    let leadership = shard.leadership();
    assert_eq!(leadership.remaining(), SECOND * 2, "the session is earlier");
    assert!(session.extend(start + SECOND * 10, start));
    assert_eq!(leadership.remaining(), SECOND * 3);
    clock.advance(SECOND * 3);
    assert!(!leadership.is_current());
    assert!(session.leadership().is_current());
    shard.fix(start + SECOND * 9);
    assert!(!leadership.is_current());
}

#[test]
fn the_loss_of_a_shard_is_told_with_its_reason() {
    let clock = ManualClock::new();
    let (_session, mut shard) = owned(&clock);
    let leadership = shard.leadership().clone();
    shard.notify_lost(&Reason::Evicted);
    assert_eq!(leadership.lost().now_or_never(), Some(Reason::Evicted));
    assert!(leadership.is_current(), "until it is acknowledged");
}

/// Besides what an application keeps for each shard.
#[test]
fn the_leadership_of_a_shard_is_small() {
    let state = size_of::<LeadershipState>() + size_of::<ShardControl>();
    assert!(state <= 320, "{state} bytes");
}
