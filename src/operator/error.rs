use std::{io, sync::Arc, time::Duration};

use serde::{Serialize, Serializer, ser::SerializeStruct as _};
use thiserror::Error;

use super::Operator;
use crate::{
    duration::human,
    lease::{InvalidName, ResourceName},
    store::StoreError,
};

/// Why a command of an [`Operator`] failed. It serializes as `error`, the name of the variant, and `message`.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// A name, a candidate id or a note was not accepted.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The record is one of the library's own, such as the mark of a [`Once`](crate::Once).
    #[error("{resource} is a record of the library's own: it takes no command")]
    Internal {
        /// The resource.
        resource: ResourceName,
    },
    /// A purge must spare what was touched within the last hour.
    #[error(
        "a purge of records that were not touched for {} was refused: give it {} or more, because tokens go on \
         from the time of day and clocks differ",
        human(*untouched_for),
        human(Operator::PURGE_AT_LEAST)
    )]
    PurgeTooYoung {
        /// The time that was asked for.
        untouched_for: Duration,
    },
    /// Others changed the record between each read and the instruction.
    #[error("{resource} was paused and resumed by others all the time: try again")]
    Contended {
        /// The resource.
        resource: ResourceName,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Arc<StoreError>),
    /// The operating system refused a thread for the requests.
    #[error("cannot start the thread of the locks")]
    Thread(#[source] io::Error),
    /// The library's lock thread has ended.
    #[error("the library's lock thread has ended: restart the process")]
    ThreadEnded,
    /// The operator was set to use the current tokio runtime, but there is none, it has no timers, or it has ended.
    #[error(
        "this operator uses the current tokio runtime, but there is none, it has no timers, or it has ended"
    )]
    NoRuntime,
}

impl OperatorError {
    const fn name(&self) -> &'static str {
        match self {
            Self::Name(_) => "name",
            Self::Internal { .. } => "internal",
            Self::PurgeTooYoung { .. } => "purge_too_young",
            Self::Contended { .. } => "contended",
            Self::Store(_) => "store",
            Self::Thread(_) => "thread",
            Self::ThreadEnded => "thread_ended",
            Self::NoRuntime => "no_runtime",
        }
    }
}

impl Serialize for OperatorError {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut fields = to.serialize_struct("OperatorError", 2)?;
        fields.serialize_field("error", self.name())?;
        fields.serialize_field("message", &self.to_string())?;
        fields.end()
    }
}
