//! Pauses, hand-overs and purges where expiry is observed.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::*;
use crate::{
    lease::{CandidateId, Note, StandingInstruction},
    store::fixtures::claim,
};

const AT: SystemTime = SystemTime::UNIX_EPOCH;

fn instruct(
    observer: &ExpiryObserver,
    table: &dyn Table,
    instruction: &Instruction,
) -> InstructOutcome {
    now(observer.instruct(table, &resource(), instruction, AT)).unwrap()
}

fn pause(edition: u64) -> Instruction {
    Instruction::Pause {
        note: Note::default(),
        edition,
    }
}

fn hand_over(to: &str, token: u64) -> Instruction {
    Instruction::HandOver {
        token: FencingToken::new(token),
        to: CandidateId::new(to).unwrap(),
    }
}

fn instructed(edition: u64) -> InstructOutcome {
    InstructOutcome::Instructed { edition }
}

/// A challenger that has observed the lease of candidate `b` for its whole ttl.
fn expired() -> (OneRecord, ManualClock, ExpiryObserver) {
    let (table, clock) = held();
    let observer = ExpiryObserver::new(Arc::new(clock.clone()));
    refused(acquire(&observer, &table, &bid("a", 7)));
    clock.advance(TTL);
    table.requests();
    (table, clock, observer)
}

fn other(clock: &ManualClock) -> ExpiryObserver {
    ExpiryObserver::new(Arc::new(clock.clone()))
}

#[test]
fn a_pause_that_arrives_between_the_look_and_the_takeover_refuses_the_takeover() {
    let (table, clock, observer) = expired();
    let paused = instruct(&other(&clock), &table, &pause(1));
    assert_eq!(paused, instructed(2));
    table.requests();
    // The version is the one that was observed, so only the condition on the pause refuses.
    let record = refused(acquire(&observer, &table, &bid("a", 7)));
    assert!(record.pause.is_some());
    assert_eq!(table.requests(), ["write"]);
    assert_eq!(record.token, FencingToken::new(1));
}

#[test]
fn an_attempt_that_holds_a_paused_lease_gets_no_token_unless_it_is_internal() {
    let (table, clock) = (OneRecord::default(), ManualClock::new());
    let observer = other(&clock);
    let mut bid = bid("a", 7);
    assert_eq!(acquire(&observer, &table, &bid), granted(1));
    assert_eq!(instruct(&other(&clock), &table, &pause(1)), instructed(2));
    let version = table.record.lock().unwrap().version;
    assert!(refused(acquire(&observer, &table, &bid)).pause.is_some());
    assert_eq!(table.record.lock().unwrap().version, version);
    bid.internal = true;
    assert_eq!(acquire(&observer, &table, &bid), granted(1));
}

/// A table that pauses the resource after it has answered a read.
struct PausedAfterRead {
    table: OneRecord,
    pauses: AtomicBool,
}

#[async_trait]
impl Table for PausedAfterRead {
    async fn write(
        &self,
        resource: &ResourceName,
        change: &RecordChange,
        guard: &WriteCondition,
    ) -> RequestResult<WriteOutcome> {
        self.table.write(resource, change, guard).await
    }

    async fn get(&self, resource: &ResourceName) -> RequestResult<Option<TableRecord>> {
        let found = self.table.get(resource).await;
        if self.pauses.swap(false, SeqCst) {
            let edition = self.table.record.lock().unwrap().edition;
            let mut record = self.table.record.lock().unwrap();
            record.apply_instruction(&pause(edition), AT);
        }
        found
    }
}

#[test]
fn a_pause_that_arrives_between_the_look_and_the_regrant_refuses_the_regrant() {
    let (table, clock) = (OneRecord::default(), ManualClock::new());
    let observer = other(&clock);
    let bid = bid("a", 7);
    assert_eq!(acquire(&observer, &table, &bid), granted(1));
    let table = PausedAfterRead {
        table,
        pauses: AtomicBool::new(true),
    };
    let asked = now(observer.acquire(&table, &bid, AT)).unwrap();
    assert!(refused(asked).pause.is_some());
    assert_eq!(table.table.record.lock().unwrap().version, 1);
}

#[test]
fn after_a_hand_over_others_bid_only_when_they_have_waited() {
    for waits in [false, true] {
        let (table, clock) = held();
        let observer = other(&clock);
        let handed_over = instruct(&observer, &table, &hand_over("c", 1));
        assert_eq!(handed_over, instructed(1));
        let (claim, reason) = (claim("b", 1), Some(EndReason::HandedOver));
        let release = observer.release(&table, &claim, reason, AT);
        assert_eq!(now(release).unwrap(), ReleaseOutcome::Released);
        let mut bid = bid("a", 7);
        let record = refused(acquire(&observer, &table, &bid));
        assert_eq!(record.hand_over.unwrap().as_str(), "c");
        bid.waited = Some(FencingToken::new(if waits { 1 } else { 9 }));
        if waits {
            assert_eq!(acquire(&observer, &table, &bid), granted(2));
            assert_eq!(table.record.lock().unwrap().hand_over, None);
        } else {
            refused(acquire(&observer, &table, &bid));
            let named = super::bid("c", 8);
            assert_eq!(acquire(&observer, &table, &named), granted(2));
        }
    }
}

