//! Picks what a supervisor must know from the log of the library.

use std::fmt::{Debug, Write as _};

use serde::{Deserialize, Serialize};
use tracing::{
    Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Registry,
    filter::LevelFilter,
    layer::{Context, Layer, SubscriberExt as _},
};

/// What a node reports of its log. Moments are nanoseconds of the machine's boot clock.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Logged {
    /// A grant or a renewal was confirmed.
    Extended {
        resource: String,
        token: u64,
        at: u64,
        deadline: u64,
    },
    /// A lease was released, or expired.
    Ended {
        resource: String,
        token: u64,
        at: u64,
    },
    /// Leadership ended although nobody asked for it. The node reports that end itself, too.
    LostLeadership { text: String },
    /// The library logged another warning.
    Warned { text: String },
}

/// The subscriber for the log of a node.
pub(crate) fn subscriber(tell: fn(Logged)) -> impl Subscriber + Send + Sync {
    Registry::default()
        .with(LevelFilter::DEBUG)
        .with(Capture(tell))
}

/// Reports the deadlines of leases, their ends, and warnings.
struct Capture(fn(Logged));

impl<S: Subscriber> Layer<S> for Capture {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Fields {
            resource,
            token,
            at,
            deadline,
            text,
        } = fields;
        let logged = match event.metadata().name() {
            "tenure.lease_extended" => Logged::Extended {
                resource,
                token,
                at,
                deadline,
            },
            "tenure.lease_ended" => Logged::Ended {
                resource,
                token,
                at,
            },
            _ if *event.metadata().level() > Level::WARN => return,
            "tenure.became_follower" => Logged::LostLeadership { text },
            _ => Logged::Warned { text },
        };
        (self.0)(logged);
    }
}

#[derive(Default)]
struct Fields {
    resource: String,
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
        if field.name() == "resource" {
            self.resource = format!("{value:?}");
        } else if matches!(field.name(), "message" | "error") {
            let between = if self.text.is_empty() { "" } else { ": " };
            // Writing to a string does not fail.
            let _ = write!(self.text, "{between}{value:?}");
        }
    }
}
