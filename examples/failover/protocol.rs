//! What a node and its supervisor say to each other: a line of JSON on the node's stdout, a word on
//! its stdin.

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
    /// A grant or a renewal was confirmed.
    Extended { token: u64, at: u64, deadline: u64 },
    /// A lease was given back, or ran out.
    Ended { token: u64, at: u64 },
    /// `is_current()` has become false: when the last call that answered true began, and the first
    /// one that answered false.
    Lapsed {
        token: u64,
        last_true: Option<u64>,
        first_false: u64,
    },
    /// A step-down that was asked for is over.
    SteppedDown { outcome: String },
    /// The library warns.
    Warned { text: String },
}

impl Event {
    /// Tells the supervisor. If that is gone there is nobody to tell, and stdin says so too.
    pub(crate) fn send(&self) {
        children::say(self);
    }
}

impl From<Logged> for Event {
    /// There is one resource.
    fn from(logged: Logged) -> Self {
        match logged {
            Logged::Extended {
                token,
                at,
                deadline,
                ..
            } => Self::Extended {
                token,
                at,
                deadline,
            },
            Logged::Ended { token, at, .. } => Self::Ended { token, at },
            Logged::Warned { text } => Self::Warned { text },
        }
    }
}

/// What a node is asked to do. The end of its stdin is a [`Shutdown`](Self::Shutdown) too: then the
/// supervisor has died.
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
