use std::{fmt, time::Duration};

use serde::Serialize;

use crate::duration::{human, millis};

/// What an election is doing.
///
/// Serialized as an object whose field `state` is `standby`, `leading`, `yielding` or `idle`; idle has
/// the fields of [`IdleReason`] beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ElectionState {
    /// Contends for the lease.
    Standby,
    /// Leads.
    Leading,
    /// No longer leads, and waits for its subscribers to acknowledge, for at most `yield_for`.
    Yielding,
    /// Does not contend.
    Idle(IdleReason),
}

/// Why a candidate does not contend. If several reasons apply, it is the first of them in this order.
///
/// Serialized as an object whose field `idle_because` has the name of the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(tag = "idle_because", rename_all = "snake_case")]
#[non_exhaustive]
pub enum IdleReason {
    /// It was shut down, and never contends again.
    ShutDown,
    /// It was paused and not resumed.
    Paused,
    /// No live actor is subscribed.
    NoSubscriber,
    /// A subscriber has not acknowledged a message.
    AwaitingAcknowledgement,
    /// It has stepped down, and lets others lead first.
    HeldOff {
        /// How long it still does not contend.
        #[serde(rename = "held_off_for_ms", with = "millis")]
        remaining: Duration,
    },
}

impl ElectionState {
    /// Whether it does not contend.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        matches!(self, Self::Idle(_))
    }
}

impl fmt::Display for ElectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standby => f.write_str("standby"),
            Self::Leading => f.write_str("leading"),
            Self::Yielding => f.write_str("yielding"),
            Self::Idle(reason) => write!(f, "idle: {reason}"),
        }
    }
}

impl fmt::Display for IdleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShutDown => f.write_str("shut down"),
            Self::Paused => f.write_str("paused"),
            Self::NoSubscriber => f.write_str("no subscriber"),
            Self::AwaitingAcknowledgement => {
                f.write_str("a subscriber has not acknowledged a message")
            }
            Self::HeldOff { remaining } => write!(f, "held off for {} more", human(*remaining)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_reads_as_a_line_and_serializes_flat() {
        let remaining = Duration::from_millis(1500);
        for (state, text, json) in [
            (ElectionState::Leading, "leading", r#"{"state":"leading"}"#),
            (
                ElectionState::Idle(IdleReason::Paused),
                "idle: paused",
                r#"{"state":"idle","idle_because":"paused"}"#,
            ),
            (
                ElectionState::Idle(IdleReason::HeldOff { remaining }),
                "idle: held off for 1.5 s more",
                r#"{"state":"idle","idle_because":"held_off","held_off_for_ms":1500}"#,
            ),
        ] {
            assert_eq!(state.to_string(), text);
            assert_eq!(serde_json::to_string(&state).unwrap(), json);
        }
    }

    #[test]
    fn only_an_idle_election_is_idle() {
        let idle = ElectionState::Idle(IdleReason::Paused);
        assert!(idle.is_idle());
        let others = [
            ElectionState::Standby,
            ElectionState::Leading,
            ElectionState::Yielding,
        ];
        assert!(!others.iter().any(ElectionState::is_idle));
    }
}
