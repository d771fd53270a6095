//! Leader election without actors: two callbacks, and a future that runs for as long as one wants to
//! take part.

mod relay;

use std::{
    any::type_name,
    future::{IntoFuture, pending},
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
    actor::{LockActor, LockBuilder, LockHandle, Stopped, Subscribe},
    driver::StartError,
    leadership::{Leadership, Reason},
    lease::{InvalidName, ResourceName},
    runtime,
    store::LeaseStore,
};
use relay::{Event, Relay};

/// What is done on becoming leader, and on becoming follower.
///
/// The two never run at the same time and take turns, beginning with
/// [`became_follower`](Self::became_follower) and [`Reason::NotElected`].
#[async_trait]
pub trait LeaderCallbacks: Send {
    /// This process leads from now on. The work may be done in here: the future is dropped when the
    /// leadership ends, at the latest when [`Leadership::is_current`] turns false. A planned end, as by
    /// [`Follow::until`], gives the lease back as soon as it was dropped.
    ///
    /// What it has spawned is not dropped; that must look at the leadership by itself.
    async fn became_leader(&mut self, leadership: Leadership);

    /// This process does not lead, or does so no longer, and `became_leader` has ended. It is not
    /// called when the future of [`follow`] is dropped.
    async fn became_follower(&mut self, reason: Reason);
}

/// Why following has ended without being asked to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FollowError {
    /// It did not begin.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The thread of the locks has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Takes part in the election of a resource's leader, and calls back when this process becomes leader
/// or follower. Nothing happens until it is awaited or [started](Follow::start), which gives a
/// [`LockHandle`]: its status, who leads, step-down and the rest.
///
/// The callbacks run in the task that awaits it; leases are renewed on the library's own thread.
///
/// # Errors
/// [`FollowError`], if it cannot be started.
///
/// # Cancel safety
/// Dropping the future drops the callback that is running, and then gives a lease back in the
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
pub fn follow<N, C>(store: Arc<dyn LeaseStore>, resource: N, callbacks: C) -> Follow<C>
where
    N: TryInto<ResourceName>,
    N::Error: Into<InvalidName>,
    C: LeaderCallbacks,
{
    LockActor::builder(resource, store).follow(callbacks)
}

impl LockBuilder {
    /// Follows with these callbacks in place of actors: [`follow`] with times and names of one's own.
    pub fn follow<C: LeaderCallbacks>(self, callbacks: C) -> Follow<C> {
        Follow {
            lock: self,
            callbacks,
            stop: None,
            here: false,
        }
    }
}

/// What [`follow`] will do when it is awaited.
#[must_use = "following does nothing until it is awaited"]
pub struct Follow<C> {
    lock: LockBuilder,
    callbacks: C,
    stop: Option<BoxFuture<'static, ()>>,
    here: bool,
}

impl<C> std::fmt::Debug for Follow<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follow")
            .field("lock", &self.lock)
            .finish_non_exhaustive()
    }
}

impl<C: LeaderCallbacks> Follow<C> {
    /// Ends when this future does: the work is dropped, `became_follower` is called, and the lease is
    /// given back before the future of [`follow`] completes. Default: it goes on for ever.
    ///
    /// What has not ended [`yield_for`](crate::timing::TimingBuilder::yield_for) later is dropped, and the lease is
    /// left to run out.
    pub fn until<F>(mut self, stop: F) -> Self
    where
        F: Future + Send + 'static,
    {
        self.stop = Some(stop.map(drop).boxed());
        self
    }

    /// Elects on the current thread, for tests under paused time: in its actix system, or on its
    /// current-thread runtime of tokio, which is that of `#[tokio::test]`. Elsewhere it ends with
    /// [`StartError::NoRuntime`].
    pub fn here(mut self) -> Self {
        self.here = true;
        self
    }

