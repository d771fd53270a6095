//! Bids, leases and outcomes for the tests of stores.

use std::time::Duration;

use super::AcquireOutcome;
use crate::lease::{
    AttemptId, Bid, CandidateId, FencingToken, Lease, LeaseRecord, ReleaseTarget, ResourceName,
};

pub(crate) const TTL: Duration = Duration::from_secs(10);

/// The time limit of a call: longer than what a store of the tests needs.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn resource() -> ResourceName {
    ResourceName::new("jobs/nightly").unwrap()
}

pub(crate) fn bid(candidate: &str, attempt: u128) -> Bid {
    Bid {
        resource: resource(),
        candidate: CandidateId::new(candidate).unwrap(),
        attempt: AttemptId::new(attempt),
        ttl: TTL,
        metadata: None,
        reentrant: false,
        replaces: None,
        waited: None,
        internal: false,
    }
}

pub(crate) fn lease(candidate: &str, token: u64) -> Lease {
    Lease {
        resource: resource(),
        holder: CandidateId::new(candidate).unwrap(),
        token: FencingToken::new(token),
    }
}

pub(crate) fn claim(candidate: &str, token: u64) -> ReleaseTarget {
    ReleaseTarget::Lease(lease(candidate, token))
}

pub(crate) fn owner(candidate: &str) -> ReleaseTarget {
    ReleaseTarget::Holder {
        resource: resource(),
        holder: CandidateId::new(candidate).unwrap(),
    }
}

pub(crate) fn granted(token: u64) -> AcquireOutcome {
    let token = FencingToken::new(token);
    AcquireOutcome::Granted { token }
}

#[track_caller]
pub(crate) fn refused(outcome: AcquireOutcome) -> LeaseRecord {
    match outcome {
        AcquireOutcome::Refused(record) => record,
        AcquireOutcome::Granted { token } => panic!("granted {token}"),
    }
}
