use std::time::Duration;

use crate::{
    clock::Moment,
    lease::{
        AttemptId, Bid, EndReason, FencingToken, Lease, LeaseRecord, ReleaseTarget, ResourceName,
        StandingInstruction,
    },
};

/// The id of one request. It contains the attempt, which decides what happens to a late grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestId {
    pub(super) number: u64,
    pub(super) attempt: Option<AttemptId>,
}

/// A request for the driver to send now.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) id: RequestId,
    /// When the driver got it. The deadline counts from here, so this must not be later than the sending.
    pub(crate) sent_at: Moment,
    /// Until when the election waits for the answer.
    pub(crate) give_up_at: Moment,
    pub(crate) call: Call,
}

#[derive(Clone, Debug)]
pub(crate) enum Call {
    Acquire(Bid),
    Renew {
        lease: Lease,
        ttl: Duration,
    },
    /// With the reason for the history.
    Release(ReleaseTarget, Option<EndReason>),
    Read(ResourceName),
}

/// When a lease may be renewed before its renewal is due, together with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EarlyRenewal {
    pub(crate) from: Moment,
    /// Whether its last renewal has failed. It then joins only others that are tried again.
    pub(crate) is_retry: bool,
}

/// What a store has pushed about the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordEvent {
    /// The record may have changed.
    Changed,
    /// A candidate has acquired the lease.
    Acquired { ttl: Duration },
    /// Events may have been lost.
    Lost,
}

/// The answer of a store.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Granted {
        token: FencingToken,
    },
    Refused(LeaseRecord),
    Renewed {
        instruction: Option<StandingInstruction>,
    },
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

impl Reply {
    /// Renewed, with no instruction.
    #[cfg(test)]
    pub(crate) const RENEWED: Self = Self::Renewed { instruction: None };
}
