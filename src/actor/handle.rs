use std::{sync::Arc, time::Duration};

use actix::{Actor, Addr, Handler, dev::ToEnvelope};
use futures::{FutureExt as _, channel::oneshot, future::Shared};
use thiserror::Error;
use tokio::sync::watch;

use super::{
    GetStatus, KnownLeader, Leader, LeaderChanged, LockActor, Observe, Shutdown, Stalled, Status,
    Subscribe, Unsubscribe,
    liveness::Liveness,
    messages::{Command, CommandKind, Watched},
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
    liveness: Arc<Liveness>,
    leader: watch::Receiver<Option<KnownLeader>>,
    ended: Shared<oneshot::Receiver<()>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.address.do_send(Shutdown);
    }
}

impl LockHandle {
    pub(super) fn new(
        address: Addr<LockActor>,
        config: Config,
        liveness: Arc<Liveness>,
        leader: watch::Receiver<Option<KnownLeader>>,
        ended: oneshot::Receiver<()>,
    ) -> Self {
        Self(Arc::new(Inner {
            address,
            config,
            liveness,
            leader,
            ended: ended.shared(),
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
        self.command(CommandKind::StepDown { hold_off: None }).await
    }

    /// The same with another time not to contend; zero contends again at once.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn step_down_for(&self, hold_off: Duration) -> Result<StepDownOutcome, Stopped> {
        let hold_off = Some(hold_off);
        self.command(CommandKind::StepDown { hold_off }).await
    }

    /// Stops leading and does not contend until [`resume`](Self::resume); completes as
    /// [`step_down`](Self::step_down) does.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn pause(&self) -> Result<StepDownOutcome, Stopped> {
        self.command(CommandKind::Pause).await
    }

    /// Contends again after a pause or a step-down.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn resume(&self) -> Result<(), Stopped> {
        self.command(CommandKind::Resume).await.map(drop)
    }

    /// Stops leading for good; completes when the lease was given back or left to expire: at the
    /// latest after `yield_for`, the request under way and three release requests, each of at most
    /// `call_timeout`, and the pauses between them.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn shutdown(&self) -> Result<StepDownOutcome, Stopped> {
        self.command(CommandKind::Shutdown).await
    }

    /// What the lock is doing.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn status(&self) -> Result<Status, Stopped> {
        let status = self.0.address.send(GetStatus);
        status.await.map_err(|_| Stopped)
    }

    /// Whether the thread of the lock runs, for a liveness probe. It asks neither the lock nor the store:
    /// it also answers when that thread is stuck, and an outage of the store does not make it fail. It says
    /// nothing about leading.
    ///
    /// A stuck thread makes no leadership unsafe, because
    /// [`is_current`](crate::Leadership::is_current) needs no thread. But leases are not renewed, and nobody
    /// is told.
    ///
    /// # Errors
    /// [`Stalled`] if the thread has not run for 10 s of the lock's clock; it says four times a second that
    /// it runs. For up to 250 ms after the machine has slept it may fail because of the sleep: let a probe
    /// fail more than once before you act.
    pub fn liveness(&self) -> Result<(), Stalled> {
        self.0.liveness.check(self.resource())
    }

    /// Whether this lock leads: whether its last [`Leadership`](crate::Leadership) is
    /// [current](crate::Leadership::is_current). It needs no thread and no request.
    ///
    /// For routing and status pages. Work asks the `Leadership` that it was given, which is of one
    /// acquisition. Do not make *readiness* depend on it: all processes but one would never be ready, and
    /// a rollout that waits for readiness would not end.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.0.liveness.is_leader()
    }

    /// Who leads, to look at and to wait for on any runtime.
    ///
    /// - `Some` while this lock believes in its own lease, and while the last record that the store
    ///   showed has a holder and has not run out. It never claims more than that record: a leader that
    ///   has crashed stays there for up to its ttl.
    /// - `None` until the store has shown a leader, after a release, and when the record has run out and was
    ///   not seen renewed, as in an outage. Also when this lock's own lease has ended, until another
    ///   holder is seen.
    /// - When the lock was shut down or its thread has ended, it is `None` and
    ///   [`changed`](watch::Receiver::changed) fails.
    ///
    /// A lock that contends looks every `poll_every`. So does one without subscribers or that is paused, as
    /// long as there is such a receiver. The lock's thread sets the value: it is out of date if that is
    /// [stuck](Self::liveness).
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tenure::{LockActor, MemoryStore};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let lock = LockActor::builder("jobs/reports", Arc::new(MemoryStore::new())).start()?;
    /// let leader = lock.watch_leader();
    /// assert!(leader.borrow().is_none(), "nobody leads yet");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn watch_leader(&self) -> watch::Receiver<Option<KnownLeader>> {
        let leader = self.0.leader.clone();
        self.0.address.do_send(Watched);
        leader
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

    /// Completes when the lock was shut down, or its thread has ended.
    pub(crate) async fn ended(&self) {
        // The sender is only dropped.
        let _ = self.0.ended.clone().await;
    }

    async fn command(&self, what: CommandKind) -> Result<StepDownOutcome, Stopped> {
        let (answer, answered) = oneshot::channel();
        self.0.address.do_send(Command { what, answer });
        answered.await.map_err(|_| Stopped)
    }
}
