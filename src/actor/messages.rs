use std::{any::type_name, time::Duration};

use actix::{Actor, Addr, Handler, Message, Recipient, WeakRecipient, dev::ToEnvelope};
use futures::channel::oneshot;

use super::{Leader, Status};
use crate::{
    election::StepDownOutcome,
    leadership::{Leadership, Reason},
    lease::{CandidateId, FencingToken, LeaseRecord, ResourceName},
};

/// The subscriber's process leads the resource from now on.
#[derive(Clone, Debug)]
pub struct BecameLeader {
    /// The leadership of this acquisition: its token, and the answer to "do I still lead?".
    pub leadership: Leadership,
}

impl Message for BecameLeader {
    type Result = ();
}

/// The subscriber's process does not lead the resource, or does so no longer: stop the work.
///
/// The handler's completion is the acknowledgement: complete it when the work has stopped.
#[derive(Clone, Debug)]
pub struct BecameFollower {
    /// The resource.
    pub resource: ResourceName,
    /// The token of the leadership that ended; `None` if there was none.
    pub token: Option<FencingToken>,
    /// Why.
    pub reason: Reason,
    /// Who leads now, if it is known.
    pub leader: Option<CandidateId>,
}

impl Message for BecameFollower {
    type Result = ();
}

/// What an [observer](Observe) is told when the lease changes hands, is released or lapses.
#[derive(Clone, Debug)]
pub struct LeaderChanged {
    /// The record as last seen; [`LeaseRecord::is_held`] tells whether there is a leader. At a grant of the
    /// observed lock itself it is what that lock knows of its own: without a history, and since the time
    /// of the local wall clock.
    pub record: LeaseRecord,
}

impl Message for LeaderChanged {
    type Result = ();
}

/// Follow the lock: sent by [`Leader::subscribe`] and [`LockHandle::subscribe`](super::LockHandle::subscribe).
///
/// An actor that is subscribed already replaces itself: it is told `BecameFollower` first where it
/// had been told `BecameLeader`, then the present state.
#[derive(Clone, Debug)]
pub struct Subscribe {
    /// The type of the actor, for messages.
    pub(super) actor: &'static str,
    pub(super) leader: WeakRecipient<BecameLeader>,
    pub(super) follower: WeakRecipient<BecameFollower>,
}

impl Subscribe {
    /// The subscription of this actor.
    #[must_use]
    pub fn new<A: Leader>(actor: &Addr<A>) -> Self {
        Self::named(actor, type_name::<A>())
    }

    /// The same for an actor that stands for something else.
    pub(crate) fn named<A: Leader>(actor: &Addr<A>, name: &'static str) -> Self {
        Self {
            actor: name,
            leader: actor.downgrade().recipient(),
            follower: actor.downgrade().recipient(),
        }
    }
}

impl Message for Subscribe {
    type Result = ();
}

/// Follow the lock no longer. It says that the subscriber's work has stopped; a lock without
/// subscribers gives the lease back.
///
/// No further message comes, unless a `BecameLeader` has not been handled yet: then the
/// `BecameFollower` that ends it does.
#[derive(Clone, Debug)]
pub struct Unsubscribe {
    /// Strong, so that an actor whose address is dropped upon this does not die before it is read.
    pub(super) follower: Recipient<BecameFollower>,
}

impl Unsubscribe {
    /// Ends the subscription of this actor.
    #[must_use]
    pub fn new<A: Leader>(actor: &Addr<A>) -> Self {
        let follower = actor.clone().recipient();
        Self { follower }
    }
}

impl Message for Unsubscribe {
    type Result = ();
}

/// Tell an actor of every [`LeaderChanged`], the present leader first. Observers do not contend: a
/// lock that has only observers reads every `poll_every`.
#[derive(Clone, Debug)]
pub struct Observe {
    pub(super) observer: WeakRecipient<LeaderChanged>,
}

impl Observe {
    /// The observation by this actor.
    #[must_use]
    pub fn new<A>(actor: &Addr<A>) -> Self
    where
        A: Actor<Context: ToEnvelope<A, LeaderChanged>> + Handler<LeaderChanged>,
    {
        let observer = actor.downgrade().recipient();
        Self { observer }
    }
}

impl Message for Observe {
    type Result = ();
}

/// Stop leading, and let others lead first. Completes when the lease was given back, or was left to
/// expire.
///
/// The answer waits for the subscribers: in a handler of [`BecameLeader`] or [`BecameFollower`] use
/// `do_send`, for a handler that awaits the answer would be waiting for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepDown {
    /// How long not to contend after the lease was given up; one ttl if `None`. The last command
    /// counts.
    pub hold_off: Option<Duration>,
}

impl Message for StepDown {
    type Result = StepDownOutcome;
}

/// Stop leading, and do not contend until [`Resume`]. Completes as [`StepDown`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pause;

impl Message for Pause {
    type Result = StepDownOutcome;
}

/// Contend again, also before the hold-off of a [`StepDown`] is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resume;

impl Message for Resume {
    type Result = ();
}

/// Stop leading for good. Completes as [`StepDown`] is; the lock is inert afterwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shutdown;

impl Message for Shutdown {
    type Result = StepDownOutcome;
}

/// What is the lock doing?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GetStatus;

impl Message for GetStatus {
    type Result = Status;
}

/// A command of a handle. Unlike a message whose sender was dropped, which actix takes back, it is
/// done whether anybody waits for the answer or not.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) what: CommandKind,
    pub(super) answer: oneshot::Sender<StepDownOutcome>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum CommandKind {
    StepDown { hold_off: Option<Duration> },
    Pause,
    Resume,
    Shutdown,
}

impl Message for Command {
    type Result = ();
}

/// A subscriber has handled a message, or has gone before it had.
#[derive(Debug)]
pub(super) struct DeliveryEnded {
    pub(super) subscriber: u64,
    /// The [name](Notice::NAME) of the message.
    pub(super) message: &'static str,
    pub(super) handled: bool,
}

/// A message that subscribers must acknowledge.
pub(super) trait Notice: Message<Result = ()> + Send + 'static {
    const NAME: &'static str;
}

impl Notice for BecameLeader {
    const NAME: &'static str = "BecameLeader";
}

impl Notice for BecameFollower {
    const NAME: &'static str = "BecameFollower";
}

impl Message for DeliveryEnded {
    type Result = ();
}

/// Somebody watches from now on who leads: look.
#[derive(Debug)]
pub(super) struct Watched;

impl Message for Watched {
    type Result = ();
}

/// The clock has jumped: look again.
#[derive(Debug)]
pub(super) struct ClockJumped;

impl Message for ClockJumped {
    type Result = ();
}
