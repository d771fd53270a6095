//! What one test writes to `tracing`.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, Once},
};

use tracing::{
    Event as TracingEvent, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context, prelude::*};

pub(super) type Fields = BTreeMap<String, String>;

/// The events of one test: name, level and fields of each.
#[derive(Clone, Default)]
pub(super) struct Journal(Arc<Mutex<Vec<(String, Level, Fields)>>>);

impl Journal {
    pub(super) fn all(&self) -> Vec<(String, Level, Fields)> {
        self.0.lock().unwrap().clone()
    }

    pub(super) fn named(&self, name: &str) -> Vec<Fields> {
        let events = self.0.lock().unwrap();
        let named = events.iter().filter(|(found, _, _)| found == name);
        named.map(|(_, _, fields)| fields.clone()).collect()
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let events = self.0.lock().unwrap();
        let warnings = events.iter().filter(|(_, level, _)| *level <= Level::WARN);
        warnings.map(|(name, _, _)| name.clone()).collect()
    }
}

struct Reader<'a>(&'a mut Fields);

impl Visit for Reader<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

thread_local! {
    /// The journal of the test that runs on this thread.
    static OPEN: RefCell<Option<Journal>> = const { RefCell::new(None) };
}

/// Writes each event to the journal of its thread. The program has only one, which is never removed: with
/// one for each test, a test could miss events that another test is the first to reach at that moment.
struct Scribe;

impl<S: Subscriber> Layer<S> for Scribe {
    fn on_event(&self, event: &TracingEvent<'_>, _: Context<'_, S>) {
        let Some(journal) = OPEN.with_borrow(Clone::clone) else {
            return;
        };
        let mut fields = Fields::new();
        event.record(&mut Reader(&mut fields));
        let metadata = event.metadata();
        fields.insert("target".to_owned(), metadata.target().to_owned());
        if metadata.name().starts_with("tenure.") {
            let entry = (metadata.name().to_owned(), *metadata.level(), fields);
            journal.0.lock().unwrap().push(entry);
        }
    }
}

/// A journal of the events of this thread from now on. Every test has its own thread.
pub(super) fn journal() -> Journal {
    static SCRIBE: Once = Once::new();
    SCRIBE.call_once(|| {
        tracing_subscriber::registry().with(Scribe).init();
    });
    let journal = Journal::default();
    OPEN.set(Some(journal.clone()));
    journal
}
