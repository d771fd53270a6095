//! How a node and its supervisor talk: events as lines of JSON on the node's stdout, commands as words on its
//! stdin.

use serde::{Deserialize, Serialize};

use crate::{capture::Logged, children};

/// What happened in a node. Moments are nanoseconds of the machine's boot clock.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// Its actor was told that it leads.
    Leads { token: u64, at: u64 },
    /// Its actor was told that it follows, and has stopped.
    Follows {
        token: Option<u64>,
        reason: String,
        at: u64,
    },
    /// `is_current()` has become false: when the last call that returned true and the first one that returned
    /// false began.
    Lapsed {
        token: u64,
        last_true: Option<u64>,
        first_false: u64,
    },
    /// A step-down that was asked for is over.
    SteppedDown { outcome: String },
    /// What the log of the library says.
    #[serde(untagged)]
    Logged(Logged),
}

impl Event {
    /// Reports it to the supervisor.
    pub(crate) fn send(&self) {
        children::say(self);
    }
}

/// What a node is asked to do. The end of its stdin is a [`Shutdown`](Self::Shutdown), too: it means that
/// the supervisor has died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    StepDown,
    Shutdown,
}

impl Command {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::StepDown => "step-down",
            Self::Shutdown => "shutdown",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::StepDown, Self::Shutdown]
            .into_iter()
            .find(|command| command.word() == word)
    }
}
