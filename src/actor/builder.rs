use std::{sync::Arc, time::Duration};

use actix::{Addr, Supervisor};
use futures::channel::oneshot;
use rand::{SeedableRng as _, rngs::SmallRng};
use tokio::sync::watch;

use super::{
    LockActor, LockHandle, known_leader::LeaderPublisher, liveness::Liveness,
    subscribers::BATCH_SIZE,
};
use crate::{
    clock::{BootClock, Clock},
    driver::{LeaseEvents, OsAttempts, StartError},
    election::{AttemptSource, Config},
    lease::{CandidateId, InvalidName, Metadata, ResourceName},
    operator::Operator,
    runtime,
    store::LeaseStore,
    timing::Timing,
};

/// Configures a [`LockActor`] and starts it.
#[derive(Debug)]
#[must_use = "a lock does nothing until it is started"]
pub struct LockBuilder {
    resource: Result<ResourceName, InvalidName>,
    store: Arc<dyn LeaseStore>,
    candidate: Result<Option<CandidateId>, InvalidName>,
    metadata: Result<Option<Metadata>, InvalidName>,
    timing: Timing,
    clock: Arc<dyn Clock>,
    /// The generator of the jitter; `None` for a random one.
    rng: Option<SmallRng>,
    /// How many subscribers are sent a message before other locks run.
    batch_size: usize,
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
            batch_size: BATCH_SIZE,
            attempts: Box::new(OsAttempts),
        }
    }

    /// Sets the times of the election. Default: [`Timing::default`], a ttl of 15 s.
    pub fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Sets the id of this candidate. Default: [`CandidateId::generate`], unique per lock.
    ///
    /// Give each process an id of its own. Two processes with one id exclude each other, too, but nobody can tell them
    /// apart: a lock that sees another process renew a lease under its id warns with `tenure.same_candidate_id`,
    /// within about a ttl. A process that has restarted and finds its old lease is not taken for another one.
    pub fn candidate<N>(mut self, candidate: N) -> Self
    where
        N: TryInto<CandidateId>,
        N::Error: Into<InvalidName>,
    {
        self.candidate = candidate.try_into().map(Some).map_err(Into::into);
        self
    }

    /// Publishes a text in the record while this candidate leads, for instance its address.
    ///
    /// At most 4 KiB. Default: nothing.
    pub fn metadata(mut self, text: impl AsRef<str>) -> Self {
        self.metadata = Metadata::new(text).map(Some);
        self
    }

    /// Sets the clock that the deadline is compared with, for tests. Default: [`BootClock`].
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the generators of jitter and attempts, so that a run can be repeated.
    #[cfg(test)]
    pub(crate) fn random(mut self, rng: SmallRng, attempts: Box<dyn AttemptSource>) -> Self {
        (self.rng, self.attempts) = (Some(rng), attempts);
        self
    }

    /// Sets how many subscribers are sent a message at a time, so that a test needs only a few of them.
    #[cfg(test)]
    pub(crate) fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// Starts the lock on the thread that this crate keeps for locks. It contends when an actor has
    /// subscribed.
    ///
    /// Works under `#[actix::main]`, under `#[tokio::main]` and outside any runtime.
    ///
    /// # Errors
    /// [`StartError`] if a name or the times are not accepted, or if the thread cannot be started.
    pub fn start(self) -> Result<LockHandle, StartError> {
        self.start_by(false, |make| {
            let thread = runtime::locks().map_err(StartError::Thread)?;
            Ok(Supervisor::start_in_arbiter(&thread, |_| make()))
        })
    }

    /// Starts the lock on the current thread, for tests under paused time.
    ///
    /// It runs in the thread's actix system, or on its current-thread runtime of tokio, which must stay on this
    /// thread. A handler that blocks this thread delays renewals and step-downs.
    ///
    /// # Errors
    /// [`StartError`] if a name or the times are not accepted, if the thread has neither, or if the runtime has
    /// ended.
    pub fn start_on_current_runtime(self) -> Result<LockHandle, StartError> {
        self.start_by(true, |make| {
            Ok(runtime::on_current_runtime(|| {
                Supervisor::start(|_| make())
            })?)
        })
    }

    fn start_by(
        self,
        on_current_runtime: bool,
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
        let known = store.clone();
        let mut operator = operator(&config.timing, store.clone());
        if on_current_runtime {
            operator = operator.on_current_runtime();
        }
        let liveness = Arc::new(Liveness::new(config.clock.clone()));
        let (leader, watched) = watch::channel(None);
        let (end, ended) = oneshot::channel();
        let (rng, batch_size) = (self.rng, self.batch_size);
        let rng = rng.unwrap_or_else(|| SmallRng::from_rng(&mut rand::rng()));
        let leader = LeaderPublisher::new(leader, end);
        let make = {
            let (config, liveness, attempts) = (config.clone(), liveness.clone(), self.attempts);
            move || LockActor::new(config, store, liveness, leader, rng, attempts, batch_size)
        };
        let address = start(Box::new(make))?;
        LeaseEvents::started(&config, &*known);
        Ok(LockHandle::new(
            address, config, liveness, watched, ended, operator,
        ))
    }
}

/// For [`LockHandle::hand_over`]: it waits until a holder that obeys, or is dead, has given the lease up.
fn operator(timing: &Timing, store: Arc<dyn LeaseStore>) -> Operator {
    let polls = timing.poll_every().saturating_mul(2);
    let longest = (timing.renew_every().saturating_add(timing.yield_for()))
        .saturating_add(timing.ttl())
        .saturating_add(polls);
    Operator::new(store)
        .call_timeout(timing.call_timeout())
        .poll_every(timing.poll_every().min(Duration::from_millis(250)))
        .wait_for(longest)
}
