//! Leadership as messages: a supervised [`LockActor`] per resource, and actors that follow it.

mod builder;
mod handle;
mod handlers;
mod known_leader;
mod leader_view;
mod liveness;
mod lock_actor;
mod messages;
mod no_subscriber_warning;
mod signal;
mod slow_subscribers;
mod status;
mod subscribers;
#[cfg(test)]
mod tests;
mod thread;

pub use crate::{
    driver::StoreStatus,
    election::{ElectionState, IdleReason, StepDownOutcome},
};
pub use builder::LockBuilder;
pub use handle::{LockHandle, Stopped};
pub use known_leader::KnownLeader;
pub use liveness::Stalled;
pub use lock_actor::LockActor;
pub use messages::{
    BecameFollower, BecameLeader, GetStatus, LeaderChanged, Observe, Pause, Resume, Shutdown,
    StepDown, Subscribe, Unsubscribe,
};
pub use signal::shutdown_on_signal;
pub use status::{Seen, Status};
pub use thread::start_actor;

use actix::{Actor, AsyncContext, Handler, dev::ToEnvelope};

/// An actor that does the work of a leader: it handles [`BecameLeader`] and [`BecameFollower`].
///
/// Every such actor is a `Leader`; there is nothing to implement but the two handlers. Their order:
///
/// - The first message tells the present state. After that the two alternate.
/// - A message is *acknowledged* when its handler, asynchronous or not, has completed. A planned
///   step-down keeps the lease until every subscriber has acknowledged both messages.
/// - `BecameLeader` never comes before the last `BecameFollower` was acknowledged; `BecameFollower`
///   waits for nothing.
///
/// A lock holds its subscribers weakly: keep the address of the actor, or it stops and the lock with
/// it.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use actix::prelude::*;
/// use tenure::{BecameFollower, BecameLeader, Leader as _, LockActor, LockHandle, MemoryStore};
///
/// struct Reports {
///     lock: LockHandle,
/// }
///
/// impl Actor for Reports {
///     type Context = Context<Self>;
///     fn started(&mut self, ctx: &mut Context<Self>) {
///         self.subscribe(&self.lock, ctx);
///     }
/// }
///
/// impl Handler<BecameLeader> for Reports {
///     type Result = ();
///     fn handle(&mut self, message: BecameLeader, _: &mut Context<Self>) {
///         println!("leading with token {}", message.leadership.token());
/// #       System::current().stop();
///     }
/// }
///
/// impl Handler<BecameFollower> for Reports {
///     type Result = ();
///     fn handle(&mut self, message: BecameFollower, _: &mut Context<Self>) {
///         println!("following: {}", message.reason);
///     }
/// }
///
/// # let system = System::new();
/// # system.block_on(async {
/// let lock = LockActor::builder("reports", Arc::new(MemoryStore::new())).start()?;
/// let reports = Reports { lock }.start();
/// # std::mem::forget(reports);
/// # Ok::<(), tenure::StartError>(())
/// # }).unwrap();
/// # system.run().unwrap();
/// ```
pub trait Leader:
    Actor<
        Context: AsyncContext<Self>
                     + ToEnvelope<Self, BecameLeader>
                     + ToEnvelope<Self, BecameFollower>,
    > + Handler<BecameLeader>
    + Handler<BecameFollower>
{
    /// Follows a lock from now on; call it in [`Actor::started`], so that a supervised actor follows
    /// again after a restart.
    fn subscribe(&self, lock: &LockHandle, ctx: &mut Self::Context) {
        lock.subscribe(&ctx.address());
    }
}

impl<A> Leader for A
where
    A: Actor + Handler<BecameLeader> + Handler<BecameFollower>,
    A::Context: AsyncContext<A> + ToEnvelope<A, BecameLeader> + ToEnvelope<A, BecameFollower>,
{
}
