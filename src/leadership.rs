//! Tells on any thread whether an acquisition still leads, without a lock and without a request.

mod not_enough_time;
mod reason;
mod resignation;
#[allow(
    dead_code,
    reason = "nothing drives the parts of sharded ownership yet"
)]
mod shard;
pub(crate) mod testing;

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    FutureExt as _,
    channel::oneshot,
    future::{BoxFuture, Shared},
};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use crate::{
    clock::{Clock, Moment},
    duration::millis,
    lease::{FencingToken, Lease, ResourceName},
    sync::{AtomicBool, AtomicU64, Ordering},
};
pub use not_enough_time::NotEnoughTime;
pub use reason::Reason;
use resignation::Resignation;
#[allow(
    unused_imports,
    reason = "nothing drives the parts of sharded ownership yet"
)]
pub(crate) use shard::ShardControl;

/// The leadership of **one acquisition**. Clones are cheap and share one state.
///
/// At any moment, at most one acquisition of a resource gets `true` from [`is_current`](Self::is_current), under the
/// [assumptions](crate#the-guarantee) of the crate about clocks and stores.
#[derive(Clone)]
pub struct Leadership(Arc<LeadershipState>);

struct LeadershipState {
    lease: Lease,
    clock: Arc<dyn Clock>,
    /// The deadline in nanoseconds of the clock, or [`ENDED`], or [`FOLLOWS`].
    deadline: AtomicU64,
    /// Of a shard: the session by which it is owned. The shard ends with it at the latest.
    session: Option<Leadership>,
    /// The holder has ended it by itself.
    given_up: AtomicBool,
    resignation: Resignation,
    lost: Shared<BoxFuture<'static, Reason>>,
}

/// The value of a deadline once the leadership has ended. It is final, because only a deadline that has not ended
/// is replaced.
const ENDED: u64 = 0;

/// The value of a deadline that is that of the session.
const FOLLOWS: u64 = u64::MAX;

impl Leadership {
    /// Whether this acquisition still leads.
    ///
    /// It compares the deadline with the clock, and takes about as long as reading the clock. During a planned
    /// step-down, [`lost`](Self::lost) completes first; this stays `true` until the lease is released, so that your
    /// work can still write while it stops. Once `false`, it stays `false`.
    ///
    /// The process may freeze between the answer and your next step. Only the [fencing token](Self::token) protects
    /// against that.
    #[must_use]
    pub fn is_current(&self) -> bool {
        !self.remaining().is_zero()
    }

