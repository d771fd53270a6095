use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::{CandidateId, FencingToken, Note, record::unix_millis};

/// What an operator asks of a lease, as a store receives it.
///
/// A pause and a hand-over are kept separately, so neither erases the other. While both stand, the pause wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// The holder under this token is to give the lease to another candidate.
    ///
    /// It stands until the next acquisition.
    HandOver {
        /// The acquisition to end.
        token: FencingToken,
        /// Who is to lead next.
        to: CandidateId,
    },
    /// Nobody is to hold the lease until [`Resume`](Self::Resume).
    Pause {
        /// Why, for people.
        note: Note,
        /// The [edition](super::LeaseRecord::edition) that the operator has read; 0 if there was no record. If
        /// the record has another one, nothing is changed, so a late copy of the instruction does nothing.
        edition: u64,
    },
    /// The lease may be acquired again.
    Resume {
        /// As in [`Pause`](Self::Pause).
        edition: u64,
    },
}

/// What a holder is asked to do, as it learns with a renewal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StandingInstruction {
    /// Stop, and let this candidate lead next.
    HandOver {
        /// Who is to lead next.
        to: CandidateId,
    },
    /// Stop. Nobody is to lead until the resource is resumed.
    Pause {
        /// Why, for people.
        note: Note,
    },
}

impl StandingInstruction {
    /// What is to be done if these stand in a record. A pause wins over a hand-over.
    pub(crate) fn of(pause: Option<&PauseRecord>, hand_over: Option<&CandidateId>) -> Option<Self> {
        match (pause, hand_over) {
            (Some(PauseRecord { note, .. }), _) => Some(Self::Pause { note: note.clone() }),
            (None, Some(to)) => Some(Self::HandOver { to: to.clone() }),
            (None, None) => None,
        }
    }
}

/// A pause that stands in a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseRecord {
    /// Why, for people.
    pub note: Note,
    /// When the pause was written, by the store's wall clock. It is for people.
    #[serde(with = "unix_millis")]
    pub since: SystemTime,
}

/// How an acquisition ended, as its holder or an operator has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndReason {
    /// The holder stepped down on a command, or its last subscriber was gone.
    SteppedDown,
    /// The holder could not do its work, and gave up.
    Resigned,
    /// An operator asked the holder to hand over.
    HandedOver,
    /// The holder was paused.
    Paused,
    /// The holder was shut down.
    Shutdown,
    /// The lease was held for as long as allowed.
    MaxHold,
    /// The holder of a plain lock released it.
    Unlocked,
    /// An operator evicted the holder.
    Evicted,
    /// A reason that this version of the library does not know.
    #[serde(other)]
    Other,
}

impl EndReason {
    const ALL: [Self; 9] = [
        Self::SteppedDown,
        Self::Resigned,
        Self::HandedOver,
        Self::Paused,
        Self::Shutdown,
        Self::MaxHold,
        Self::Unlocked,
        Self::Evicted,
        Self::Other,
    ];

    /// The name under which stores keep it, for instance `stepped_down`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SteppedDown => "stepped_down",
            Self::Resigned => "resigned",
            Self::HandedOver => "handed_over",
            Self::Paused => "paused",
            Self::Shutdown => "shutdown",
            Self::MaxHold => "max_hold",
            Self::Unlocked => "unlocked",
            Self::Evicted => "evicted",
            Self::Other => "other",
        }
    }

    /// The reason with this name; [`Other`](Self::Other) if the name is not known.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        let known = Self::ALL.into_iter().find(|reason| reason.as_str() == name);
        known.unwrap_or(Self::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_kept_under_the_name_that_it_is_serialized_with() {
        for reason in EndReason::ALL {
            let json = serde_json::to_string(&reason).unwrap();
            assert_eq!(json, format!("{:?}", reason.as_str()));
            assert_eq!(EndReason::from_name(reason.as_str()), reason);
        }
        assert_eq!(EndReason::from_name("abdicated"), EndReason::Other);
        let unknown: EndReason = serde_json::from_str("\"abdicated\"").unwrap();
        assert_eq!(unknown, EndReason::Other);
    }
}