    /// Starts the lock, and gives what is to be awaited. The lock contends when the first callback,
    /// [`became_follower`](LeaderCallbacks::became_follower), has returned.
    ///
    /// # Errors
    /// [`StartError`] if a name or the times are not accepted, or no thread can be had.
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
    /// let mut leader = lock.watch_leader();
    /// leader.wait_for(|leader| leader.is_some()).await?;
    /// assert!(lock.is_leader());
    /// lock.shutdown().await?; // `became_follower` first, then the lease is given back
    /// task.await??;
    /// # Ok(())
    /// # }
    /// ```
    pub fn start(self) -> Result<Following<C>, StartError> {
        let (events, told) = mpsc::unbounded();
        Ok(Following {
            part: Part::take(self.lock, Relay::new(events), type_name::<C>(), self.here)?,
            told,
            callbacks: self.callbacks,
            stop: self.stop,
        })
    }
}

/// A [`follow`] whose lock was started. It calls back, and so takes part, while it is awaited.
#[must_use = "it takes part only while it is awaited"]
pub struct Following<C> {
    part: Part,
    told: mpsc::UnboundedReceiver<Event>,
    callbacks: C,
    stop: Option<BoxFuture<'static, ()>>,
}

impl<C> std::fmt::Debug for Following<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Following")
            .field("lock", &self.part.lock)
            .finish_non_exhaustive()
    }
}

impl<C: LeaderCallbacks> Following<C> {
    /// The lock, for its status, a step-down and the rest. Clones may outlive this; the lock is shut down
    /// when this future has ended or was dropped. [Shutting it down](LockHandle::shutdown) ends this
    /// future, without an error.
    #[must_use]
    pub fn handle(&self) -> &LockHandle {
        &self.part.lock
    }

    async fn run(self) -> Result<(), FollowError> {
        let (part, mut told, mut callbacks) = (self.part, self.told, self.callbacks);
        let lock = part.lock.clone();
        let mut calling = pin!(async {
            while let Some(event) = told.next().await {
                call(&mut callbacks, event).await;
            }
        });
        let stop = self.stop.unwrap_or_else(|| pending().boxed());
        let shut_down = pin!(lock.ended());
        let stop = select(stop, shut_down);
        match select(calling.as_mut(), stop).await {
            Either::Left(((), _)) => Err(Stopped.into()),
            Either::Right(_) => {
                let ended = pin!(lock.shutdown());
                match select(calling, ended).await {
                    Either::Left(((), _)) => Err(Stopped.into()),
                    Either::Right((ended, _)) => Ok(ended.map(drop)?),
                }
            }
        }
    }
}

/// One callback; the event is acknowledged when it has returned or was dropped.
async fn call(callbacks: &mut impl LeaderCallbacks, event: Event) {
    match event {
        Event::BecameLeader { leadership, answer } => {
            let work = callbacks.became_leader(leadership.clone());
            // Its end is told by the event that follows.
            let _ = leadership.run(work).await;
            drop(answer);
        }
        Event::BecameFollower { reason, answer } => {
            callbacks.became_follower(reason).await;
            drop(answer);
        }
    }
}

impl<C> IntoFuture for Follow<C>
where
    C: LeaderCallbacks + 'static,
{
    type Output = Result<(), FollowError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move { self.start()?.run().await }.boxed()
    }
}

impl<C> IntoFuture for Following<C>
where
    C: LeaderCallbacks + 'static,
{
    type Output = Result<(), FollowError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.run().boxed()
    }
}

/// The lock, and the actor that follows it, which must be there until the lease was given back.
struct Part {
    lock: LockHandle,
    relay: Addr<Relay>,
}

impl Part {
    /// `callbacks` names the type of what is called back.
    fn take(
        lock: LockBuilder,
        relay: Relay,
        callbacks: &'static str,
        here: bool,
    ) -> Result<Self, StartError> {
        let (lock, relay) = if here {
            (
                lock.start_on_current_runtime()?,
                runtime::here(|| relay.start())?,
            )
        } else {
            let thread = runtime::locks().map_err(StartError::Thread)?;
            let lock = lock.start()?;
            (lock, Relay::start_in_arbiter(&thread, |_| relay))
        };
        lock.address().do_send(Subscribe::named(&relay, callbacks));
        Ok(Self { lock, relay })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.relay.do_send(relay::Outlive(self.lock.clone()));
    }
}
