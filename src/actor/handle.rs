use std::{sync::Arc, time::Duration};

use actix::{Actor, Addr, Handler, dev::ToEnvelope};
use futures::channel::oneshot;
use thiserror::Error;

use super::{
    GetStatus, Leader, LeaderChanged, LockActor, Observe, Shutdown, Stalled, Status, Subscribe,
    Unsubscribe,
    messages::{Command, What},
    pulse::Pulse,
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
    /// It waits for the subscribers: a handler of `BecameLeader` or `BecameFollower` that awaits it
    /// waits for itself, until `yield_for` is over. There, send [`StepDown`](super::StepDown) to the
    /// [`address`](Self::address) with `do_send`.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn step_down(&self) -> Result<StepDownOutcome, Stopped> {
        self.command(What::StepDown { hold_off: None }).await
    }

    /// The same with another time not to contend; zero contends again at once.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn step_down_for(&self, hold_off: Duration) -> Result<StepDownOutcome, Stopped> {
        let hold_off = Some(hold_off);
        self.command(What::StepDown { hold_off }).await
    }

    /// Stops leading and does not contend until [`resume`](Self::resume); completes as
    /// [`step_down`](Self::step_down) does.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn pause(&self) -> Result<StepDownOutcome, Stopped> {
        self.command(What::Pause).await
    }

    /// Contends again after a pause or a step-down.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn resume(&self) -> Result<(), Stopped> {
        self.command(What::Resume).await.map(drop)
    }

    /// Stops leading for good; completes when the lease was given back or left to expire: at the
    /// latest after `yield_for`, the request under way and three release requests, each of at most
    /// `call_timeout`, and the pauses between them.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn shutdown(&self) -> Result<StepDownOutcome, Stopped> {
        self.command(What::Shutdown).await
    }

    /// What the lock is doing.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn status(&self) -> Result<Status, Stopped> {
        let status = self.0.address.send(GetStatus);
        status.await.map_err(|_| Stopped)
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

    async fn command(&self, what: What) -> Result<StepDownOutcome, Stopped> {
        let (answer, answered) = oneshot::channel();
        self.0.address.do_send(Command { what, answer });
        answered.await.map_err(|_| Stopped)
    }
}
