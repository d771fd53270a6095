//! How acquisitions ended, and when a record was touched.

use super::*;

fn wall(seconds: u64) -> SystemTime {
    WALL + Duration::from_secs(seconds)
}

fn ends(record: &StoredRecord) -> Vec<Option<AcquisitionEnd>> {
    let lines = record.history.iter();
    lines.map(|line| line.ended.clone()).collect()
}

fn end(seconds: u64, reason: EndReason) -> Option<AcquisitionEnd> {
    let at = wall(seconds);
    Some(AcquisitionEnd { at, reason })
}

#[test]
fn the_history_says_when_and_why_an_acquisition_ended() {
    let mut record = StoredRecord::default();
    record.acquire(&bid("a", 1), at(0), wall(0));
    assert_eq!(ends(&record), [None]);
    let reason = EndReason::SteppedDown;
    record.release(&claim("a", 1), Some(reason), at(1), wall(5));
    assert_eq!(ends(&record), [end(5, reason)]);
    record.acquire(&bid("b", 2), at(1), wall(6));
    record.release(&owner("b"), None, at(2), wall(7));
    record.acquire(&bid("c", 3), at(2), wall(8));
    let token = record.token;
    record.evict(&resource(), token, EvictionMode::Close, at(3), wall(9));
    let expected = [end(5, reason), None, end(9, EndReason::Evicted)];
    assert_eq!(ends(&record), expected);
}

#[test]
fn a_claim_that_does_not_hold_notes_nothing() {
    let mut record = StoredRecord::default();
    record.acquire(&bid("a", 1), at(0), wall(0));
    let before = record.clone();
    let reason = Some(EndReason::Unlocked);
    record.release(&claim("b", 1), reason, at(1), wall(5));
    let (token, eviction) = (FencingToken::new(9), EvictionMode::Close);
    record.evict(&resource(), token, eviction, at(1), wall(5));
    assert_eq!(record, before);
}

#[test]
fn every_write_but_a_renewal_touches_the_record() {
    let mut record = StoredRecord::default();
    record.acquire(&bid("a", 1), at(0), wall(1));
    assert_eq!(record.touched, wall(1));
    let token = record.token;
    let lease = Lease {
        token,
        ..lease("a", 0)
    };
    record.renew(&lease, TTL, at(1));
    record.acquire(&bid("a", 1), at(1), wall(2));
    assert_eq!(
        record.touched,
        wall(1),
        "it goes on with the same acquisition"
    );
    let to = CandidateId::new("b").unwrap();
    let instruction = Instruction::HandOver { token, to };
    record.instruct(&resource(), &instruction, at(1), wall(3));
    assert_eq!(record.touched, wall(3));
    let eviction = EvictionMode::Close;
    record.evict(&resource(), token, eviction, at(1), wall(4));
    assert_eq!(record.touched, wall(4));
    record.release(&owner("a"), None, at(1), wall(5));
    assert_eq!(record.touched, wall(5));
    assert_eq!(record.seen(&resource(), at(1)).unwrap().touched, wall(5));
}