    /// How long the leadership lasts without a further renewal; zero once it has ended.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        loop {
            let (deadline, left) = self.look();
            if deadline == ENDED {
                return Duration::ZERO;
            }
            if mutant!(SeenExpiryNotFinal) {
                return left;
            }
            // Once a caller has seen the deadline pass, this is final: a renewal in flight must not undo it.
            if !left.is_zero() || self.end(deadline) {
                return left;
            }
        }
    }

    /// The own deadline, and how much time is left with it.
    fn look(&self) -> (u64, Duration) {
        let own = || self.0.deadline.load(Ordering::SeqCst);
        let until = |deadline| self.0.clock.now().until(Moment::from_nanos(deadline));
        let Some(session) = &self.0.session else {
            let deadline = own();
            return (deadline, until(deadline));
        };
        if mutant!(ShardReadBeforeItsSession) {
            let deadline = own();
            let of_session = session.remaining();
            return (deadline, of_session.min(until(deadline)));
        }
        // The session first: its deadline moves, and the shard's is fixed before the session is renewed again. In the
        // other order, a reader could combine a shard that still follows with a deadline from after that.
        let of_session = session.remaining();
        match own() {
            FOLLOWS => (FOLLOWS, of_session),
            deadline => (deadline, of_session.min(until(deadline))),
        }
    }

    /// Checks that at least this much time is left, for instance before a step that must not be interrupted.
    ///
    /// # Errors
    /// [`NotEnoughTime`] if less is left.
    pub fn require(&self, at_least: Duration) -> Result<(), NotEnoughTime> {
        let remaining = self.remaining();
        if remaining >= at_least && !remaining.is_zero() {
            return Ok(());
        }
        Err(NotEnoughTime {
            resource: self.resource().clone(),
            token: self.token(),
            remaining,
            needed: at_least,
        })
    }

    /// Waits until the leadership ends or is told to end, and returns the reason. Stop your work then.
    ///
    /// # Cancel safety
    /// You may drop the future and call this again at any time.
    pub async fn lost(&self) -> Reason {
        self.0.lost.clone().await
    }

    /// Runs a future, and drops it if the leadership ends or is told to end before it completes.
    ///
    /// The work is dropped when the task that awaits this is next polled. The library wakes that task when the
    /// leadership ends, at the latest at the deadline, unless the thread of the lock is blocked. Then the work is
    /// dropped at the next poll after the deadline, for instance when its I/O completes. Before a step that must
    /// not run late, call [`require`](Self::require).
    ///
    /// # Errors
    /// The [`Reason`] if the leadership ended first.
    ///
    /// # Cancel safety
    /// That of the given future.
    pub async fn run<F: Future>(&self, work: F) -> Result<F::Output, Reason> {
        let mut lost = pin!(self.lost());
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(reason) = lost.as_mut().poll(cx) {
                return Poll::Ready(Err(reason));
            }
            // The thread that reports the loss may be blocked. There is no timer here: the runtime of the caller
            // need not have any.
            if !self.is_current() {
                return Poll::Ready(Err(Reason::Expired));
            }
            work.as_mut().poll(cx).map(Ok)
        })
        .await
    }

    /// Gives the leadership up, because this process cannot do its work: another candidate is to try.
    ///
    /// You may call it from any thread and any task, also in a handler; it does not wait. The rest comes in the
    /// usual order: [`lost`](Self::lost) completes with [`Reason::Resigned`], the subscribers stop and acknowledge,
    /// the lease is released, and this candidate does not contend for `hold_off`.
    ///
    /// The hold-off doubles with each resignation in a row, up to eight times the given one, so that a broken
    /// process does not take the lease again and again. Once the candidate has led for a ttl, it starts anew.
    ///
    /// Only the first call counts. It does nothing if the leadership has ended, or for the leadership of a
    /// [`Guard`](crate::Guard) or a [`Once`](crate::Once): release the guard, or return an error from the work.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tenure::{BecameLeader, Leadership};
    /// # fn open_queue() -> Result<(), std::io::Error> { Ok(()) }
    /// fn start_work(leadership: &Leadership) {
    ///     if let Err(error) = open_queue() {
    ///         eprintln!("cannot lead: {error}");
    ///         leadership.resign(Duration::from_secs(30));
    ///     }
    /// }
    /// ```
    pub fn resign(&self, hold_off: Duration) {
        if self.is_current() {
            self.0.resignation.submit(hold_off);
        }
    }

    /// Ready with the hold-off once the holder has resigned. The last task that polled is woken.
    pub(crate) fn poll_resigned(&self, cx: &mut Context<'_>) -> Poll<Duration> {
        self.0.resignation.poll(cx)
    }

    /// The fencing token of this acquisition. Send it with every write.
    #[must_use]
    pub fn token(&self) -> FencingToken {
        self.0.lease.token
    }

    /// The resource that is led.
    #[must_use]
    pub fn resource(&self) -> &ResourceName {
        &self.0.lease.resource
    }

    /// The acquisition: resource, holder and token.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.0.lease
    }

    /// Ends the leadership at once and finally, because its holder gives it up. Returns whether it was current.
    pub(crate) fn give_up(&self) -> bool {
        // First, so that the election does not take the end for an expiry.
        self.0.given_up.store(true, Ordering::SeqCst);
        let deadline = self.0.deadline.swap(ENDED, Ordering::SeqCst);
        let current = deadline != ENDED && self.0.clock.now() < Moment::from_nanos(deadline);
        if !current {
            self.0.given_up.store(false, Ordering::SeqCst);
        }
        current
    }

    /// Ends the leadership if its deadline is still this one. Returns whether it has ended.
    fn end(&self, deadline: u64) -> bool {
        let cell = &self.0.deadline;
        match cell.compare_exchange(deadline, ENDED, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => true,
            Err(now) => now == ENDED,
        }
    }
}

