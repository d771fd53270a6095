//! What a writer and the story say to each other: a line of JSON on its stdout, a word on its stdin.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Event {
    Leads {
        token: u64,
    },
    /// It has paid; until the next word it does nothing.
    Paid {
        token: u64,
    },
    /// It has found that it leads, and is about to write.
    AboutToPay {
        token: u64,
    },
    /// What came of a write by each of the two forms.
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

/// What a writer is told: to look once more whether it leads and then to write, slowly.
pub(crate) const PAY: &str = "pay";
