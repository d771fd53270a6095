//! Leader election for actors: a supervised [`LockActor`] per resource, which sends messages to its subscribers.

mod builder;
mod handle;
mod handlers;
mod holder_checks;
mod known_leader;
mod leader_view;
mod leader_watch;
mod liveness;
mod lock_actor;
mod mailbox_id;
mod messages;
mod no_subscriber_warning;
mod pause_view;
mod signal;
mod slow_subscriber_warning;
mod start_actor;
mod status;
mod subscribers;
#[cfg(test)]
mod tests;

pub use crate::{
    driver::StoreStatus,
    election::{ElectionState, IdleReason, StepDownOutcome},
};
pub use builder::LockBuilder;
pub use handle::{LockHandle, ThreadEnded};
pub use known_leader::KnownLeader;
pub use leader_watch::{LeaderWatch, LockEnded};
pub use liveness::ThreadStalled;
pub use lock_actor::LockActor;
pub use messages::{
    BecameFollower, BecameLeader, GetStatus, LeaderChanged, Observe, Pause, Resume, Shutdown,
    StepDown, Subscribe, Unsubscribe,
};
pub use signal::shutdown_on_signal;
pub use start_actor::start_actor;
pub use status::{SeenRecord, Status};

use actix::{Actor, AsyncContext, Handler, dev::ToEnvelope};

/// An actor that can subscribe to a lock: it handles [`BecameLeader`] and [`BecameFollower`].
///
/// Every actor with these two handlers is a `Leader`; you implement nothing else. The order of messages:
///
/// - The first message is the present state. After that, the two alternate.
/// - A message is *acknowledged* when its handler, asynchronous or not, has completed. A planned
///   step-down keeps the lease until every subscriber has acknowledged both messages, or
///   [`yield_for`](crate::Timing::yield_for) has passed.
/// - `BecameLeader` is sent only after the last `BecameFollower` was acknowledged. `BecameFollower` is
///   sent at once, even if the handler of `BecameLeader` still runs.
///
/// A lock holds its subscribers weakly. If you drop the last address of your actor, the actor stops, and a
/// lock without subscribers does not contend.
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
    /// Subscribes this actor to a lock.
    ///
    /// Call it in [`Actor::started`], so that a supervised actor subscribes again after a restart.
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
