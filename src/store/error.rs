use std::{error::Error, fmt};

use serde::{Serialize, Serializer, ser::SerializeStruct as _};
use thiserror::Error;

/// Why a store did not answer a request, and whether the request may have been applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The store could not be reached or is busy; the request was **not** applied. Retried with
    /// backoff.
    Unavailable,
    /// The request may have been applied, now or later. A bid is asked again with the same attempt, a
    /// renewal is sent again.
    Unknown,
    /// The store asks for fewer requests; not applied. Retried with backoff.
    Throttled,
    /// The credentials do not allow it; not applied. Retried with backoff, in case they are mended.
    Denied,
    /// A table, file or setting is not as needed; not applied. Retried with backoff; the message says
    /// what to do.
    Misconfigured,
    /// What is stored cannot be understood; nothing was overwritten. Retried with backoff.
    Corrupt,
    /// The record, or the request, needs something that this library or this store does not have; not
    /// applied. Retried with backoff.
    Unsupported,
}

impl StoreErrorKind {
    /// Whether the request may have been applied in spite of the error.
    #[must_use]
    pub const fn may_have_been_applied(self) -> bool {
        matches!(self, Self::Unknown)
    }
}

impl fmt::Display for StoreErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "unavailable",
            Self::Unknown => "outcome unknown",
            Self::Throttled => "throttled",
            Self::Denied => "denied",
            Self::Misconfigured => "misconfigured",
            Self::Corrupt => "corrupt",
            Self::Unsupported => "unsupported",
        })
    }
}

/// A request to a store, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Operation {
    /// Opening the store.
    Open,
    /// [`prepare`](super::LeaseStore::prepare).
    Prepare,
    /// [`acquire`](super::LeaseStore::acquire).
    Acquire,
    /// [`renew`](super::LeaseStore::renew).
    Renew,
    /// [`release`](super::LeaseStore::release).
    Release,
    /// [`read`](super::LeaseStore::read).
    Read,
    /// [`list`](super::LeaseStore::list).
    List,
    /// [`evict`](super::LeaseStore::evict).
    Evict,
    /// The look at a lease within a [leader transaction](super::fencing).
    Confirm,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Prepare => "prepare",
            Self::Acquire => "acquire",
            Self::Renew => "renew",
            Self::Release => "release",
            Self::Read => "read",
            Self::List => "list",
            Self::Evict => "evict",
            Self::Confirm => "confirm",
        })
    }
}

/// A request that a store did not answer as the contract says.
#[derive(Debug, Error)]
#[error("{store} {operation}: {kind}: {message}")]
pub struct StoreError {
    kind: StoreErrorKind,
    store: &'static str,
    operation: Operation,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// An error whose message says what happened, where, and what to do.
    pub fn new(
        kind: StoreErrorKind,
        store: &'static str,
        operation: Operation,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            store,
            operation,
            message: message.into(),
            source: None,
        }
    }

    /// The same with the error of the driver that caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of error it is.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// The kind of store.
    #[must_use]
    pub const fn store(&self) -> &'static str {
        self.store
    }

    /// The request that failed.
    #[must_use]
    pub const fn operation(&self) -> Operation {
        self.operation
    }
}

impl Serialize for StoreError {
    /// As `{"kind", "store", "operation", "message"}`; the message is the whole text with the causes.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut fields = to.serialize_struct("StoreError", 4)?;
        fields.serialize_field("kind", &self.kind)?;
        fields.serialize_field("store", self.store)?;
        fields.serialize_field("operation", &self.operation)?;
        fields.serialize_field("message", &WithCauses(self).to_string())?;
        fields.end()
    }
}

/// An error with its causes, in one line.
pub(crate) struct WithCauses<'a>(pub(crate) &'a dyn Error);

impl fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
