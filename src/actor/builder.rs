use std::sync::Arc;

use actix::{Addr, Supervisor};
use futures::channel::oneshot;
use rand::{SeedableRng as _, rngs::SmallRng};
use tokio::sync::watch;

use super::{
    LockActor, LockHandle, known_leader::LeaderWatch, liveness::Liveness, subscribers::PORTION,
};
use crate::{
    clock::{BootClock, Clock},
    driver::{OsAttempts, StartError},
    election::{AttemptSource, Config},
    lease::{CandidateId, InvalidName, Metadata, ResourceName},
    runtime,
    store::LeaseStore,
    timing::Timing,
};

/// Sets up a [`LockActor`] and starts it.
#[derive(Debug)]
#[must_use = "a lock does nothing until it is started"]
pub struct LockBuilder {
    resource: Result<ResourceName, InvalidName>,
    store: Arc<dyn LeaseStore>,
    candidate: Result<Option<CandidateId>, InvalidName>,
    metadata: Result<Option<Metadata>, InvalidName>,
    timing: Timing,
    clock: Arc<dyn Clock>,
    /// What the jitter is drawn from; a random one if there is none.
    rng: Option<SmallRng>,
    /// How many subscribers are told in one turn.
    portion: usize,
    attempts: Box<dyn AttemptSource>,
}

impl LockBuilder {
    pub(super) fn new(
        resource: Result<ResourceName, InvalidName>,
        store: Arc<dyn LeaseStore>,
    ) -> Self {
        Self {
            resource,
            store,
            candidate: Ok(None),
            metadata: Ok(None),
            timing: Timing::default(),
            clock: Arc::new(BootClock),
            rng: None,
            portion: PORTION,
            attempts: Box::new(OsAttempts),
        }
    }

    /// The times of the election. Default: [`Timing::default`], a ttl of 15 s.
    pub fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// The name of this contender. Default: [`CandidateId::generate`], unique per lock.
    pub fn candidate<N>(mut self, candidate: N) -> Self
    where
        N: TryInto<CandidateId>,
        N::Error: Into<InvalidName>,
    {
        self.candidate = candidate.try_into().map(Some).map_err(Into::into);
        self
    }

    /// What others may read in the record while this contender leads, for instance its address; at
    /// most 4 KiB. Default: nothing.
    pub fn metadata(mut self, text: impl AsRef<str>) -> Self {
        self.metadata = Metadata::new(text).map(Some);
        self
    }

    /// The holder's clock. Default: [`BootClock`]. For tests.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Where jitter and attempts are drawn from, so that a run can be repeated.
    #[cfg(test)]
    pub(crate) fn random(mut self, rng: SmallRng, attempts: Box<dyn AttemptSource>) -> Self {
        (self.rng, self.attempts) = (Some(rng), attempts);
        self
    }

    /// How many subscribers are told in one turn, so that a test with few sees several turns.
    #[cfg(test)]
    pub(crate) fn portion(mut self, portion: usize) -> Self {
        self.portion = portion;
        self
    }

    /// Starts the lock on the library's own thread. It contends as soon as an actor has subscribed.
    ///
    /// Works under `#[actix::main]`, under `#[tokio::main]` and outside any runtime.
    ///
    /// # Errors
    /// [`StartError`] if a name or the times are not accepted, or no thread can be had.
    pub fn start(self) -> Result<LockHandle, StartError> {
        self.start_by(|make| {
            let thread = runtime::locks().map_err(StartError::Thread)?;
            Ok(Supervisor::start_in_arbiter(&thread, |_| make()))
        })
    }

    /// Starts the lock on the current thread, for tests under paused time: in its actix system, or on
    /// its current-thread runtime of tokio. There a handler that blocks delays renewals and step-downs.
    ///
    /// # Errors
    /// [`StartError`] if a name or the times are not accepted, or the thread has neither.
    pub fn start_on_current_runtime(self) -> Result<LockHandle, StartError> {
        self.start_by(|make| Ok(runtime::here(|| Supervisor::start(|_| make()))?))
    }

    fn start_by(
        self,
        start: impl FnOnce(Box<dyn FnOnce() -> LockActor + Send>) -> Result<Addr<LockActor>, StartError>,
    ) -> Result<LockHandle, StartError> {
        let config = Config {
            resource: self.resource?,
            candidate: self.candidate?.unwrap_or_else(CandidateId::generate),
            timing: self.timing,
            metadata: self.metadata?,
            clock: self.clock,
        };
        let store = self.store;
        config.timing.check_minimum(store.kind(), store.min_ttl())?;
        let liveness = Arc::new(Liveness::new(config.clock.clone()));
        let (leader, watched) = watch::channel(None);
        let (end, ended) = oneshot::channel();
        let (rng, portion) = (self.rng, self.portion);
        let rng = rng.unwrap_or_else(|| SmallRng::from_rng(&mut rand::rng()));
        let (lent, beating, attempts) = (config.clone(), liveness.clone(), self.attempts);
        let leader = LeaderWatch::new(leader, end);
        let make = move || LockActor::new(lent, store, beating, leader, rng, attempts, portion);
        let address = start(Box::new(make))?;
        Ok(LockHandle::new(address, config, liveness, watched, ended))
    }
}
