//! Picks what the supervisor must know from the library's own log.

use std::fmt::{Debug, Write as _};

use tracing::{
    Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Registry,
    filter::LevelFilter,
    layer::{Context, Layer, SubscriberExt as _},
};

use crate::wire::Event;

/// Where the log of a node goes.
pub(crate) fn subscriber() -> impl Subscriber + Send + Sync {
    Registry::default().with(LevelFilter::DEBUG).with(Capture)
}

/// Sends on the deadlines of leases, their ends, and warnings.
struct Capture;

impl<S: Subscriber> Layer<S> for Capture {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Fields {
            token,
            at,
            deadline,
            text,
        } = fields;
        let event = match event.metadata().name() {
            "tenure.lease_extended" => Event::Extended {
                token,
                at,
                deadline,
            },
            "tenure.lease_ended" => Event::Ended { token, at },
            _ if *event.metadata().level() <= Level::WARN => Event::Warned { text },
            _ => return,
        };
        event.send();
    }
}

#[derive(Default)]
struct Fields {
    token: u64,
    at: u64,
    deadline: u64,
    /// The message, and the error if there is one.
    text: String,
}

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "token" => self.token = value,
            "at" => self.at = value,
            "deadline" => self.deadline = value,
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if matches!(field.name(), "message" | "error") {
            let between = if self.text.is_empty() { "" } else { ": " };
            // Writing to a string does not fail.
            let _ = write!(self.text, "{between}{value:?}");
        }
    }
}
