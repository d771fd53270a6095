//! Cases with simultaneous bids, or in which timing matters.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use tokio::sync::Barrier;

use super::super::trial::{LIMIT, Trial, granted, refused, renewed};
use crate::{
    lease::{FencingToken, ResourceName},
    store::AcquireOutcome,
};

pub(super) async fn a_renewed_lease_is_never_taken_over(t: &Trial) {
    let token = t.held().await;
    for round in 0..12 {
        refused(t.other().acquire(&t.bid("b"), LIMIT).await);
        t.pass(0.4).await;
        // Through any client: the version must come from the store, not from one of them.
        let client = if t.capabilities.observed {
            &t.clients[0]
        } else {
            &t.clients[round % 4]
        };
        renewed(client.renew(&t.lease("a", token), t.ttl(), LIMIT).await);
    }
}

/// A client that observes must not count the time that its first read took. A store with a clock passes if
/// it does not free the lease early.
pub(super) async fn an_observation_counts_from_the_reply(t: &Trial) {
    t.held().await;
    refused(t.other().acquire(&t.bid("b"), LIMIT).await);
    t.pass(0.9).await;
    refused(t.other().acquire(&t.bid("b"), LIMIT).await);
    t.subject.pass(t.ttl() / 10 + t.capabilities.slack).await;
    granted(t.other().acquire(&t.bid("b"), LIMIT).await);
}

const BIDDERS: usize = 32;

/// Sends all bids at the same moment. Returns the granted tokens.
async fn bid_at_once(t: &Trial, resource: &ResourceName) -> Vec<FencingToken> {
    let barrier = Arc::new(Barrier::new(BIDDERS));
    let bidders = (0..BIDDERS).map(|index| {
        let (barrier, client) = (barrier.clone(), t.clients[index % 4].clone());
        let mut bid = t.bid(&format!("bidder {index}"));
        bid.resource = resource.clone();
        // No lease may expire meanwhile.
        bid.ttl = Duration::from_secs(600);
        tokio::spawn(async move {
            barrier.wait().await;
            client.acquire(&bid, LIMIT).await.expect("an answer")
        })
    });
    let outcomes = join_all(bidders).await.into_iter();
    let tokens = outcomes.filter_map(|outcome| match outcome.expect("no panic") {
        AcquireOutcome::Granted { token } => Some(token),
        AcquireOutcome::Refused(_) => None,
    });
    tokens.collect()
}

pub(super) async fn one_of_32_simultaneous_bids_wins(t: &Trial) {
    let mut last = FencingToken::new(0);
    for round in 0..200 {
        let tokens = bid_at_once(t, &t.resource).await;
        assert_eq!(tokens.len(), 1, "winners in round {round}: {tokens:?}");
        assert!(tokens[0] > last, "{} after {last}", tokens[0]);
        last = tokens[0];
        let holder = t.record().await.holder.expect("a holder");
        let claim = t.claim(holder.as_str(), last);
        t.store()
            .release(&claim, None, LIMIT)
            .await
            .expect("an answer");
    }
}

pub(super) async fn one_of_32_simultaneous_bids_wins_a_resource_without_a_record(t: &Trial) {
    for key in 0..60 {
        let resource = ResourceName::new(format!("{}/{key}", t.resource)).expect("a good name");
        let tokens = bid_at_once(t, &resource).await;
        assert_eq!(tokens.len(), 1, "winners of free key {key}: {tokens:?}");
    }
}
