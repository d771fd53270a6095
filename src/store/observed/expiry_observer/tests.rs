mod instructions;

use async_trait::async_trait;
use futures::FutureExt as _;

use super::*;
use crate::{
    store::fixtures::{TTL, bid, granted, lease, refused, resource},
    testing::ManualClock,
};

/// A table of one record, which notes the requests that it gets.
#[derive(Default)]
struct OneRecord {
    record: Mutex<StoredRecord>,
    min_reader: u64,
    requests: Mutex<Vec<&'static str>>,
}

impl OneRecord {
    fn found(&self) -> Option<TableRecord> {
        let record = self.record.lock().unwrap().clone();
        let min_reader = self.min_reader;
        (record.version > 0).then_some(TableRecord { record, min_reader })
    }

    /// The requests since the last call.
    fn requests(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }
}

#[async_trait]
impl Table for OneRecord {
    async fn write(
        &self,
        _: &ResourceName,
        change: &RecordChange,
        guard: &WriteCondition,
    ) -> RequestResult<WriteOutcome> {
        self.requests.lock().unwrap().push("write");
        let mut record = self.record.lock().unwrap();
        if !guard.admits(&record) || change.is_refused(&record) {
            drop(record);
            return Ok(WriteOutcome::Refused(self.found()));
        }
        change.apply(&mut record);
        Ok(WriteOutcome::Done(Written {
            version: record.version,
            token: Some(record.token),
            edition: Some(record.edition),
            instruction: record.instruction(),
        }))
    }

    async fn get(&self, _: &ResourceName) -> RequestResult<Option<TableRecord>> {
        self.requests.lock().unwrap().push("read");
        Ok(self.found())
    }
}

fn now<T>(answer: impl Future<Output = T>) -> T {
    answer.now_or_never().expect("the table answers at once")
}

fn acquire(observer: &ExpiryObserver, table: &OneRecord, bid: &Bid) -> AcquireOutcome {
    now(observer.acquire(table, bid, SystemTime::UNIX_EPOCH)).unwrap()
}

/// A table whose lease candidate `b` has just acquired with token 1.
fn held() -> (OneRecord, ManualClock) {
    let (table, clock) = (OneRecord::default(), ManualClock::new());
    let holder = ExpiryObserver::new(Arc::new(clock.clone()));
    assert_eq!(acquire(&holder, &table, &bid("b", 1)), granted(1));
    table.requests();
    (table, clock)
}

#[test]
fn a_held_lease_is_only_read_until_it_may_be_taken_over_by_one_write() {
    let (table, clock) = held();
    let observer = ExpiryObserver::new(Arc::new(clock.clone()));
    let bid = bid("a", 7);
    let record = refused(acquire(&observer, &table, &bid));
    assert_eq!((record.remaining, table.requests()), (TTL, vec!["write"]));
    clock.advance(TTL - Duration::from_nanos(1));
    let record = refused(acquire(&observer, &table, &bid));
    let nanosecond = Duration::from_nanos(1);
    assert_eq!(
        (record.remaining, table.requests()),
        (nanosecond, vec!["read"])
    );
    clock.advance(nanosecond);
    assert_eq!(acquire(&observer, &table, &bid), granted(2));
    assert_eq!(table.requests(), ["write"]);
}

#[test]
fn an_attempt_that_holds_the_lease_extends_it_under_its_token() {
    let (table, clock) = (OneRecord::default(), ManualClock::new());
    let observer = ExpiryObserver::new(Arc::new(clock.clone()));
    let bid = bid("a", 7);
    assert_eq!(acquire(&observer, &table, &bid), granted(1));
    table.requests();
    clock.advance(TTL / 2);
    assert_eq!(acquire(&observer, &table, &bid), granted(1));
    assert_eq!(table.requests(), ["read", "write"]);
    // The extension began a ttl of its own.
    clock.advance(TTL / 2);
    let found = observer.seen(&resource(), table.found().unwrap());
    assert_eq!(found.unwrap().remaining, TTL / 2);
}

#[test]
fn a_lease_whose_ttl_is_over_here_is_read_before_it_is_renewed() {
    let (table, clock) = (OneRecord::default(), ManualClock::new());
    let observer = ExpiryObserver::new(Arc::new(clock.clone()));
    assert_eq!(acquire(&observer, &table, &bid("a", 7)), granted(1));
    clock.advance(TTL - Duration::from_nanos(1));
    table.requests();
    let renewed = now(observer.renew(&table, &lease("a", 1), TTL)).unwrap();
    assert_eq!(
        (renewed, table.requests()),
        (RenewOutcome::RENEWED, vec!["write"])
    );
    clock.advance(TTL);
    let lost = now(observer.renew(&table, &lease("a", 1), TTL)).unwrap();
    assert!(matches!(lost, RenewOutcome::Lost(Some(_))), "{lost:?}");
    assert_eq!(table.requests(), ["read"]);
}

#[test]
fn a_record_for_newer_readers_only_is_not_judged() {
    for (min_reader, is_readable) in [(READER.into(), true), (u64::from(READER) + 1, false)] {
        let (mut table, clock) = held();
        table.min_reader = min_reader;
        let observer = ExpiryObserver::new(Arc::new(clock));
        let acquired = now(observer.acquire(&table, &bid("a", 7), SystemTime::UNIX_EPOCH));
        match acquired {
            Ok(outcome) => assert!(is_readable, "{outcome:?}"),
            Err(failure) => {
                assert!(!is_readable, "{failure:?}");
                assert_eq!(failure.kind, StoreErrorKind::Unsupported);
            }
        }
    }
}

/// A released record in a database that does not return the token that a write has raised.
struct TokenlessTable;

#[async_trait]
impl Table for TokenlessTable {
    async fn write(
        &self,
        _: &ResourceName,
        _: &RecordChange,
        guard: &WriteCondition,
    ) -> RequestResult<WriteOutcome> {
        let record = StoredRecord {
            token: FencingToken::new(1),
            version: 2,
            ..StoredRecord::default()
        };
        let min_reader = READER.into();
        Ok(match guard {
            WriteCondition::Free(_) => {
                WriteOutcome::Refused(Some(TableRecord { record, min_reader }))
            }
            _ => WriteOutcome::Done(Written {
                version: 3,
                token: None,
                edition: None,
                instruction: None,
            }),
        })
    }

    async fn get(&self, _: &ResourceName) -> RequestResult<Option<TableRecord>> {
        unreachable!("the refused write has returned the record")
    }
}

#[test]
fn an_acquisition_without_a_returned_token_is_unknown_and_gets_no_older_token() {
    let observer = ExpiryObserver::new(Arc::new(ManualClock::new()));
    let bid = bid("a", 7);
    let acquired = observer.acquire(&TokenlessTable, &bid, SystemTime::UNIX_EPOCH);
    let failure = acquired.now_or_never().unwrap().unwrap_err();
    assert_eq!(failure.kind, StoreErrorKind::Unknown);
}
