//! Leader election without actors: two callbacks, and a future that takes part while you await it.

mod event_forwarder;
mod work_outcome;

use std::{
    any::type_name,
    future::{IntoFuture, pending},
    marker::PhantomData,
    pin::pin,
    sync::Arc,
};

use actix::{Actor as _, Addr};
use async_trait::async_trait;
use futures::{
    FutureExt as _, StreamExt as _,
    channel::mpsc,
    future::{BoxFuture, Either, select},
};
use thiserror::Error;

use crate::{
    actor::{LockActor, LockBuilder, LockHandle, Subscribe, ThreadEnded},
    driver::StartError,
    leadership::{Leadership, Reason},
    lease::{InvalidName, ResourceName},
    runtime,
    store::LeaseStore,
};
use event_forwarder::{EventForwarder, LeadershipEvent};
pub use work_outcome::WorkOutcome;
use work_outcome::work_failed;

/// The two callbacks of [`follow`].
///
/// They never run at the same time. They alternate, and the first call is
/// [`became_follower`](Self::became_follower) with [`Reason::NotElected`].
///
/// The parameter is what [`became_leader`](Self::became_leader) returns: nothing, or a `Result<(), E>` whose error
/// can be displayed.
///
/// ```
/// # use tenure::{LeaderCallbacks, Leadership, Reason};
/// # async fn process_queue(leadership: &Leadership) -> Result<(), std::io::Error> { Ok(()) }
/// struct Reports;
///
/// #[async_trait::async_trait]
/// impl LeaderCallbacks<Result<(), std::io::Error>> for Reports {
///     async fn became_leader(&mut self, leadership: Leadership) -> Result<(), std::io::Error> {
///         process_queue(&leadership).await // if it fails, another process is to lead
///     }
///
///     async fn became_follower(&mut self, reason: Reason) {}
/// }
/// ```
#[async_trait]
pub trait LeaderCallbacks<O: WorkOutcome = ()>: Send {
    /// Called when this process becomes the leader. Do the work in here.
    ///
    /// If it returns, this process leads on. If it returns an error, that is logged as `tenure.work_failed`, and
    /// the leadership [resigns](Leadership::resign) with a hold-off of one ttl.
    ///
    /// The future is dropped when the leadership ends: at a planned end, as by [`Follow::until`], before the
    /// lease is released; otherwise when it is next polled after [`Leadership::is_current`] has become false. The
    /// library wakes it at that moment, unless the thread of the lock is blocked. Tasks that it has spawned are
    /// not dropped, and must check the leadership themselves.
    async fn became_leader(&mut self, leadership: Leadership) -> O;

    /// Called when this process does not lead, or no longer does, after `became_leader` has ended. It is not
    /// called when the future of [`follow`] is dropped.
    async fn became_follower(&mut self, reason: Reason);
}

/// Why [`follow`] failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FollowError {
    /// It could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The thread of the locks has ended.
    #[error(transparent)]
    ThreadEnded(#[from] ThreadEnded),
}

/// Takes part in the election of a resource's leader, and calls back when this process becomes leader or
/// follower.
///
/// It does nothing until you await it, or [start](Follow::start) it to get a [`LockHandle`] for its status,
/// for who leads and for a step-down. The callbacks run in the task that awaits it. Leases are renewed on
/// another thread, so a callback that blocks does not delay renewals.
///
/// # Errors
/// [`FollowError`] if it cannot be started, or if the thread of the locks ends.
///
/// # Cancel safety
/// If you drop the future, the running callback is dropped first, and then a lease is released in the
/// background.
///
/// # Examples
///
/// ```
/// # use std::sync::Arc;
/// use tenure::{LeaderCallbacks, Leadership, MemoryStore, Reason, follow};
///
/// struct Reports;
///
/// #[async_trait::async_trait]
/// impl LeaderCallbacks for Reports {
///     async fn became_leader(&mut self, leadership: Leadership) {
///         println!("leading with token {}", leadership.token());
///         // The work, for as long as it leads.
///     }
///
///     async fn became_follower(&mut self, reason: Reason) {
///         println!("following: {reason}");
///     }
/// }
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(MemoryStore::new());
/// # let signal = async {};
/// follow(store, "reports", Reports).until(signal).await?;
/// # Ok(())
/// # }
/// ```
pub fn follow<N, C, O>(store: Arc<dyn LeaseStore>, resource: N, callbacks: C) -> Follow<C, O>
where
    N: TryInto<ResourceName>,
    N::Error: Into<InvalidName>,
    C: LeaderCallbacks<O>,
    O: WorkOutcome,
{
    LockActor::builder(resource, store).follow(callbacks)
}

