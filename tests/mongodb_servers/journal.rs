//! The deadlines that locks log.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Mutex, Once},
};

use tenure::clock::Moment;
use tracing::field::{Field, Visit};
use tracing_subscriber::{
    Registry,
    filter::LevelFilter,
    layer::{Context, Layer, SubscriberExt as _},
};

/// Resource, token and candidate. A token that was given to two candidates makes two terms.
pub(crate) type Key = (String, u64, String);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Logged {
    /// When the first grant or renewal was logged.
    pub(crate) start: Moment,
    /// The last deadline that was logged.
    pub(crate) deadline: Moment,
    pub(crate) ended: Option<Moment>,
}

static LOGGED: Mutex<BTreeMap<Key, Logged>> = Mutex::new(BTreeMap::new());

/// Collects the log of all locks of this process.
pub(crate) fn keep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = Registry::default().with(LevelFilter::DEBUG).with(Keep);
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

pub(crate) fn find(resource: &str) -> BTreeMap<Key, Logged> {
    let logged = LOGGED.lock().unwrap();
    let ours = logged.iter().filter(|((name, ..), _)| name == resource);
    ours.map(|(key, logged)| (key.clone(), *logged)).collect()
}

struct Keep;

impl<S: tracing::Subscriber> Layer<S> for Keep {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let name = event.metadata().name();
        if !["tenure.lease_extended", "tenure.lease_ended"].contains(&name) {
            return;
        }
        let mut line = Line::default();
        event.record(&mut line);
        let mut logged = LOGGED.lock().unwrap();
        let term = logged.entry(line.key).or_insert(Logged {
            start: Moment::from_nanos(line.at),
            deadline: Moment::default(),
            ended: None,
        });
        if name == "tenure.lease_ended" {
            term.ended = Some(Moment::from_nanos(line.at));
        } else {
            term.deadline = term.deadline.max(Moment::from_nanos(line.deadline));
        }
    }
}

#[derive(Default)]
struct Line {
    key: Key,
    at: u64,
    deadline: u64,
}

impl Visit for Line {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "token" => self.key.1 = value,
            "at" => self.at = value,
            "deadline" => self.deadline = value,
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "resource" => self.key.0 = format!("{value:?}"),
            "candidate" => self.key.2 = format!("{value:?}"),
            _ => {}
        }
    }
}
