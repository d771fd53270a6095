use std::{sync::Arc, time::Duration};

use serde::Serialize;

use super::outages::{self, OutageMembership};
use crate::{
    clock::Moment,
    duration::millis,
    election::Config,
    store::{LeaseStore, StoreError},
};

/// How a store has been answering a lock.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct StoreStatus {
    /// How long ago the first of the [`failures`](Self::failures) was sent; `None` if the last request
    /// succeeded.
    #[serde(rename = "failing_for_ms", serialize_with = "millis::serialize_option")]
    pub failing_for: Option<Duration>,
    /// Failed requests since the last one that succeeded.
    pub failures: u64,
    /// The last error, also after the store has recovered.
    pub last_error: Option<Arc<StoreError>>,
}

/// Whether the store answers one lock. The log has one line for all locks of a store: see [`OutageMembership`].
#[derive(Debug)]
pub(crate) struct StoreHealth {
    store: Arc<dyn LeaseStore>,
    /// When the first of the failed requests was sent.
    failing_since: Option<Moment>,
    failures: u64,
    last_error: Option<Arc<StoreError>>,
    concerned: Option<OutageMembership>,
}

impl StoreHealth {
    pub(crate) fn new(store: Arc<dyn LeaseStore>) -> Self {
        Self {
            store,
            failing_since: None,
            failures: 0,
            last_error: None,
            concerned: None,
        }
    }

    pub(crate) fn succeeded(&mut self, config: &Config, now: Moment) {
        outages::answered(&self.store, self.concerned.take(), config, now);
        self.failing_since = None;
        self.failures = 0;
    }

    /// A request that was sent at `sent_at` has failed. Returns the error, shared.
    pub(crate) fn failed(
        &mut self,
        error: StoreError,
        config: &Config,
        sent_at: Moment,
        now: Moment,
    ) -> Arc<StoreError> {
        self.failures += 1;
        self.failing_since.get_or_insert(sent_at);
        let kind = error.kind();
        // A lock takes part in one outage: it leaves the old one before it joins another.
        self.concerned = self.concerned.take().filter(|known| known.covers(kind));
        self.concerned
            .get_or_insert_with(|| OutageMembership::new(&self.store, kind, &config.resource))
            .failed(&self.store, &error, config, sent_at, now);
        let error = Arc::new(error);
        self.last_error = Some(error.clone());
        error
    }

    /// The error of the last request, if it failed.
    pub(crate) fn present_error(&self) -> Option<Arc<StoreError>> {
        self.failing_since.and_then(|_| self.last_error.clone())
    }

    /// How long ago the first failed request was sent; `None` if the last request succeeded.
    pub(crate) fn failing_for(&self, now: Moment) -> Option<Duration> {
        self.failing_since.map(|since| since.until(now))
    }

    pub(crate) fn status(&self, now: Moment) -> StoreStatus {
        StoreStatus {
            failing_for: self.failing_for(now),
            failures: self.failures,
            last_error: self.last_error.clone(),
        }
    }
}