impl LockBuilder {
    /// Takes part with callbacks instead of actors: [`follow`] with the settings of this builder.
    pub fn follow<C, O>(self, callbacks: C) -> Follow<C, O>
    where
        C: LeaderCallbacks<O>,
        O: WorkOutcome,
    {
        Follow {
            lock: self,
            callbacks,
            stop: None,
            on_current_runtime: false,
            outcome: PhantomData,
        }
    }
}

/// An election with callbacks that was not started yet: see [`follow`].
#[must_use = "it does nothing until it is awaited"]
pub struct Follow<C, O = ()> {
    lock: LockBuilder,
    callbacks: C,
    stop: Option<BoxFuture<'static, ()>>,
    on_current_runtime: bool,
    outcome: PhantomData<fn() -> O>,
}

impl<C, O> std::fmt::Debug for Follow<C, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follow")
            .field("lock", &self.lock)
            .finish_non_exhaustive()
    }
}

impl<C: LeaderCallbacks<O>, O: WorkOutcome> Follow<C, O> {
    /// Takes part until this future completes. Default: no end.
    ///
    /// Then the work is dropped, `became_follower` is called, the lease is released, and the future of
    /// [`follow`] completes, in this order. A callback that has not returned after
    /// [`yield_for`](crate::timing::TimingBuilder::yield_for) is dropped, and the lease is left to expire.
    pub fn until<F>(mut self, stop: F) -> Self
    where
        F: Future + Send + 'static,
    {
        self.stop = Some(stop.map(drop).boxed());
        self
    }

    /// Runs the lock on the current thread, for tests under paused time.
    ///
    /// It runs in the thread's actix system, or on its current-thread runtime of tokio, as that of
    /// `#[tokio::test]`. Elsewhere it fails with [`StartError::NoRuntime`].
    pub fn on_current_runtime(mut self) -> Self {
        self.on_current_runtime = true;
        self
    }

    /// Starts the lock, and returns its handle and the future to await.
    ///
    /// The lock contends when the first callback, [`became_follower`](LeaderCallbacks::became_follower), has
    /// returned.
    ///
    /// # Errors
    /// [`StartError`] if a name or the times are not accepted, or if the thread of the locks cannot be
    /// started.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::{future::IntoFuture as _, sync::Arc};
    /// # use tenure::{LeaderCallbacks, Leadership, MemoryStore, Reason, follow};
    /// # struct Reports;
    /// # #[async_trait::async_trait]
    /// # impl LeaderCallbacks for Reports {
    /// #     async fn became_leader(&mut self, leadership: Leadership) {}
    /// #     async fn became_follower(&mut self, reason: Reason) {}
    /// # }
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let following = follow(Arc::new(MemoryStore::new()), "reports", Reports).start()?;
    /// let lock = following.handle().clone();
    /// let task = tokio::spawn(following.into_future());
    /// lock.watch_leader().known().await?;
    /// assert!(lock.is_leader());
    /// lock.shutdown().await?; // `became_follower` first, then the lease is released
    /// task.await??;
    /// # Ok(())
    /// # }
    /// ```
    pub fn start(self) -> Result<RunningFollow<C, O>, StartError> {
        let (sender, events) = mpsc::unbounded();
        Ok(RunningFollow {
            subscription: SubscribedLock::start(
                self.lock,
                EventForwarder::new(sender),
                type_name::<C>(),
                self.on_current_runtime,
            )?,
            events,
            callbacks: self.callbacks,
            stop: self.stop,
            outcome: PhantomData,
        })
    }
}

/// An election with callbacks whose lock was started: see [`Follow::start`]. It takes part while it is
/// awaited.
#[must_use = "it takes part only while it is awaited"]
pub struct RunningFollow<C, O = ()> {
    subscription: SubscribedLock,
    events: mpsc::UnboundedReceiver<LeadershipEvent>,
    callbacks: C,
    stop: Option<BoxFuture<'static, ()>>,
    outcome: PhantomData<fn() -> O>,
}

