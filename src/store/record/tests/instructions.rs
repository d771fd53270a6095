//! Pauses, hand-overs, and the records that take no instruction.

use super::*;
use crate::lease::Note;

fn name(candidate: &str) -> CandidateId {
    CandidateId::new(candidate).unwrap()
}

fn note() -> Note {
    Note::new("maintenance").unwrap()
}

fn pause(edition: u64) -> Instruction {
    let note = note();
    Instruction::Pause { note, edition }
}

fn hand_over(token: u64, to: &str) -> Instruction {
    let (token, to) = (FencingToken::new(token), name(to));
    Instruction::HandOver { token, to }
}

fn instruct(record: &mut StoredRecord, instruction: &Instruction, now: Moment) -> Option<u64> {
    match record.instruct(&resource(), instruction, now, WALL) {
        InstructOutcome::Instructed { edition } => Some(edition),
        InstructOutcome::Refused(_) => None,
    }
}

/// A record that `a` holds under token 1 until second 10.
fn held() -> StoredRecord {
    let mut record = StoredRecord::default();
    record.acquire(&bid("a", 1), at(0), WALL);
    record
}

#[test]
fn the_first_token_is_the_time_of_day_and_each_later_one_is_one_more() {
    let wall = WALL + Duration::from_millis(1_700_000_000_123);
    let mut record = StoredRecord::default();
    let first = 1_700_000_000_123;
    assert_eq!(record.acquire(&bid("a", 1), at(0), wall), granted(first));
    let much_later = wall + Duration::from_secs(1_000);
    assert_eq!(
        record.acquire(&bid("b", 2), at(10), much_later),
        granted(first + 1)
    );
    let mut paused = StoredRecord::default();
    paused.instruct(&resource(), &pause(0), at(0), wall);
    assert_eq!((paused.token.get(), paused.version), (first, 1));
}

#[test]
fn a_pause_refuses_every_bid_but_an_internal_one() {
    let mut record = held();
    assert_eq!(instruct(&mut record, &pause(1), at(1)), Some(2));
    let before = record.clone();
    let mut reentrant = bid("a", 2);
    reentrant.reentrant = true;
    let own_attempt = bid("a", 1);
    for bid in [&own_attempt, &reentrant] {
        assert!(refused(record.acquire(bid, at(2), WALL)).pause.is_some());
    }
    // Nor when the lease has expired, or is free.
    for bid in [&own_attempt, &reentrant, &bid("b", 3)] {
        assert!(refused(record.acquire(bid, at(10), WALL)).pause.is_some());
    }
    assert_eq!(record, before);
    record.release(&claim("a", 1), None, at(11), WALL);
    assert!(
        refused(record.acquire(&bid("b", 3), at(11), WALL))
            .pause
            .is_some()
    );
    let mut internal = bid("b", 4);
    internal.internal = true;
    assert_eq!(record.acquire(&internal, at(11), WALL), granted(2));
}

#[test]
fn a_renewal_tells_the_instruction_that_stands_and_a_pause_wins() {
    let mut record = held();
    let told = |record: &mut StoredRecord| match record.renew(&lease("a", 1), TTL, at(1)) {
        RenewOutcome::Renewed { instruction } => instruction,
        RenewOutcome::Lost(_) => panic!("lost"),
    };
    assert_eq!(told(&mut record), None);
    instruct(&mut record, &hand_over(1, "b"), at(1));
    let to = name("b");
    let handing_over = Some(StandingInstruction::HandOver { to });
    assert_eq!(told(&mut record), handing_over);
    instruct(&mut record, &pause(1), at(1));
    let note = note();
    let paused = Some(StandingInstruction::Pause { note });
    assert_eq!(told(&mut record), paused);
    assert_eq!(told(&mut record), paused, "it stands");
    instruct(&mut record, &Instruction::Resume { edition: 2 }, at(1));
    assert_eq!(told(&mut record), handing_over);
}

#[test]
fn a_pause_or_resume_of_another_edition_changes_nothing() {
    let mut record = held();
    let resume = |edition| Instruction::Resume { edition };
    for late in [pause(0), pause(2), resume(0), resume(2)] {
        let before = record.clone();
        assert_eq!(instruct(&mut record, &late, at(1)), None);
        assert_eq!(record, before);
    }
    assert_eq!(instruct(&mut record, &pause(1), at(1)), Some(2));
    assert_eq!(instruct(&mut record, &pause(1), at(1)), None);
    assert_eq!(instruct(&mut record, &resume(2), at(1)), Some(3));
    assert_eq!(instruct(&mut record, &resume(2), at(1)), None);
}

