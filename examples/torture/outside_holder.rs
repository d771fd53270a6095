//! Holds a lease without any leader: a planted fault, which the checker must find.

use std::{sync::Arc, time::Duration};

use tenure::{
    LeaseStore,
    lease::Lease,
    store::{AcquireOutcome, AttemptId, Bid, ReleaseTarget, RenewOutcome},
};
use tokio::time::sleep;

use crate::protocol::Contest;

/// More often than a lock polls.
const EVERY: Duration = Duration::from_millis(20);

/// Repeatedly takes the lease when it is free, without a lock, and keeps it for five ttls.
pub(crate) async fn hold_from_outside(store: Arc<dyn LeaseStore>, contest: Contest) {
    let ttl = contest.ttl;
    loop {
        // The other nodes must lead, too.
        sleep(ttl * 2).await;
        let Some(lease) = take(&*store, &contest).await else {
            continue;
        };
        for _ in 0..15 {
            sleep(ttl / 3).await;
            if let Ok(RenewOutcome::Lost(_)) = store.renew(&lease, ttl, ttl).await {
                break;
            }
        }
        // If it fails, the lease expires.
        let _ = store.release(&ReleaseTarget::Lease(lease), None, ttl).await;
    }
}

async fn take(store: &dyn LeaseStore, contest: &Contest) -> Option<Lease> {
    let bid = Bid {
        resource: contest.resource.parse().ok()?,
        candidate: "outside_holder".parse().ok()?,
        attempt: AttemptId::generate().ok()?,
        ttl: contest.ttl,
        metadata: None,
        reentrant: false,
        replaces: None,
        waited: None,
        internal: false,
    };
    loop {
        match store.acquire(&bid, contest.ttl).await {
            Ok(AcquireOutcome::Granted { token }) => {
                return Some(Lease {
                    resource: bid.resource,
                    holder: bid.candidate,
                    token,
                });
            }
            _ => sleep(EVERY).await,
        }
    }
}
