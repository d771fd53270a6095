use std::time::Duration;

use crate::{
    clock::Moment,
    lease::{AttemptId, Bid, FencingToken, Lease, LeaseRecord, ReleaseTarget, ResourceName},
};

/// Names one request; it also carries the attempt that a late grant has to be judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestId {
    pub(super) number: u64,
    pub(super) attempt: Option<AttemptId>,
}

/// A request that the driver shall send now.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) id: RequestId,
    /// When it was handed out. The deadline counts from here, so it is never later than the sending.
    pub(crate) sent_at: Moment,
    /// When the election no longer waits for the answer.
    pub(crate) give_up_at: Moment,
    pub(crate) call: Call,
}

#[derive(Clone, Debug)]
pub(crate) enum Call {
    Acquire(Bid),
    Renew { lease: Lease, ttl: Duration },
    Release(ReleaseTarget),
    Read(ResourceName),
}

/// What a store answered, in the words of the election.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Granted {
        token: FencingToken,
    },
    Refused(LeaseRecord),
    Renewed,
    Lost(Option<LeaseRecord>),
    /// The answer to a release, whether the lease was still held or not.
    Released {
        was_held: bool,
    },
    Read,
    /// An error; the request was not applied.
    Failed,
    /// No answer; the request may have been applied, now or later.
    Unknown,
}
