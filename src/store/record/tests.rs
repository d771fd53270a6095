mod endings;
mod events;
mod instructions;

use super::*;
use crate::store::fixtures::{TTL, bid, claim, granted, lease, owner, refused, resource};

const WALL: SystemTime = SystemTime::UNIX_EPOCH;

fn at(seconds: u64) -> Moment {
    Moment::default() + Duration::from_secs(1000 + seconds)
}

#[test]
fn a_record_is_kept_after_a_release_and_its_token_keeps_growing() {
    let mut record = StoredRecord::default();
    assert_eq!(record.seen(&resource(), at(0)), None);
    assert_eq!(record.acquire(&bid("a", 1), at(0), WALL), granted(1));
    let released = record.release(&claim("a", 1), None, at(1), WALL);
    assert_eq!(released, ReleaseOutcome::Released);
    assert_eq!(record.acquire(&bid("b", 2), at(1), WALL), granted(2));
    assert_eq!(record.seen(&resource(), at(1)).unwrap().history.len(), 2);
}

#[test]
fn an_unexpired_attempt_gets_its_own_token_and_a_new_expiry_by_a_write() {
    let mut record = StoredRecord::default();
    record.acquire(&bid("a", 1), at(0), WALL);
    let version = record.version;
    assert_eq!(record.acquire(&bid("a", 1), at(9), WALL), granted(1));
    assert!(record.version > version);
    assert_eq!(record.expires_at, at(19));
}

#[test]
fn an_expired_attempt_gets_a_new_token() {
    let mut record = StoredRecord::default();
    record.acquire(&bid("a", 1), at(0), WALL);
    assert_eq!(record.acquire(&bid("a", 1), at(10), WALL), granted(2));
}

#[test]
fn a_released_attempt_is_never_granted_again() {
    let mut record = StoredRecord::default();
    record.acquire(&bid("a", 1), at(0), WALL);
    let attempt = AttemptId::new(1);
    let resource = resource();
    let claim = ReleaseTarget::Attempt { resource, attempt };
    assert_eq!(
        record.release(&claim, None, at(1), WALL),
        ReleaseOutcome::Released
    );
    assert!(!refused(record.acquire(&bid("a", 1), at(2), WALL)).is_held());
    assert!(matches!(
        record.release(&claim, None, at(2), WALL),
        ReleaseOutcome::NotHeld(Some(_))
    ));
}

#[test]
fn an_owner_releases_its_lease_under_any_token_and_no_other_owner_does() {
    let mut record = StoredRecord::default();
    assert_eq!(
        record.release(&owner("a"), None, at(0), WALL),
        ReleaseOutcome::NotHeld(None)
    );
    record.acquire(&bid("a", 1), at(0), WALL);
    let before = record.clone();
    let ReleaseOutcome::NotHeld(Some(seen)) = record.release(&owner("b"), None, at(1), WALL) else {
        panic!("released by another owner");
    };
    assert!(seen.is_held() && record == before);
    // Also when it has expired.
    assert_eq!(
        record.release(&owner("a"), None, at(20), WALL),
        ReleaseOutcome::Released
    );
    assert!(!refused(record.acquire(&bid("a", 1), at(20), WALL)).is_held());
    assert_eq!((record.token.get(), record.version), (1, 2));
    assert!(matches!(
        record.release(&owner("a"), None, at(20), WALL),
        ReleaseOutcome::NotHeld(Some(_))
    ));
}

#[test]
fn a_refusal_changes_nothing_and_names_the_holder() {
    let mut record = StoredRecord::default();
    record.acquire(&bid("a", 1), at(0), WALL);
    let before = record.clone();
    let seen = refused(record.acquire(&bid("b", 2), at(4), WALL));
    assert_eq!(seen.holder, Some(CandidateId::new("a").unwrap()));
    assert_eq!(seen.remaining, Duration::from_secs(6));
    assert_eq!(record, before);
}

