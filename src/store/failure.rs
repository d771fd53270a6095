use std::{error::Error, fmt::Display};

use super::{Operation, StoreError, StoreErrorKind, record::READER};

/// A [`StoreError`] in the making: it does not know yet which request of which store it belongs to.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: StoreErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

pub(crate) type Answer<T> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// A record that is for newer libraries only.
    pub(crate) fn unsupported(resource: &str, min_reader: impl Display) -> Self {
        let message = format!(
            "the record of {resource:?} asks for a library that understands version {min_reader} of \
             records; this one understands {READER}: update it"
        );
        Self::new(StoreErrorKind::Unsupported, message)
    }

    pub(crate) fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What it comes from, if that is an error of this type.
    #[cfg(feature = "sqlite")]
    pub(crate) fn cause<E: Error + 'static>(&self) -> Option<&E> {
        self.source.as_ref()?.downcast_ref()
    }

    /// The error of this request; `place` is the file or the collection.
    pub(crate) fn of(self, store: &'static str, operation: Operation, place: &str) -> StoreError {
        let message = format!("{place}: {}", self.message);
        let error = StoreError::new(self.kind, store, operation, message);
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}
