//! What a node and its supervisor say to each other: orders in the node's environment, words on its
//! stdin, lines of JSON on its stdout.

use std::{env, process, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{capture::Logged, children};

/// What makes a process a node.
const VARIABLE: &str = "TENURE_TORTURE_NODE";

/// Who a node is, and what it contends for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) name: String,
    /// The store, over the wires of this node.
    pub(crate) url: String,
    pub(crate) contests: Vec<Contest>,
    /// A fault of its own, to see that it is found.
    pub(crate) fault: Option<Fault>,
}

/// One resource, and how long its lease lives.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Contest {
    pub(crate) resource: String,
    pub(crate) ttl: Duration,
}

/// How a node may break what is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// It believes in its leases for two seconds after their end.
    Undying,
    /// Its writes are not refused for their token.
    Unguarded,
    /// It gives up its leases now and then, and nobody has asked it to.
    Fickle,
    /// It holds leases that it tells nobody of.
    Squatting,
}

impl Orders {
    pub(crate) fn give(&self, node: &mut process::Command) -> Result<(), serde_json::Error> {
        node.env(VARIABLE, serde_json::to_string(self)?);
        Ok(())
    }

    /// Those of this process, if it is a node.
    pub(crate) fn given() -> Option<Result<Self, serde_json::Error>> {
        let text = env::var(VARIABLE).ok()?;
        Some(serde_json::from_str(&text))
    }
}

/// What happened in a node. Moments are nanoseconds of the machine's boot clock.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// An actor was told that it leads.
    Leads {
        resource: String,
        token: u64,
        at: u64,
    },
    /// An actor was told that it follows.
    Follows {
        resource: String,
        token: Option<u64>,
        reason: String,
        at: u64,
    },
    /// The process believed in it at this moment, the last time that it looked.
    Believed {
        resource: String,
        token: u64,
        at: u64,
    },
    /// It has asked the register to take a write; before, at this moment, it believed in its lease, or
    /// no longer.
    Wrote {
        resource: String,
        token: u64,
        believed: Option<u64>,
        outcome: Outcome,
    },
    /// The process did not run.
    HeldUp { from: u64, until: u64 },
    /// What the log of the library says.
    #[serde(untagged)]
    Logged(Logged),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Applied,
    Refused,
    /// The store has not answered, or with an error.
    Unknown,
}

impl Event {
    pub(crate) fn send(&self) {
        children::say(self);
    }
}

/// What a node is asked to do. The end of its stdin is a [`Shutdown`](Self::Shutdown) too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    StepDown { resource: String },
    Shutdown,
}

impl Command {
    pub(crate) fn line(&self) -> String {
        match self {
            Self::StepDown { resource } => format!("step-down {resource}"),
            Self::Shutdown => "shutdown".to_owned(),
        }
    }

    pub(crate) fn from_line(line: &str) -> Option<Self> {
        match line.split_once(' ') {
            Some(("step-down", resource)) => Some(Self::StepDown {
                resource: resource.to_owned(),
            }),
            _ => (line == "shutdown").then_some(Self::Shutdown),
        }
    }
}