impl<C, O> std::fmt::Debug for RunningFollow<C, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningFollow")
            .field("lock", &self.subscription.lock)
            .finish_non_exhaustive()
    }
}

impl<C: LeaderCallbacks<O>, O: WorkOutcome> RunningFollow<C, O> {
    /// The handle of the lock, for its status, who leads and a step-down.
    ///
    /// When this future has completed or was dropped, the lock is shut down, even if clones of the handle
    /// exist. If you [shut it down](LockHandle::shutdown), this future completes without an error.
    #[must_use]
    pub fn handle(&self) -> &LockHandle {
        &self.subscription.lock
    }

    async fn run(self) -> Result<(), FollowError> {
        let (subscription, mut events) = (self.subscription, self.events);
        let mut callbacks = self.callbacks;
        let lock = subscription.lock.clone();
        let mut calling = pin!(async {
            while let Some(event) = events.next().await {
                call(&mut callbacks, event, &lock).await;
            }
        });
        let stop = self.stop.unwrap_or_else(|| pending().boxed());
        let shut_down = pin!(lock.ended());
        let stop = select(stop, shut_down);
        match select(calling.as_mut(), stop).await {
            Either::Left(((), _)) => Err(ThreadEnded.into()),
            Either::Right(_) => {
                let ended = pin!(lock.shutdown());
                match select(calling, ended).await {
                    Either::Left(((), _)) => Err(ThreadEnded.into()),
                    Either::Right((ended, _)) => Ok(ended.map(drop)?),
                }
            }
        }
    }
}

/// Runs one callback. The event is acknowledged when the callback has returned or was dropped.
async fn call<O: WorkOutcome>(
    callbacks: &mut impl LeaderCallbacks<O>,
    event: LeadershipEvent,
    lock: &LockHandle,
) {
    match event {
        LeadershipEvent::BecameLeader {
            leadership,
            acknowledge,
        } => {
            let work = callbacks.became_leader(leadership.clone());
            // If it ended first, the next event has the reason.
            if let Ok(outcome) = leadership.run(work).await
                && let Some(error) = outcome.into_error()
            {
                work_failed(lock, &leadership, &error);
                leadership.resign(lock.timing().ttl());
            }
            drop(acknowledge);
        }
        LeadershipEvent::BecameFollower {
            reason,
            acknowledge,
        } => {
            callbacks.became_follower(reason).await;
            drop(acknowledge);
        }
    }
}

impl<C, O> IntoFuture for Follow<C, O>
where
    C: LeaderCallbacks<O> + 'static,
    O: WorkOutcome,
{
    type Output = Result<(), FollowError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move { self.start()?.run().await }.boxed()
    }
}

impl<C, O> IntoFuture for RunningFollow<C, O>
where
    C: LeaderCallbacks<O> + 'static,
    O: WorkOutcome,
{
    type Output = Result<(), FollowError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.run().boxed()
    }
}

/// The lock, and the actor that is subscribed to it. Dropping it shuts the lock down in the background.
struct SubscribedLock {
    lock: LockHandle,
    forwarder: Addr<EventForwarder>,
}

impl SubscribedLock {
    /// `callbacks` is the name of the type of the callbacks, for the log.
    fn start(
        lock: LockBuilder,
        forwarder: EventForwarder,
        callbacks: &'static str,
        on_current_runtime: bool,
    ) -> Result<Self, StartError> {
        let (lock, forwarder) = if on_current_runtime {
            (
                lock.start_on_current_runtime()?,
                runtime::on_current_runtime(|| forwarder.start())?,
            )
        } else {
            let thread = runtime::locks().map_err(StartError::Thread)?;
            let lock = lock.start()?;
            (
                lock,
                EventForwarder::start_in_arbiter(&thread, |_| forwarder),
            )
        };
        lock.address()
            .do_send(Subscribe::named(&forwarder, callbacks));
        Ok(Self { lock, forwarder })
    }
}

impl Drop for SubscribedLock {
    fn drop(&mut self) {
        self.forwarder
            .do_send(event_forwarder::ShutDownLock(self.lock.clone()));
    }
}
