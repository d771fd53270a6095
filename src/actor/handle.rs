use std::{sync::Arc, time::Duration};

use actix::{Actor, Addr, Handler, Message, dev::ToEnvelope};
use thiserror::Error;

use super::{
    GetStatus, Leader, LeaderChanged, LockActor, Observe, Pause, Resume, Shutdown, Stalled, Status,
    StepDown, Subscribe, Unsubscribe, pulse::Pulse,
};
use crate::{
    election::{Config, StepDownOutcome},
    lease::{CandidateId, ResourceName},
    timing::Timing,
};

/// The thread on which the lock ran has ended, and the lock with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the thread of the lock has ended")]
pub struct Stopped;

/// A lock that was started. Clones are of the same lock; dropping the last one begins a graceful
/// [shutdown](Self::shutdown), which a process that ends at once does not wait for.
///
/// # Cancel safety
/// A future of these methods may be dropped at any time; what it asked for is done nevertheless once
/// it has been polled.
#[derive(Clone, Debug)]
pub struct LockHandle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: Addr<LockActor>,
    config: Config,
    pulse: Arc<Pulse>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.address.do_send(Shutdown);
    }
}

impl LockHandle {
    pub(super) fn new(address: Addr<LockActor>, config: Config, pulse: Arc<Pulse>) -> Self {
        Self(Arc::new(Inner {
            address,
            config,
            pulse,
        }))
    }

    /// Lets an actor follow the lock; its present state comes as its first message.
    pub fn subscribe<A: Leader>(&self, actor: &Addr<A>) {
        self.0.address.do_send(Subscribe::new(actor));
    }

    /// Lets an actor follow the lock no longer, saying that its work has stopped.
    pub fn unsubscribe<A: Leader>(&self, actor: &Addr<A>) {
        self.0.address.do_send(Unsubscribe::new(actor));
    }

    /// Tells an actor of every change of leader, without contending for it.
    pub fn observe<A>(&self, actor: &Addr<A>)
    where
        A: Actor<Context: ToEnvelope<A, LeaderChanged>> + Handler<LeaderChanged>,
    {
        self.0.address.do_send(Observe::new(actor));
    }

    /// Stops leading and does not contend for one ttl after; completes when the lease was given back
    /// or left to expire.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn step_down(&self) -> Result<StepDownOutcome, Stopped> {
        self.ask(StepDown::default()).await
    }

    /// The same with another time not to contend; zero contends again at once.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn step_down_for(&self, hold_off: Duration) -> Result<StepDownOutcome, Stopped> {
        let hold_off = Some(hold_off);
        self.ask(StepDown { hold_off }).await
    }

    /// Stops leading and does not contend until [`resume`](Self::resume); completes as
    /// [`step_down`](Self::step_down) does.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn pause(&self) -> Result<StepDownOutcome, Stopped> {
        self.ask(Pause).await
    }

    /// Contends again after a pause or a step-down.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn resume(&self) -> Result<(), Stopped> {
        self.ask(Resume).await
    }

    /// Stops leading for good; completes when the lease was given back or left to expire: at the
    /// latest after `yield_for` and three release requests.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn shutdown(&self) -> Result<StepDownOutcome, Stopped> {
        self.ask(Shutdown).await
    }

    /// What the lock is doing.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn status(&self) -> Result<Status, Stopped> {
        self.ask(GetStatus).await
    }

    /// A health check that does not ask the lock, so that it also answers when its thread is stuck:
    /// fails if the lock leads and has not renewed for longer than its ttl plus `tolerance`.
    ///
    /// A lock that runs steps down before that. Leadership is safe in either case, because
    /// [`is_current`](crate::Leadership::is_current) needs no thread; but nobody would be told.
    ///
    /// # Errors
    /// [`Stalled`] tells for how long.
    pub fn health(&self, tolerance: Duration) -> Result<(), Stalled> {
        let config = &self.0.config;
        self.0
            .pulse
            .check(&config.resource, &config.timing, tolerance)
    }

    /// The resource.
    #[must_use]
    pub fn resource(&self) -> &ResourceName {
        &self.0.config.resource
    }

    /// The candidate that this lock is.
    #[must_use]
    pub fn candidate(&self) -> &CandidateId {
        &self.0.config.candidate
    }

    /// Its times.
    #[must_use]
    pub fn timing(&self) -> &Timing {
        &self.0.config.timing
    }

    /// The address, to send messages of this crate to. It does not keep the lock up: that is shut down
    /// with its last handle.
    #[must_use]
    pub fn address(&self) -> &Addr<LockActor> {
        &self.0.address
    }

    async fn ask<M>(&self, message: M) -> Result<M::Result, Stopped>
    where
        M: Message<Result: Send> + Send + 'static,
        LockActor: Handler<M>,
    {
        self.0.address.send(message).await.map_err(|_| Stopped)
    }
}