#[test]
fn a_hand_over_that_arrives_between_the_look_and_the_takeover_refuses_others() {
    let (table, clock, observer) = expired();
    // Of a process that has just looked: it does not know that the lease has expired.
    let handed_over = instruct(&other(&clock), &table, &hand_over("c", 1));
    assert_eq!(handed_over, instructed(1));
    table.requests();
    refused(acquire(&observer, &table, &bid("a", 7)));
    assert_eq!(table.requests(), ["write"]);
}

#[test]
fn an_owner_takes_its_own_lease_although_it_was_handed_over() {
    let (table, clock) = held();
    let observer = other(&clock);
    assert_eq!(
        instruct(&observer, &table, &hand_over("c", 1)),
        instructed(1)
    );
    let mut bid = bid("b", 7);
    bid.reentrant = true;
    assert_eq!(acquire(&observer, &table, &bid), granted(2));
}

#[test]
fn an_instruction_does_not_restart_the_count_of_a_challenger() {
    let (table, clock) = held();
    let observer = other(&clock);
    refused(acquire(&observer, &table, &bid("a", 7)));
    clock.advance(TTL / 2);
    for edition in 1..4 {
        assert_eq!(
            instruct(&other(&clock), &table, &pause(edition)),
            instructed(edition + 1)
        );
        clock.advance(TTL / 10);
        let record = refused(acquire(&observer, &table, &bid("a", 7)));
        assert_eq!(record.edition, edition + 1);
    }
    let resume = Instruction::Resume { edition: 4 };
    assert_eq!(instruct(&observer, &table, &resume), instructed(5));
    clock.advance(TTL / 2);
    assert_eq!(acquire(&observer, &table, &bid("a", 7)), granted(2));
}

#[test]
fn a_renewal_tells_the_instruction_with_a_second_write_and_none_with_one() {
    let (table, clock) = held();
    let observer = other(&clock);
    let renew = || now(observer.renew(&table, &lease("b", 1), TTL)).unwrap();
    assert_eq!(
        (renew(), table.requests()),
        (RenewOutcome::RENEWED, vec!["write"])
    );
    instruct(&observer, &table, &hand_over("c", 1));
    table.requests();
    let to = CandidateId::new("c").unwrap();
    let instruction = Some(StandingInstruction::HandOver { to });
    assert_eq!(renew(), RenewOutcome::Renewed { instruction });
    assert_eq!(table.requests(), ["write", "write"]);
    instruct(&observer, &table, &pause(1));
    let instruction = Some(StandingInstruction::Pause {
        note: Note::default(),
    });
    assert_eq!(renew(), RenewOutcome::Renewed { instruction });
}

#[test]
fn a_resume_of_an_absent_record_creates_nothing_and_a_pause_creates_it() {
    let (table, clock) = (OneRecord::default(), ManualClock::new());
    let observer = other(&clock);
    for edition in [0, 1] {
        let resume = Instruction::Resume { edition };
        let refused = instruct(&observer, &table, &resume);
        assert_eq!(refused, InstructOutcome::Refused(None));
    }
    assert!(table.found().is_none());
    assert_eq!(instruct(&observer, &table, &pause(0)), instructed(1));
    let record = table.record.lock().unwrap().clone();
    assert_eq!((record.version, record.token), (1, FencingToken::new(1)));
    // A late copy.
    let late = instruct(&observer, &table, &pause(0));
    assert!(
        matches!(late, InstructOutcome::Refused(Some(_))),
        "{late:?}"
    );
    refused(acquire(&observer, &table, &bid("a", 7)));
}

#[test]
fn only_a_released_record_that_is_old_enough_is_purged() {
    let day = Duration::from_secs(86_400);
    let observer = other(&ManualClock::new());
    let purged = |change: &dyn Fn(&mut StoredRecord), min_reader| {
        let mut record = StoredRecord {
            version: 3,
            touched: AT + day,
            ..StoredRecord::default()
        };
        change(&mut record);
        let found = TableRecord { record, min_reader };
        observer.is_purged(&found, AT + day)
    };
    let reader = u64::from(READER);
    assert!(purged(&|_| {}, reader));
    assert!(!purged(&|_| {}, reader + 1));
    let nanosecond = Duration::from_nanos(1);
    assert!(!purged(&|record| record.touched += nanosecond, reader));
    assert!(!purged(&|record| record.internal = true, reader));
    assert!(!purged(
        &|record| record.apply_instruction(&pause(1), AT),
        reader
    ));
    // It may have expired, but one look does not show that.
    assert!(!purged(
        &|record| record.holder = Some(CandidateId::new("b").unwrap()),
        reader
    ));
}

#[test]
fn a_bid_after_a_purge_takes_a_new_record() {
    let (table, clock, observer) = expired();
    // Another process has purged the record, so the observation of it is still here.
    *table.record.lock().unwrap() = StoredRecord::default();
    assert_eq!(acquire(&observer, &table, &bid("a", 7)), granted(1));
    assert_eq!(table.requests(), ["write", "read", "write"]);
    // This process has purged it.
    *table.record.lock().unwrap() = StoredRecord::default();
    observer.deleted(&resource());
    assert_eq!(acquire(&observer, &table, &bid("a", 8)), granted(1));
    assert_eq!(table.requests(), ["write"]);
    drop(clock);
}
