use super::RequestId;
use crate::clock::Moment;

/// The request that the election waits for.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) id: RequestId,
    pub(super) sent_at: Moment,
    pub(super) give_up_at: Moment,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Acquire,
    Renew,
    Release,
    Read,
}