#[test]
fn a_pause_makes_an_absent_record_and_a_resume_does_not() {
    let mut record = StoredRecord::default();
    let resume = Instruction::Resume { edition: 0 };
    assert_eq!(instruct(&mut record, &resume, at(0)), None);
    assert_eq!(instruct(&mut record, &pause(1), at(0)), None);
    assert_eq!(record, StoredRecord::default());
    assert_eq!(instruct(&mut record, &pause(0), at(0)), Some(1));
    let seen = record.seen(&resource(), at(0)).unwrap();
    assert_eq!((seen.holder, seen.edition), (None, 1));
    // An acquisition does not begin the editions again.
    instruct(&mut record, &Instruction::Resume { edition: 1 }, at(0));
    assert_eq!(record.acquire(&bid("a", 1), at(0), WALL), granted(2));
    assert_eq!(record.edition, 2);
}

#[test]
fn a_hand_over_applies_only_to_a_lease_that_is_held_under_its_token() {
    let mut record = held();
    for (token, second) in [(0, 1), (2, 1), (1, 10)] {
        let before = record.clone();
        assert_eq!(
            instruct(&mut record, &hand_over(token, "b"), at(second)),
            None
        );
        assert_eq!(record, before);
    }
    assert_eq!(instruct(&mut record, &hand_over(1, "b"), at(9)), Some(1));
    record.release(&claim("a", 1), None, at(9), WALL);
    assert_eq!(instruct(&mut record, &hand_over(1, "c"), at(9)), None);
    assert_eq!(record.hand_over, Some(name("b")));
    let mut absent = StoredRecord::default();
    assert_eq!(instruct(&mut absent, &hand_over(0, "b"), at(0)), None);
}

#[test]
fn the_named_candidate_bids_first_after_a_hand_over() {
    let mut expired = held();
    instruct(&mut expired, &hand_over(1, "b"), at(1));
    let mut free = expired.clone();
    free.release(&claim("a", 1), None, at(2), WALL);
    for (record, now) in [(free, at(2)), (expired, at(10))] {
        let bid_by = |candidate, waited: Option<u64>| {
            let mut bid = bid(candidate, 9);
            bid.waited = waited.map(FencingToken::new);
            record.clone().acquire(&bid, now, WALL)
        };
        for waited in [None, Some(0), Some(2)] {
            let seen = refused(bid_by("c", waited));
            assert_eq!(seen.hand_over, Some(name("b")));
        }
        refused(bid_by("a", None));
        assert_eq!(bid_by("b", None), granted(2));
        assert_eq!(bid_by("c", Some(1)), granted(2));
    }
}

#[test]
fn a_hand_over_leaves_the_lease_to_its_holder_and_the_next_acquisition_clears_it() {
    let mut record = held();
    instruct(&mut record, &hand_over(1, "b"), at(1));
    assert_eq!(record.acquire(&bid("a", 1), at(2), WALL), granted(1));
    refused(record.acquire(&bid("b", 2), at(2), WALL));
    record.release(&claim("a", 1), None, at(3), WALL);
    assert_eq!(record.acquire(&bid("b", 2), at(3), WALL), granted(2));
    assert_eq!(record.hand_over, None);
}

#[test]
fn no_instruction_moves_the_expiry_or_the_version() {
    let mut record = held();
    let (expires_at, version) = (record.expires_at, record.version);
    let resume = Instruction::Resume { edition: 2 };
    for instruction in [hand_over(1, "b"), pause(1), resume, pause(3)] {
        assert!(instruct(&mut record, &instruction, at(5)).is_some());
        assert_eq!((record.expires_at, record.version), (expires_at, version));
    }
}

#[test]
fn an_internal_record_takes_no_instruction_and_is_not_purged() {
    let mut record = StoredRecord::default();
    let mut mark = bid("a", 1);
    mark.internal = true;
    record.acquire(&mark, at(0), WALL);
    let resume = Instruction::Resume { edition: 1 };
    for instruction in [hand_over(1, "b"), pause(1), resume] {
        let before = record.clone();
        assert_eq!(instruct(&mut record, &instruction, at(1)), None);
        assert_eq!(record, before);
    }
    record.release(&claim("a", 1), None, at(1), WALL);
    assert!(record.seen(&resource(), at(1)).unwrap().internal);
    assert!(!record.is_purged(WALL, at(1)));
}

#[test]
fn a_purge_deletes_what_is_not_held_not_paused_and_not_touched_lately() {
    let mut record = held();
    assert!(!record.is_purged(WALL, at(9)), "it is held");
    assert!(record.is_purged(WALL, at(10)), "it has expired");
    let later = WALL + Duration::from_secs(1);
    record.release(&claim("a", 1), None, at(1), later);
    assert!(!record.is_purged(WALL, at(1)), "it was touched later");
    assert!(record.is_purged(later, at(1)));
    instruct(&mut record, &pause(1), at(1));
    assert!(!record.is_purged(later, at(1)), "it is paused");
}
