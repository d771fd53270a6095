use crate::{
    leadership::{Leadership, Reason},
    lease::FencingToken,
};

/// A change that the driver must deliver to the subscribers.
#[derive(Debug)]
pub(crate) enum Transition {
    BecameLeader { leadership: Leadership },
    BecameFollower { token: FencingToken, reason: Reason },
}