impl fmt::Debug for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leadership")
            .field("lease", &self.0.lease)
            .field("remaining", &self.remaining())
            .finish()
    }
}

impl Serialize for Leadership {
    /// As `{"token", "remaining_ms"}`. What contains it has the resource and the holder.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut fields = to.serialize_struct("Leadership", 2)?;
        fields.serialize_field("token", &self.token())?;
        fields.serialize_field("remaining_ms", &millis::whole(self.remaining()))?;
        fields.end()
    }
}

impl PartialEq for Leadership {
    /// Whether both are clones of one leadership.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Leadership {}

/// The election's part of a [`Leadership`]. Dropping it ends the leadership.
#[derive(Debug)]
pub(crate) struct LeadershipControl {
    leadership: Leadership,
    tell: Option<oneshot::Sender<Reason>>,
    left: bool,
}

impl LeadershipControl {
    pub(crate) fn new(lease: Lease, deadline: Moment, clock: Arc<dyn Clock>) -> Self {
        Self::with(lease, deadline.as_nanos(), clock, None)
    }

    fn with(
        lease: Lease,
        deadline: u64,
        clock: Arc<dyn Clock>,
        session: Option<Leadership>,
    ) -> Self {
        let (tell, told) = oneshot::channel();
        // If the control is dropped without a reason, nothing renews the lease.
        let lost = told
            .map(|told| told.unwrap_or(Reason::Expired))
            .boxed()
            .shared();
        let cell = LeadershipState {
            lease,
            clock,
            deadline: AtomicU64::new(deadline),
            session,
            given_up: AtomicBool::new(false),
            resignation: Resignation::default(),
            lost,
        };
        Self {
            leadership: Leadership(Arc::new(cell)),
            tell: Some(tell),
            left: false,
        }
    }

    pub(crate) fn leadership(&self) -> &Leadership {
        &self.leadership
    }

    pub(crate) fn lease(&self) -> &Lease {
        self.leadership.lease()
    }

    /// The deadline; `None` once the leadership has ended.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        let deadline = self.leadership.0.deadline.load(Ordering::SeqCst);
        (deadline != ENDED).then(|| Moment::from_nanos(deadline))
    }

    /// Whether the holder has ended the leadership by itself.
    pub(crate) fn is_given_up(&self) -> bool {
        self.leadership.0.given_up.load(Ordering::SeqCst)
    }

    /// Extends the deadline, unless it has passed by `now` or a caller has seen it pass. It never moves back.
    pub(crate) fn extend(&self, deadline: Moment, now: Moment) -> bool {
        if mutant!(ExpiredDeadlineExtended) {
            let deadline = deadline.as_nanos();
            (self.leadership.0.deadline).store(deadline, Ordering::SeqCst);
            return true;
        }
        let Some(standing) = self.deadline().filter(|standing| now < *standing) else {
            return false;
        };
        let (old, new) = (standing.as_nanos(), deadline.max(standing).as_nanos());
        let cell = &self.leadership.0.deadline;
        if mutant!(DeadlineWrittenWithoutCompare) {
            cell.store(new, Ordering::SeqCst);
            return true;
        }
        cell.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    /// The hold-off with which a holder has resigned.
    pub(crate) fn resigned(&self) -> Option<Duration> {
        self.leadership.0.resignation.hold_off()
    }

    /// Completes [`Leadership::lost`] with this reason.
    pub(crate) fn notify_lost(&mut self, reason: &Reason) {
        if let Some(tell) = self.tell.take() {
            // It fails if no caller waits for it, which is no error.
            let _ = tell.send(reason.clone());
        }
    }

    /// Ends the leadership for all clones, at once and finally.
    pub(crate) fn revoke(&self) {
        // A swap, so that an extension at the same moment comes either before it or fails.
        (self.leadership.0.deadline).swap(ENDED, Ordering::SeqCst);
    }

    /// Drops the control and lets the leadership last until its deadline, which no longer moves.
    pub(crate) fn let_expire(mut self) {
        self.left = true;
    }
}

impl Drop for LeadershipControl {
    fn drop(&mut self) {
        if !self.left {
            self.revoke();
        }
    }
}

#[cfg(test)]
mod tests;
