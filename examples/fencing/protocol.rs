//! How a writer and the story talk: events as lines of JSON on its stdout, commands as words on its stdin.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Event {
    Leads {
        token: u64,
    },
    /// It has paid. It does nothing until the next command.
    Paid {
        token: u64,
    },
    /// It has checked that it leads, and is about to write.
    AboutToPay {
        token: u64,
    },
    /// The result of a write in each of the two forms.
    Late {
        token_guard: Write,
        leader_transaction: Write,
    },
    Failed {
        error: String,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Write {
    Applied,
    Refused { newest: Option<u64>, why: String },
    Failed { error: String },
}

/// The command of a writer: check again whether you lead, and then write, slowly.
pub(crate) const PAY: &str = "pay";
