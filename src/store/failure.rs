#[cfg(feature = "sqlite")]
use std::sync::Arc;
use std::{error::Error, fmt::Display};

use super::{Operation, StoreError, StoreErrorKind, record::READER};

/// A [`StoreError`] without its store, operation and place, which the caller adds with [`Failure::of`].
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: StoreErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

pub(crate) type RequestResult<T> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// A record that only a newer version of this library may write.
    pub(crate) fn unsupported(resource: &str, min_reader: impl Display) -> Self {
        let message = format!(
            "the record of {resource:?} needs version {min_reader} of the record format; this library \
             supports version {READER}: update tenure"
        );
        Self::new(StoreErrorKind::Unsupported, message)
    }

    pub(crate) fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same failure for another request that failed with it, without the source.
    #[cfg(feature = "mongodb")]
    pub(crate) fn shared(&self) -> Self {
        Self::new(self.kind, self.message.clone())
    }

    /// The source, if it is an error of this type.
    #[cfg(feature = "sqlite")]
    pub(crate) fn cause<E: Error + 'static>(&self) -> Option<&E> {
        self.source.as_ref()?.downcast_ref()
    }

    /// The same failure for each request of a batch.
    #[cfg(feature = "sqlite")]
    pub(crate) fn for_each(self) -> impl Fn() -> Self {
        let source: Option<Arc<dyn Error + Send + Sync>> = self.source.map(Arc::from);
        move || Self {
            kind: self.kind,
            message: self.message.clone(),
            source: source.clone().map(Box::from),
        }
    }

    /// The error of this request. `place` is the file, the collection or the table.
    pub(crate) fn of(self, store: &'static str, operation: Operation, place: &str) -> StoreError {
        let message = format!("{place}: {}", self.message);
        let error = StoreError::new(self.kind, store, operation, message);
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}
