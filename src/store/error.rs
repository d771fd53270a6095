use std::{error::Error, fmt};

use serde::{Serialize, Serializer, ser::SerializeStruct as _};
use thiserror::Error;

/// Why a request to a store failed, and whether it may have been applied.
///
/// A lock retries every kind with backoff. Only [`Unknown`](Self::Unknown) may have been applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The store cannot be reached or is busy. The request was **not** applied. Look at the server and the
    /// cause that the message names.
    Unavailable,
    /// The request may have been applied, or may still be. The lock repeats a bid with the same attempt, and
    /// a renewal as it was.
    Unknown,
    /// The store asks for fewer requests. The request was not applied. Raise the database's capacity, or the
    /// ttl.
    Throttled,
    /// The credentials do not allow the request. It was not applied. Once you have corrected them, the lock
    /// continues.
    Denied,
    /// A table, a file or a setting is not as the store needs it. The request was not applied. The message
    /// says what to do.
    Misconfigured,
    /// The store cannot read what is stored. Nothing was overwritten. The message says what is wrong.
    Corrupt,
    /// The record or the request needs something that this library or this store does not have. The request
    /// was not applied.
    Unsupported,
}

impl StoreErrorKind {
    /// Whether the request may have been applied although it failed.
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

/// The request to a store that an error is about.
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
    /// [`instruct`](super::LeaseStore::instruct).
    Instruct,
    /// [`purge`](super::LeaseStore::purge).
    Purge,
    /// [`get`](super::RegisterStore::get) and [`get_many`](super::RegisterStore::get_many).
    Get,
    /// [`put`](super::RegisterStore::put).
    Put,
    /// The check of a lease within a [leader transaction](super::fencing).
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
            Self::Instruct => "instruct",
            Self::Purge => "purge",
            Self::Get => "get",
            Self::Put => "put",
            Self::Confirm => "confirm",
        })
    }
}

/// A request to a store that failed.
///
/// Its text names the store, the operation, the kind, the place (a file, a collection or a table) and what
/// to do; its source is the driver's error. It serializes as `kind`, `store`, `operation` and `message`.
#[derive(Error)]
#[error("{store} {operation}: {kind}: {message}")]
pub struct StoreError {
    kind: StoreErrorKind,
    store: &'static str,
    operation: Operation,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// As [`Display`](fmt::Display), with the causes: `main` prints the error that it returns in this form.
impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut source = self.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl StoreError {
    /// An error with a message that says what happened, where, and what to do.
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

    /// Adds the driver's error as the source.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Why the request failed.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// The [kind](super::LeaseStore::kind) of the store: `sqlite`, `mongodb`, …
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
    /// As `{"kind", "store", "operation", "message"}`. The message is the whole text with its causes.
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
