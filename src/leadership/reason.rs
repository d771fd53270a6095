use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::lease::{CandidateId, EndReason};

/// Why a candidate follows, or why a leadership ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// It has not led yet, or its lock has restarted: the first state.
    #[error("not elected yet")]
    NotElected,
    /// It was told to step down, or its last subscriber is gone.
    #[error("stepped down")]
    SteppedDown,
    /// It [gave up by itself](super::Leadership::resign), because it could not do its work.
    #[error("resigned")]
    Resigned,
    /// An operator asked it to hand over to another candidate.
    #[error("handed over to {to}")]
    HandedOver {
        /// Who is to lead next.
        to: CandidateId,
    },
    /// It was paused: this lock alone, or the resource for all candidates.
    #[error("paused")]
    Paused,
    /// It was shut down.
    #[error("shut down")]
    Shutdown,
    /// Another candidate has acquired the lease: the record shows a newer token.
    #[error("deposed by {by}")]
    Deposed {
        /// Who holds, or last held, the newer token.
        by: CandidateId,
    },
    /// An operator evicted it.
    #[error("evicted")]
    Evicted,
    /// The deadline passed after requests that failed or hung, or the store has lost the record.
    #[error("the store could not be reached before the deadline")]
    StoreLost,
    /// It was held for the `max_hold` that was set for it.
    #[error("held for as long as allowed")]
    MaxHold,
    /// The deadline passed without a failed request, for instance while the process was frozen. Or the lease has
    /// expired by the clock of the store.
    #[error("the lease expired before it was renewed: this process was frozen or short of CPU")]
    Expired,
}

impl Reason {
    /// Whether the leadership ended without a command, so that its work may have been interrupted.
    #[must_use]
    pub const fn is_involuntary(&self) -> bool {
        match self {
            Self::Deposed { .. }
            | Self::Evicted
            | Self::StoreLost
            | Self::MaxHold
            | Self::Expired => true,
            Self::NotElected
            | Self::SteppedDown
            | Self::Resigned
            | Self::HandedOver { .. }
            | Self::Paused
            | Self::Shutdown => false,
        }
    }

    /// The reason as the history of a record has it; `None` if there was no lease to release.
    pub(crate) const fn for_history(&self) -> Option<EndReason> {
        match self {
            Self::SteppedDown => Some(EndReason::SteppedDown),
            Self::Resigned => Some(EndReason::Resigned),
            Self::HandedOver { .. } => Some(EndReason::HandedOver),
            Self::Paused => Some(EndReason::Paused),
            Self::Shutdown => Some(EndReason::Shutdown),
            Self::MaxHold => Some(EndReason::MaxHold),
            Self::Evicted => Some(EndReason::Evicted),
            Self::NotElected | Self::Deposed { .. } | Self::StoreLost | Self::Expired => None,
        }
    }
}
