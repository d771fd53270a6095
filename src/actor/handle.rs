use std::{sync::Arc, time::Duration};

use actix::{Actor, Addr, Handler, dev::ToEnvelope};
use futures::{FutureExt as _, channel::oneshot, future::Shared};
use thiserror::Error;
use tokio::sync::watch;

use super::{
    GetStatus, KnownLeader, Leader, LeaderChanged, LeaderWatch, LockActor, Observe, Shutdown,
    Status, Subscribe, ThreadStalled, Unsubscribe,
    liveness::Liveness,
    messages::{Command, CommandKind, LeaderWatchStarted},
};
use crate::{
    election::{Config, StepDownOutcome},
    lease::{CandidateId, InvalidName, ResourceName},
    operator::{HandOverOutcome, Operator, OperatorError},
    timing::Timing,
};

/// The lock no longer runs, because its thread has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the thread of the lock has ended")]
pub struct ThreadEnded;

/// A handle to a running lock. Clones refer to the same lock.
///
/// Dropping the last handle begins a [shutdown](Self::shutdown) in the background. A process that exits
/// right after does not wait for it; call [`shutdown`](Self::shutdown) there.
///
/// # Cancel safety
/// You may drop the futures of these methods at any time. A command is carried out once its future has
/// been polled, even if you then drop the future.
#[derive(Clone, Debug)]
pub struct LockHandle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: Addr<LockActor>,
    config: Config,
    liveness: Arc<Liveness>,
    leader: watch::Receiver<Option<KnownLeader>>,
    ended: Shared<oneshot::Receiver<()>>,
    operator: Operator,
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
        operator: Operator,
    ) -> Self {
        Self(Arc::new(Inner {
            address,
            config,
            liveness,
            leader,
            ended: ended.shared(),
            operator,
        }))
    }

    /// Subscribes an actor. Its first message is the present state; [`Leader`] says what follows.
    pub fn subscribe<A: Leader>(&self, actor: &Addr<A>) {
        self.0.address.do_send(Subscribe::new(actor));
    }

    /// Ends the subscription of an actor whose work has stopped: see [`Unsubscribe`].
    pub fn unsubscribe<A: Leader>(&self, actor: &Addr<A>) {
        self.0.address.do_send(Unsubscribe::new(actor));
    }

    /// Sends an actor a [`LeaderChanged`] for every change of leader. The lock does not contend for observers.
    pub fn observe<A>(&self, actor: &Addr<A>)
    where
        A: Actor<Context: ToEnvelope<A, LeaderChanged>> + Handler<LeaderChanged>,
    {
        self.0.address.do_send(Observe::new(actor));
    }

    /// Stops leading, and does not contend for one ttl after the lease was given up.
    ///
    /// In this order:
    ///
    /// 1. `BecameFollower` is sent to every subscriber. [`Leadership::lost`](crate::Leadership::lost)
    ///    completes; [`is_current`](crate::Leadership::is_current) stays true and the lease is renewed.
    /// 2. When every subscriber has acknowledged, `is_current` becomes false and the lease is released.
    ///    If one does not acknowledge within `yield_for` or has died without acknowledging, or if the store
    ///    does not confirm the release, the lease expires instead.
    /// 3. The future completes. [`Released`](StepDownOutcome::Released): another candidate can acquire
    ///    the lease now. [`LeftToExpire`](StepDownOutcome::LeftToExpire): it can do so up to a ttl later.
    ///    [`NotLeading`](StepDownOutcome::NotLeading): the lock did not lead, or no longer had the lease.
    ///
    /// Do not await it in a handler of `BecameLeader` or `BecameFollower`: it would wait for that handler
    /// until `yield_for` is over. There, send [`StepDown`](super::StepDown) to the
    /// [`address`](Self::address) with `do_send`.
    ///
    /// # Errors
    /// [`ThreadEnded`].
    pub async fn step_down(&self) -> Result<StepDownOutcome, ThreadEnded> {
        self.command(CommandKind::StepDown { hold_off: None }).await
    }

    /// As [`step_down`](Self::step_down), but does not contend for `hold_off`; with zero it contends again
    /// at once.
    ///
    /// # Errors
    /// [`ThreadEnded`].
    pub async fn step_down_for(&self, hold_off: Duration) -> Result<StepDownOutcome, ThreadEnded> {
        let hold_off = Some(hold_off);
        self.command(CommandKind::StepDown { hold_off }).await
    }

    /// Asks the present leader to give the lease to another candidate, and waits for the next leader.
    ///
    /// It works from every handle of the resource, not only from that of the leader, and also while this lock does
    /// not contend: the request goes to the store and names the token that it shows. Who leads stops as in a
    /// [step-down](Self::step_down), with [`Reason::HandedOver`](crate::Reason::HandedOver). The store lets `to` come
    /// first; if it does not come, anybody may lead after one `poll_every`. See [`Operator::hand_over`].
    ///
    /// It waits for at most `renew_every` + `yield_for` + one ttl + two `poll_every`, which is enough if all
    /// candidates have the same times. Do not await it in a handler of `BecameLeader` or `BecameFollower`.
    ///
    /// # Errors
    /// As [`Operator::hand_over`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tenure::{LockActor, MemoryStore, operator::HandOverOutcome};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let lock = LockActor::builder("jobs/reports", Arc::new(MemoryStore::new())).start()?;
    /// let outcome = lock.hand_over("replica-2").await?;
    /// assert_eq!(outcome, HandOverOutcome::NeverHeld);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn hand_over<N>(&self, to: N) -> Result<HandOverOutcome, OperatorError>
    where
        N: TryInto<CandidateId>,
        N::Error: Into<InvalidName>,
    {
        let resource = self.resource().clone();
        self.0.operator.hand_over(resource, to).await
    }

    /// Stops leading as [`step_down`](Self::step_down) does, and does not contend until
    /// [`resume`](Self::resume).
    ///
    /// It concerns this lock only: other candidates may lead. To pause the resource for all candidates, use
    /// [`Operator::pause`].
    ///
    /// # Errors
    /// [`ThreadEnded`].
    pub async fn pause(&self) -> Result<StepDownOutcome, ThreadEnded> {
        self.command(CommandKind::Pause).await
    }

    /// Contends again after a pause or a step-down.
    ///
    /// # Errors
    /// [`ThreadEnded`].
    pub async fn resume(&self) -> Result<(), ThreadEnded> {
        self.command(CommandKind::Resume).await.map(drop)
    }

    /// Stops leading as [`step_down`](Self::step_down) does, and never contends again.
    ///
    /// Completes at the latest after `yield_for`, plus the request under way and three release requests,
    /// each of at most `call_timeout`, plus the pauses between them. Afterwards the lock sends no request,
    /// watches of [`watch_leader`](Self::watch_leader) end, and commands complete with
    /// [`NotLeading`](StepDownOutcome::NotLeading).
    ///
    /// # Errors
    /// [`ThreadEnded`].
    pub async fn shutdown(&self) -> Result<StepDownOutcome, ThreadEnded> {
        self.command(CommandKind::Shutdown).await
    }

    /// Returns what the lock is doing, without a request to the store.
    ///
    /// # Errors
    /// [`ThreadEnded`].
    pub async fn status(&self) -> Result<Status, ThreadEnded> {
        let status = self.0.address.send(GetStatus);
        status.await.map_err(|_| ThreadEnded)
    }

    /// Checks that the thread of the lock runs, for a liveness probe.
    ///
    /// - It returns at once, even if that thread is stuck.
    /// - It does not depend on the store: it succeeds during an outage.
    /// - It does not depend on leading: it succeeds in leaders and in followers.
    ///
    /// While the thread is stuck, leases are not renewed and subscribers get no messages. No leadership
    /// becomes unsafe, because [`is_current`](crate::Leadership::is_current) needs no thread.
    ///
    /// # Errors
    /// [`ThreadStalled`] if the thread has not run for more than 10 s of the lock's clock. The thread reports
    /// every 250 ms. If the machine has slept, the check may fail for up to 250 ms afterwards: let a probe
    /// fail more than once before you act.
    pub fn liveness(&self) -> Result<(), ThreadStalled> {
        self.0.liveness.check(self.resource())
    }

    /// Whether this lock leads: whether its last [`Leadership`](crate::Leadership) is
    /// [current](crate::Leadership::is_current). It needs no thread and no request.
    ///
    /// Use it for routing and status pages. In your work, ask the `Leadership` of the `BecameLeader` that
    /// started it: that one belongs to one acquisition. Do not make *readiness* depend on leading: only
    /// one process would ever be ready, and a rollout that waits for readiness would not end.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.0.liveness.is_leader()
    }

    /// Returns a watch of who leads. It works on any runtime.
    ///
    /// - `Some` while this lock's own lease is current, and while the last record that was read has a
    ///   holder and has not expired. A leader that has crashed is shown until its lease expires, for up to
    ///   its ttl.
    /// - `None` until a leader was read, after a release, and when the record has expired and no renewal
    ///   was read, for instance in an outage. Also when this lock's own lease has ended, until another
    ///   holder is read.
    /// - If the lock was shut down or its thread has ended, the value is `None` and
    ///   [`changed`](LeaderWatch::changed) returns an error.
    ///
    /// Use it for routing and status pages; it is no proof of leadership. While a watch exists, a lock
    /// that does not lead reads the record every `poll_every`, also without subscribers and while paused.
    /// The lock's thread sets the value, so it is out of date if that thread is [stuck](Self::liveness).
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tenure::{LockActor, MemoryStore};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let lock = LockActor::builder("jobs/reports", Arc::new(MemoryStore::new())).start()?;
    /// let mut watch = lock.watch_leader();
    /// assert!(watch.leader().is_none(), "nobody leads yet");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn watch_leader(&self) -> LeaderWatch {
        let leader = LeaderWatch::new(self.0.leader.clone());
        self.0.address.do_send(LeaderWatchStarted);
        leader
    }

    /// The resource.
    #[must_use]
    pub fn resource(&self) -> &ResourceName {
        &self.0.config.resource
    }

    /// The id of this candidate.
    #[must_use]
    pub fn candidate(&self) -> &CandidateId {
        &self.0.config.candidate
    }

    /// The times of the election.
    #[must_use]
    pub fn timing(&self) -> &Timing {
        &self.0.config.timing
    }

    /// The address of the lock actor, for the messages of [`actor`](crate::actor). Keeping it does not keep
    /// the lock running: dropping the last handle shuts it down.
    #[must_use]
    pub fn address(&self) -> &Addr<LockActor> {
        &self.0.address
    }

    /// Completes when the lock was shut down or its thread has ended.
    pub(crate) async fn ended(&self) {
        // The sender sends nothing; it is dropped.
        let _ = self.0.ended.clone().await;
    }

    async fn command(&self, kind: CommandKind) -> Result<StepDownOutcome, ThreadEnded> {
        let (reply, outcome) = oneshot::channel();
        self.0.address.do_send(Command { kind, reply });
        outcome.await.map_err(|_| ThreadEnded)
    }
}
