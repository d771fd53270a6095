//! Cases about purges: which records they delete.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::future::join_all;
use tokio::sync::Barrier;

use super::super::{
    operator::later,
    trial::{LIMIT, Trial, granted, released, renewed},
};
use crate::{
    lease::{FencingToken, Lease, ReleaseTarget, ResourceName, Scope},
    store::{AcquireOutcome, LeaseStore},
};

/// A resource under the name of the case.
fn below(t: &Trial, tail: &str) -> ResourceName {
    ResourceName::new(format!("{}/{tail}", t.resource)).expect("a good name")
}

async fn hold(t: &Trial, resource: &ResourceName) -> Lease {
    let mut bid = t.bid("a");
    bid.resource = resource.clone();
    // It does not expire during the case.
    bid.ttl = Duration::from_secs(600);
    let mut lease = t.lease("a", granted(t.store().acquire(&bid, LIMIT).await));
    lease.resource = resource.clone();
    lease
}

/// Makes a record that was released.
async fn release(t: &Trial, resource: &ResourceName) -> FencingToken {
    let lease = hold(t, resource).await;
    let token = lease.token;
    let claim = ReleaseTarget::Lease(lease);
    released(t.store().release(&claim, None, LIMIT).await);
    token
}

/// Deletes the records directly under the name of the case. Returns how many.
async fn purge(t: &Trial, untouched_for: Duration) -> u64 {
    let scope = Scope::new(t.resource.as_str()).expect("a good scope");
    let purged = t.other().purge(&scope, untouched_for, LIMIT).await;
    purged.expect("an answer")
}

async fn is_absent(t: &Trial, resource: &ResourceName) -> bool {
    let record = t.store().read(resource, LIMIT).await;
    record.expect("an answer").is_none()
}

pub(super) async fn a_purge_deletes_released_records_and_counts_them(t: &Trial) {
    let resources = ["x", "y", "z"].map(|tail| below(t, tail));
    for resource in &resources {
        release(t, resource).await;
    }
    hold(t, &below(t, "held")).await;
    later().await;
    assert_eq!(purge(t, Duration::ZERO).await, 3);
    for resource in &resources {
        assert!(is_absent(t, resource).await, "{resource} was not deleted");
    }
    assert_eq!(purge(t, Duration::ZERO).await, 0);
}

pub(super) async fn a_purge_spares_records_that_are_held_paused_or_internal(t: &Trial) {
    let held = hold(t, &below(t, "held")).await;
    let paused = below(t, "paused");
    release(t, &paused).await;
    t.pause_named(&paused).await;
    let absent = below(t, "paused without an acquisition");
    t.pause_named(&absent).await;
    let mark = below(t, "mark");
    let mut bid = t.internal_bid("a");
    bid.resource = mark.clone();
    let token = granted(t.store().acquire(&bid, LIMIT).await);
    let mut lease = t.lease("a", token);
    lease.resource = mark.clone();
    let claim = ReleaseTarget::Lease(lease);
    released(t.store().release(&claim, None, LIMIT).await);
    later().await;
    assert_eq!(purge(t, Duration::ZERO).await, 0);
    for resource in [&held.resource, &paused, &absent, &mark] {
        assert!(!is_absent(t, resource).await, "{resource} was deleted");
    }
    renewed(t.store().renew(&held, held_ttl(), LIMIT).await);
}

const fn held_ttl() -> Duration {
    Duration::from_secs(600)
}

pub(super) async fn a_purge_spares_records_that_were_touched_lately(t: &Trial) {
    let resource = below(t, "x");
    release(t, &resource).await;
    later().await;
    assert_eq!(purge(t, Duration::from_secs(48 * 60 * 60)).await, 0);
    assert!(!is_absent(t, &resource).await, "it was deleted");
    assert_eq!(purge(t, Duration::ZERO).await, 1);
}

pub(super) async fn a_purge_spares_other_scopes(t: &Trial) {
    release(t, &below(t, "x")).await;
    let beside = format!("{}2/x", t.resource);
    let others = [
        t.resource.clone(),
        below(t, "x/deeper"),
        below(t, "sub/x"),
        ResourceName::new(beside).expect("a good name"),
    ];
    for other in &others {
        release(t, other).await;
    }
    later().await;
    assert_eq!(purge(t, Duration::ZERO).await, 1);
    for other in &others {
        assert!(!is_absent(t, other).await, "{other} was deleted");
    }
}

pub(super) async fn a_purge_deletes_an_expired_record_unless_the_store_observes(t: &Trial) {
    let resource = below(t, "x");
    let mut bid = t.bid("a");
    bid.resource = resource.clone();
    granted(t.store().acquire(&bid, LIMIT).await);
    later().await;
    assert_eq!(purge(t, Duration::ZERO).await, 0, "it is held");
    t.expire().await;
    later().await;
    let expected = u64::from(!t.capabilities.observed);
    assert_eq!(purge(t, Duration::ZERO).await, expected);
    assert_eq!(is_absent(t, &resource).await, expected == 1);
}

pub(super) async fn a_purge_that_races_with_bids_deletes_no_held_record(t: &Trial) {
    let resources: Vec<_> = (0..8).map(|index| below(t, &index.to_string())).collect();
    let mut last = Vec::new();
    for resource in &resources {
        last.push(release(t, resource).await);
    }
    for round in 0..16 {
        later().await;
        for (index, (winner, lease)) in race(t, &resources).await.into_iter().enumerate() {
            let token = lease.token;
            assert!(
                token > last[index],
                "{token} after {} in round {round}",
                last[index]
            );
            last[index] = token;
            // It fails if the record is gone, or another candidate has acquired the lease beside this one.
            renewed(winner.renew(&lease, held_ttl(), LIMIT).await);
            let claim = ReleaseTarget::Lease(lease);
            released(winner.release(&claim, None, LIMIT).await);
        }
    }
}

/// Bids for all resources and purges their scope at the same time. Returns the lease of each resource, with
/// the client that has acquired it.
async fn race(t: &Trial, resources: &[ResourceName]) -> Vec<(Arc<dyn LeaseStore>, Lease)> {
    const BIDDERS: usize = 4;
    let barrier = Arc::new(Barrier::new(BIDDERS * resources.len() + 1));
    let bids = resources.iter().flat_map(|resource| {
        (0..BIDDERS).map(|index| {
            let (barrier, client) = (barrier.clone(), t.clients[index].clone());
            let mut bid = t.bid(&format!("bidder {index}"));
            bid.resource = resource.clone();
            bid.ttl = held_ttl();
            tokio::spawn(async move {
                barrier.wait().await;
                let outcome = client.acquire(&bid, LIMIT).await.expect("an answer");
                let AcquireOutcome::Granted { token } = outcome else {
                    return None;
                };
                let (resource, holder) = (bid.resource, bid.candidate);
                let lease = Lease {
                    resource,
                    holder,
                    token,
                };
                Some((client, lease))
            })
        })
    });
    let bids: Vec<_> = bids.collect();
    barrier.wait().await;
    for _ in 0..3 {
        purge(t, Duration::ZERO).await;
    }
    let answers = join_all(bids).await.into_iter();
    let leases: Vec<_> = answers
        .filter_map(|lease| lease.expect("no panic"))
        .collect();
    let winners: BTreeSet<_> = leases.iter().map(|(_, lease)| &lease.resource).collect();
    assert_eq!(
        winners.len(),
        resources.len(),
        "a resource without a winner"
    );
    assert_eq!(leases.len(), resources.len(), "two winners: {leases:?}");
    leases
}
