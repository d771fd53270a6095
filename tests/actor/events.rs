//! What a lock writes to `tracing`: stable names and fields, one event per change.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, Once},
};

use tenure::{Fault, StoreErrorKind};
use tracing::{
    Event as TracingEvent, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context, prelude::*};

use crate::support::*;

type Fields = BTreeMap<String, String>;

#[derive(Clone, Default)]
struct Journal(Arc<Mutex<Vec<(String, Level, Fields)>>>);

impl Journal {
    fn named(&self, name: &str) -> Vec<Fields> {
        let events = self.0.lock().unwrap();
        let named = events.iter().filter(|(found, _, _)| found == name);
        named.map(|(_, _, fields)| fields.clone()).collect()
    }

    fn warnings(&self) -> Vec<String> {
        let events = self.0.lock().unwrap();
        let warnings = events.iter().filter(|(_, level, _)| *level <= Level::WARN);
        warnings.map(|(name, _, _)| name.clone()).collect()
    }
}

struct Reader<'a>(&'a mut Fields);

impl Visit for Reader<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

thread_local! {
    /// The journal of the test that runs on this thread.
    static OPEN: RefCell<Option<Journal>> = const { RefCell::new(None) };
}

/// Writes each event to the journal of its thread. One for the whole program: a subscriber that comes and
/// goes with a test may miss events that another test was the first to reach at that moment.
struct Scribe;

impl<S: Subscriber> Layer<S> for Scribe {
    fn on_event(&self, event: &TracingEvent<'_>, _: Context<'_, S>) {
        let Some(journal) = OPEN.with_borrow(Clone::clone) else {
            return;
        };
        let mut fields = Fields::new();
        event.record(&mut Reader(&mut fields));
        let metadata = event.metadata();
        if metadata.name().starts_with("tenure.") {
            let entry = (metadata.name().to_owned(), *metadata.level(), fields);
            journal.0.lock().unwrap().push(entry);
        }
    }
}

/// A journal of what this thread says from now on; every test has a thread of its own.
fn journal() -> Journal {
    static SCRIBE: Once = Once::new();
    SCRIBE.call_once(|| {
        tracing_subscriber::registry().with(Scribe).init();
    });
    let journal = Journal::default();
    OPEN.set(Some(journal.clone()));
    journal
}

#[test]
fn each_transition_is_one_event_with_its_token_and_reason() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let (lock, _recorder) = lab.leader().await;
        sleep(8.0).await;
        lock.shutdown().await.unwrap();
    });
    let became_leader = journal.named("tenure.became_leader");
    assert_eq!(became_leader.len(), 1);
    let field = |fields: &Fields, name: &str| fields.get(name).cloned().unwrap_or_default();
    for (name, value) in [("resource", "r"), ("candidate", "me"), ("token", "1")] {
        assert_eq!(field(&became_leader[0], name), value);
    }
    let became_follower = journal.named("tenure.became_follower");
    assert_eq!(became_follower.len(), 1);
    assert_eq!(field(&became_follower[0], "reason"), "shut down");
    let extended = journal.named("tenure.lease_extended");
    assert_eq!(extended.len(), 3, "the grant and two renewals");
    let number = |fields: &Fields, name: &str| field(fields, name).parse::<u64>().unwrap();
    for fields in &extended {
        // ttl − margin, counted from the sending.
        assert_eq!(
            number(fields, "deadline") - number(fields, "at"),
            9_000_000_000
        );
    }
    let ended = journal.named("tenure.lease_ended");
    assert_eq!(ended.len(), 1);
    assert!(number(&ended[0], "at") < number(&extended[2], "deadline"));
    assert!(journal.warnings().is_empty(), "{:?}", journal.warnings());
}

#[test]
fn an_outage_is_one_warning_and_one_word_at_its_end() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let (lock, _recorder) = lab.leader().await;
        lab.store.always(Fault::Error(StoreErrorKind::Unavailable));
        sleep(60.0).await;
        assert!(lock.status().await.unwrap().store.failures > 20);
        assert_eq!(journal.warnings(), ["tenure.store_failing"]);
        lab.store.always(Fault::Error(StoreErrorKind::Denied));
        sleep(60.0).await;
        assert_eq!(journal.warnings().len(), 2, "it fails in another way");
        lab.store.always(None);
        sleep(5.0).await;
    });
    let failing = journal.named("tenure.store_failing");
    assert_eq!(
        failing[0]["error"],
        "memory renew: unavailable: injected fault"
    );
    let recovered = journal.named("tenure.store_recovered");
    assert_eq!(recovered.len(), 1);
    assert!(recovered[0]["failures"].parse::<u32>().unwrap() > 40);
}

#[test]
fn a_lock_that_nobody_follows_says_so_once() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_here().unwrap();
        drop(Plain::start_with(&lock, &lab.log));
        sleep(60.0).await;
    });
    assert_eq!(journal.warnings(), ["tenure.no_subscriber"]);
}
