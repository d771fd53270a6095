use std::{sync::Arc, time::Duration};

use serde::Serialize;

use crate::{
    clock::Moment,
    duration::millis,
    election::Config,
    store::{StoreError, StoreErrorKind, WithCauses},
};

/// How a store has been answering a lock.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct StoreStatus {
    /// For how long no request has succeeded; `None` while they do.
    #[serde(rename = "failing_for_ms", serialize_with = "millis::serialize_option")]
    pub failing_for: Option<Duration>,
    /// Failed requests since the last one that succeeded.
    pub failures: u64,
    /// The last error, also after the store has recovered.
    pub last_error: Option<Arc<StoreError>>,
}

/// Whether the store answers: one warning when it begins to fail or fails in another way, one line
/// when it answers again, nothing in between.
#[derive(Debug, Default)]
pub(crate) struct StoreHealth {
    failing: Option<(Moment, StoreErrorKind)>,
    failures: u64,
    last_error: Option<Arc<StoreError>>,
}

impl StoreHealth {
    pub(crate) fn succeeded(&mut self, config: &Config, now: Moment) {
        if let Some((since, _)) = self.failing.take() {
            tracing::info!(
                name: "tenure.store_recovered",
                resource = %config.resource,
                candidate = %config.candidate,
                failures = self.failures,
                failing_for = ?since.until(now),
                "the store answers again"
            );
        }
        self.failures = 0;
    }

    /// Gives the error back, shared.
    pub(crate) fn failed(
        &mut self,
        error: StoreError,
        config: &Config,
        now: Moment,
    ) -> Arc<StoreError> {
        self.failures += 1;
        let kind = error.kind();
        let (since, before) = self
            .failing
            .map_or((now, None), |(since, kind)| (since, Some(kind)));
        self.failing = Some((since, kind));
        if before != Some(kind) {
            tracing::warn!(
                name: "tenure.store_failing",
                resource = %config.resource,
                candidate = %config.candidate,
                kind = %kind,
                error = %WithCauses(&error),
                "the store does not answer as it should; trying on"
            );
        }
        let error = Arc::new(error);
        self.last_error = Some(error.clone());
        error
    }

    /// The error of the last request, if it failed.
    pub(crate) fn present_error(&self) -> Option<Arc<StoreError>> {
        self.failing.and_then(|_| self.last_error.clone())
    }

    pub(crate) fn status(&self, now: Moment) -> StoreStatus {
        StoreStatus {
            failing_for: self.failing.map(|(since, _)| since.until(now)),
            failures: self.failures,
            last_error: self.last_error.clone(),
        }
    }
}
