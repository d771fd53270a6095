//! What those who wait for a lease are told of a change.

use super::*;
use crate::lease::Note;

fn event_of(
    record: &mut StoredRecord,
    change: impl FnOnce(&mut StoredRecord),
) -> Option<StoreEvent> {
    let before = record.availability();
    change(record);
    record.event_since(&before, &resource())
}

fn changed() -> Option<StoreEvent> {
    Some(StoreEvent::Changed(resource()))
}

fn acquired() -> Option<StoreEvent> {
    let resource = resource();
    Some(StoreEvent::Acquired { resource, ttl: TTL })
}

/// A record that `a` holds under token 1 until second 10.
fn held() -> StoredRecord {
    let mut record = StoredRecord::default();
    record.acquire(&bid("a", 1), at(0), WALL);
    record
}

#[test]
fn an_acquisition_is_told_with_its_ttl() {
    let acquire = |record: &mut StoredRecord, candidate, attempt, second| {
        event_of(record, |record| {
            record.acquire(&bid(candidate, attempt), at(second), WALL);
        })
    };
    let mut record = StoredRecord::default();
    assert_eq!(acquire(&mut record, "a", 1, 0), acquired());
    assert_eq!(acquire(&mut record, "b", 2, 1), None, "it is refused");
    assert_eq!(acquire(&mut record, "b", 2, 10), acquired());
    record.release(&claim("b", 2), None, at(11), WALL);
    assert_eq!(acquire(&mut record, "a", 3, 11), acquired());
}

#[test]
fn a_renewal_is_told_only_if_it_shortens_the_lease() {
    let renew = |record: &mut StoredRecord, ttl, second| {
        event_of(record, |record| {
            record.renew(&lease("a", 1), ttl, at(second));
        })
    };
    let mut record = held();
    assert_eq!(renew(&mut record, TTL, 0), None, "the same expiry");
    assert_eq!(renew(&mut record, TTL, 5), None);
    assert_eq!(renew(&mut record, TTL / 10, 6), changed());
    assert_eq!(renew(&mut record, TTL, 7), None, "it has expired");
}

#[test]
fn a_release_and_an_eviction_are_told() {
    let token = FencingToken::new(1);
    for eviction in [EvictionMode::Close, EvictionMode::Force] {
        let mut record = held();
        let evict = |record: &mut StoredRecord| {
            record.evict(&resource(), token, eviction, at(1), WALL);
        };
        assert_eq!(event_of(&mut record, evict), changed());
    }
    let mut record = held();
    let release = |record: &mut StoredRecord| {
        record.release(&claim("a", 1), None, at(1), WALL);
    };
    assert_eq!(event_of(&mut record, release), changed());
    assert_eq!(event_of(&mut record, release), None, "it was not held");
}

#[test]
fn an_instruction_is_told_if_it_applies() {
    let (token, to) = (FencingToken::new(1), CandidateId::new("b").unwrap());
    let note = Note::default();
    let instructions = [
        Instruction::HandOver { token, to },
        Instruction::Pause { note, edition: 1 },
        Instruction::Resume { edition: 2 },
    ];
    let mut record = held();
    for instruction in &instructions {
        let instruct = |record: &mut StoredRecord| {
            record.instruct(&resource(), instruction, at(1), WALL);
        };
        assert_eq!(event_of(&mut record, instruct), changed());
    }
    let late = |record: &mut StoredRecord| {
        record.instruct(&resource(), &instructions[1], at(1), WALL);
    };
    assert_eq!(event_of(&mut record, late), None);
    let mut absent = StoredRecord::default();
    let first = |record: &mut StoredRecord| {
        let note = Note::default();
        let pause = Instruction::Pause { note, edition: 0 };
        record.instruct(&resource(), &pause, at(1), WALL);
    };
    assert_eq!(event_of(&mut absent, first), changed());
}
