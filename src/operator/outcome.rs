use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

use super::{OperatorError, for_more};
use crate::{
    duration::{human, millis},
    lease::{CandidateId, FencingToken, Note, ResourceName},
};

/// How a [hand-over](super::Operator::hand_over) went.
///
/// Serialized as an object whose field `outcome` has the name of the variant; durations are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[non_exhaustive]
pub enum HandOverOutcome {
    /// The candidate that was named leads.
    HandedOver {
        /// Who led before.
        from: CandidateId,
        /// Who leads now.
        to: CandidateId,
        /// Its token.
        token: FencingToken,
        /// How long it took from the command until the new leader was seen.
        #[serde(rename = "took_ms", with = "millis")]
        took: Duration,
    },
    /// Another candidate leads: the one that was named did not bid in time, after which anybody may lead.
    LedByAnother {
        /// Who leads now.
        by: CandidateId,
        /// Its token.
        token: FencingToken,
        /// How long it took from the command until the new leader was seen.
        #[serde(rename = "took_ms", with = "millis")]
        took: Duration,
    },
    /// The lease was given up, and nobody has acquired it within the wait. The candidate that was named may still do
    /// so.
    NobodyLeads {
        /// How long the command has waited.
        #[serde(rename = "waited_ms", with = "millis")]
        waited: Duration,
    },
    /// The holder has not given the lease up within the wait, for instance because it is a guard. The instruction
    /// stands until the next acquisition.
    StillHeld {
        /// The holder.
        by: CandidateId,
        /// Its token.
        token: FencingToken,
        /// How long the lease stays held if it is not renewed.
        #[serde(rename = "remaining_ms", with = "millis")]
        remaining: Duration,
        /// How long the command has waited.
        #[serde(rename = "waited_ms", with = "millis")]
        waited: Duration,
    },
    /// The candidate that was named leads already. Nothing was changed.
    AlreadyLeads {
        /// Its token.
        token: FencingToken,
    },
    /// The acquisition has ended before the instruction arrived: another one has begun, or nobody holds the lease.
    /// Nothing was changed.
    NoLongerLeads {
        /// The token that no longer leads.
        token: FencingToken,
        /// Who leads now.
        leader: Option<CandidateId>,
    },
    /// Nobody holds the lease. Nothing was changed.
    NotHeld,
    /// Nobody has ever held the lease. Nothing was changed.
    NeverHeld,
    /// The resource is paused, so nobody is to lead it.
    Paused {
        /// The note of the pause.
        note: Note,
    },
}

impl HandOverOutcome {
    /// Whether the candidate that was named leads.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::HandedOver { .. } | Self::AlreadyLeads { .. })
    }
}

impl fmt::Display for HandOverOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HandedOver {
                from, to, token, ..
            } => {
                write!(f, "handed over from {from} to {to} (token {token})")?;
                took(f, self)
            }
            Self::LedByAnother { by, token, .. } => {
                write!(f, "led by another candidate: {by} (token {token})")?;
                took(f, self)
            }
            Self::NobodyLeads { waited } => {
                write!(f, "given up, but nobody leads after {}", human(*waited))
            }
            Self::StillHeld {
                by,
                token,
                remaining,
                waited,
            } => write!(
                f,
                "still held by {by} (token {token}) after {}, {}",
                human(*waited),
                for_more(*remaining)
            ),
            Self::AlreadyLeads { token } => write!(f, "leads already (token {token})"),
            Self::NoLongerLeads { token, .. } => write!(f, "token {token} no longer leads"),
            Self::NotHeld => f.write_str("nobody leads"),
            Self::NeverHeld => f.write_str("nobody has ever led"),
            Self::Paused { note } => write!(f, "paused: {note}"),
        }
    }
}

fn took(f: &mut fmt::Formatter<'_>, outcome: &HandOverOutcome) -> fmt::Result {
    match outcome {
        HandOverOutcome::HandedOver { took, .. } | HandOverOutcome::LedByAnother { took, .. } => {
            write!(f, " after {}", human(*took))
        }
        _ => Ok(()),
    }
}

/// How a [pause](super::Operator::pause) went. In every case but the last one, the pause stands.
///
/// Serialized as [`HandOverOutcome`] is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[non_exhaustive]
pub enum PauseOutcome {
    /// Nobody holds the lease, and nobody can acquire it.
    Paused {
        /// How long it took from the command until nobody held the lease.
        #[serde(rename = "took_ms", with = "millis")]
        took: Duration,
    },
    /// The lease was still held when the wait was over. What is at work under a guard or a `Once` goes on; nobody
    /// can acquire the lease after it.
    StillHeld {
        /// The holder.
        by: CandidateId,
        /// Its token.
        token: FencingToken,
        /// How long the lease stays held if it is not renewed.
        #[serde(rename = "remaining_ms", with = "millis")]
        remaining: Duration,
        /// How long the command has waited.
        #[serde(rename = "waited_ms", with = "millis")]
        waited: Duration,
    },
    /// Another operator has resumed the resource meanwhile.
    ResumedMeanwhile,
}

impl PauseOutcome {
    /// Whether nobody holds the lease, and nobody can acquire it.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Paused { .. })
    }
}

impl fmt::Display for PauseOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paused { took } => {
                write!(f, "paused: nobody holds it, after {}", human(*took))
            }
            Self::StillHeld {
                by,
                token,
                remaining,
                waited,
            } => write!(
                f,
                "paused, but still held by {by} (token {token}) after {}, {}",
                human(*waited),
                for_more(*remaining)
            ),
            Self::ResumedMeanwhile => f.write_str("resumed by another operator meanwhile"),
        }
    }
}

/// How a [resumption](super::Operator::resume) went. Serialized as [`HandOverOutcome`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResumeOutcome {
    /// The pause has ended.
    Resumed,
    /// The resource was not paused. A pause that was still on its way no longer has an effect.
    NotPaused,
}

impl fmt::Display for ResumeOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resumed => "resumed",
            Self::NotPaused => "was not paused",
        })
    }
}

/// How an [eviction](super::Operator::evict) went. Serialized as [`HandOverOutcome`] is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EvictOutcome {
    /// The acquisition is not renewed any more.
    Evicted {
        /// The holder.
        by: CandidateId,
        /// Its token.
        token: FencingToken,
        /// How long it takes until the lease can be acquired; zero if it was freed.
        #[serde(rename = "free_in_ms", with = "millis")]
        free_in: Duration,
    },
    /// The acquisition has ended before the eviction arrived. Nothing was changed.
    NoLongerLeads {
        /// The token that no longer leads.
        token: FencingToken,
    },
    /// Nobody holds the lease. Nothing was changed.
    NotHeld,
}

impl fmt::Display for EvictOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evicted { by, token, free_in } => {
                write!(
                    f,
                    "evicted {by} (token {token}): free in {}",
                    human(*free_in)
                )
            }
            Self::NoLongerLeads { token } => write!(f, "token {token} no longer leads"),
            Self::NotHeld => f.write_str("nobody holds it"),
        }
    }
}

/// How a command went for one resource of a scope.
///
/// Serialized as the outcome or the error, with the field `resource` beside it.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct OfResource<T: Serialize> {
    /// The resource.
    pub resource: ResourceName,
    /// How it went.
    #[serde(flatten, serialize_with = "either")]
    pub result: Result<T, OperatorError>,
}

fn either<T: Serialize, S: Serializer>(
    result: &Result<T, OperatorError>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match result {
        Ok(outcome) => outcome.serialize(to),
        Err(error) => error.serialize(to),
    }
}
