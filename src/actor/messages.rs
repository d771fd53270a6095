use std::{any::type_name, time::Duration};

use actix::{Actor, Addr, Handler, Message, Recipient, WeakRecipient, dev::ToEnvelope};
use futures::channel::oneshot;

use super::{Leader, Status};
use crate::{
    election::StepDownOutcome,
    leadership::{Leadership, Reason},
    lease::{CandidateId, FencingToken, LeaseRecord, ResourceName},
};

/// Sent to a subscriber when its process becomes the leader of the resource.
#[derive(Clone, Debug)]
pub struct BecameLeader {
    /// The leadership of this acquisition. It has the fencing token, and answers whether it is still
    /// [current](Leadership::is_current).
    pub leadership: Leadership,
}

impl Message for BecameLeader {
    type Result = ();
}

/// Sent to a subscriber when its process does not lead the resource, or no longer does. Stop the work.
///
/// The completion of the handler is the acknowledgement: complete it when the work has stopped.
#[derive(Clone, Debug)]
pub struct BecameFollower {
    /// The resource.
    pub resource: ResourceName,
    /// The token of the leadership that ended; `None` if there was none.
    pub token: Option<FencingToken>,
    /// Why the leadership ended, or why there is none.
    pub reason: Reason,
    /// The present leader, if known.
    pub leader: Option<CandidateId>,
}

impl Message for BecameFollower {
    type Result = ();
}

/// Sent to an [observer](Observe) when the lease has a new holder, is released or expires.
#[derive(Clone, Debug)]
pub struct LeaderChanged {
    /// The record as last read; [`LeaseRecord::is_held`] says whether there is a leader.
    ///
    /// If the observed lock itself becomes leader, the store returns no record. Then this one holds what
    /// the lock knows: no history, and `since` from the local wall clock.
    pub record: LeaseRecord,
}

impl Message for LeaderChanged {
    type Result = ();
}

/// Subscribes an actor to the lock, as [`Leader::subscribe`] and
/// [`LockHandle::subscribe`](super::LockHandle::subscribe) do.
///
/// If the actor is already subscribed, this replaces its subscription: if its last message was
/// `BecameLeader`, it gets `BecameFollower` first, then the present state.
#[derive(Clone, Debug)]
pub struct Subscribe {
    /// The type of the actor, for the log.
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

    /// The same, with another name in the log.
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

/// Ends a subscription. Send it when the subscriber's work has stopped: if no subscriber is left, the lock
/// releases its lease.
///
/// The actor gets no further message, with one exception: if it has not handled a `BecameLeader` yet, the
/// `BecameFollower` that ends it still comes.
#[derive(Clone, Debug)]
pub struct Unsubscribe {
    /// Strong, so that an actor whose last address is dropped right after this does not stop before the
    /// lock handles it.
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

/// Sends an actor a [`LeaderChanged`] for every change of leader, the present leader first.
///
/// A lock that has only observers does not contend. It reads the record every `poll_every`.
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

/// Stops leading, and does not contend for a while. The reply comes when the lease was released or left to
/// expire.
///
/// The reply waits for the subscribers. In a handler of [`BecameLeader`] or [`BecameFollower`], use
/// `do_send`: awaiting the reply there would wait for that same handler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepDown {
    /// How long not to contend after the lease was given up; one ttl if `None`. If several are sent, the
    /// last one counts.
    pub hold_off: Option<Duration>,
}

impl Message for StepDown {
    type Result = StepDownOutcome;
}

/// Stops leading, and does not contend until [`Resume`]. The reply comes as for [`StepDown`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pause;

impl Message for Pause {
    type Result = StepDownOutcome;
}

/// Contends again after a [`Pause`], or before the hold-off of a [`StepDown`] is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resume;

impl Message for Resume {
    type Result = ();
}

/// Stops leading and never contends again. The reply comes as for [`StepDown`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shutdown;

impl Message for Shutdown {
    type Result = StepDownOutcome;
}

/// Asks what the lock is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GetStatus;

impl Message for GetStatus {
    type Result = Status;
}

/// A command of a handle. It is carried out even if its caller no longer waits; actix takes back a message
/// whose `send()` future was dropped.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) kind: CommandKind,
    pub(super) reply: oneshot::Sender<StepDownOutcome>,
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

/// A subscriber has handled a message, or has stopped without handling it.
#[derive(Debug)]
pub(super) struct DeliveryEnded {
    pub(super) subscriber: u64,
    /// The [name](SubscriberMessage::NAME) of the message.
    pub(super) message: &'static str,
    pub(super) handled: bool,
}

/// A message that subscribers must acknowledge.
pub(super) trait SubscriberMessage: Message<Result = ()> + Send + 'static {
    const NAME: &'static str;
}

impl SubscriberMessage for BecameLeader {
    const NAME: &'static str = "BecameLeader";
}

impl SubscriberMessage for BecameFollower {
    const NAME: &'static str = "BecameFollower";
}

impl Message for DeliveryEnded {
    type Result = ();
}

/// A receiver of who leads was handed out: the lock must read the record.
#[derive(Debug)]
pub(super) struct LeaderWatchStarted;

impl Message for LeaderWatchStarted {
    type Result = ();
}

/// The machine has slept: the timer must be set again.
#[derive(Debug)]
pub(super) struct ClockJumped;

impl Message for ClockJumped {
    type Result = ();
}