#[test]
fn the_same_candidate_id_with_another_attempt_is_refused_unless_reentrant() {
    let mut record = StoredRecord::default();
    record.acquire(&bid("a", 1), at(0), WALL);
    assert!(refused(record.acquire(&bid("a", 2), at(1), WALL)).is_held());
    let mut again = bid("a", 3);
    again.reentrant = true;
    assert_eq!(record.acquire(&again, at(1), WALL), granted(2));
    again = bid("b", 4);
    again.reentrant = true;
    assert!(refused(record.acquire(&again, at(1), WALL)).is_held());
}

#[test]
fn an_expired_lease_or_that_of_another_candidate_is_not_renewed() {
    let mut record = StoredRecord::default();
    record.acquire(&bid("a", 1), at(0), WALL);
    assert!(matches!(
        record.renew(&lease("b", 1), TTL, at(1)),
        RenewOutcome::Lost(Some(_))
    ));
    assert!(matches!(
        record.renew(&lease("a", 0), TTL, at(1)),
        RenewOutcome::Lost(Some(_))
    ));
    assert_eq!(
        record.renew(&lease("a", 1), TTL, at(9)),
        RenewOutcome::RENEWED
    );
    assert!(matches!(
        record.renew(&lease("a", 1), TTL, at(19)),
        RenewOutcome::Lost(Some(_))
    ));
    let claim = claim("b", 1);
    assert!(matches!(
        record.release(&claim, None, at(2), WALL),
        ReleaseOutcome::NotHeld(Some(_))
    ));
}

#[test]
fn a_closing_lease_is_neither_renewed_nor_acquired_before_its_expiry() {
    let mut record = StoredRecord::default();
    record.acquire(&bid("a", 1), at(0), WALL);
    let token = FencingToken::new(1);
    let evicted = record.evict(&resource(), token, EvictionMode::Close, at(2), WALL);
    assert_eq!(evicted, ReleaseOutcome::Released);
    let RenewOutcome::Lost(Some(seen)) = record.renew(&lease("a", 1), TTL, at(3)) else {
        panic!("renewed a closing lease");
    };
    assert!(seen.closing && seen.is_held());
    assert!(refused(record.acquire(&bid("a", 1), at(3), WALL)).closing);
    assert!(refused(record.acquire(&bid("b", 2), at(9), WALL)).closing);
    assert_eq!(record.acquire(&bid("b", 2), at(10), WALL), granted(2));
    assert!(!record.closing);
}

#[test]
fn a_forced_eviction_frees_the_lease_at_once() {
    let mut record = StoredRecord::default();
    record.acquire(&bid("a", 1), at(0), WALL);
    let token = FencingToken::new(1);
    record.evict(&resource(), token, EvictionMode::Force, at(1), WALL);
    assert!(matches!(
        record.renew(&lease("a", 1), TTL, at(1)),
        RenewOutcome::Lost(Some(_))
    ));
    assert_eq!(record.acquire(&bid("b", 2), at(1), WALL), granted(2));
}

#[test]
fn the_history_has_a_limited_length() {
    let mut record = StoredRecord::default();
    for n in 0..20 {
        record.acquire(&bid("a", n), at(n as u64 * 10), WALL);
    }
    assert_eq!(record.history.len(), LeaseRecord::HISTORY);
    assert_eq!(record.history.last().unwrap().token, FencingToken::new(20));
}

#[test]
fn an_eviction_is_a_write_like_any_other() {
    let mut record = StoredRecord::default();
    record.acquire(&bid("a", 1), at(0), WALL);
    record.renew(&lease("a", 1), TTL, at(1));
    for eviction in [EvictionMode::Close, EvictionMode::Force] {
        let version = record.version;
        record.evict(&resource(), FencingToken::new(1), eviction, at(2), WALL);
        assert_eq!(record.version, version + 1);
    }
}
