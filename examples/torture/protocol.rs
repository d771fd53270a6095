//! How a node and its supervisor talk: orders in the node's environment, commands on its stdin, events as lines
//! of JSON on its stdout.

use std::{env, process, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{capture::Logged, children};

/// What makes a process a node.
const VARIABLE: &str = "TENURE_TORTURE_NODE";

/// Who a node is, and what it contends for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) name: String,
    /// The URL of the store, through the proxies of this node.
    pub(crate) url: String,
    pub(crate) contests: Vec<Contest>,
    /// A planted fault, which the checker must find.
    pub(crate) fault: Option<Fault>,
}

/// One resource, and how long its lease lives.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Contest {
    pub(crate) resource: String,
    pub(crate) ttl: Duration,
}

/// A planted fault: how a node breaks a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// It believes in its leases for two seconds after their end.
    Undying,
    /// Its writes are not refused for their token.
    Unguarded,
    /// It steps down now and then, without being asked.
    Fickle,
    /// It holds leases without reporting them.
    Squatting,
}

impl Orders {
    pub(crate) fn give(&self, node: &mut process::Command) -> Result<(), serde_json::Error> {
        node.env(VARIABLE, serde_json::to_string(self)?);
        Ok(())
    }

    /// The orders of this process, if it is a node.
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
    /// It has sent a write to the register. `believed` is a moment before that at which it still believed in its
    /// lease, if it did.
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
    /// The store did not answer, or returned an error.
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
