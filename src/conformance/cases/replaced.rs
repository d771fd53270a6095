//! Cases about bids that replace a token of their own candidate, and about what a list lets one take over.

use super::super::trial::{LIMIT, Trial, granted, lost, name, refused, released, renewed};
use crate::{
    lease::{Bid, FencingToken},
    store::EvictionMode,
};

fn replacing(t: &Trial, candidate: &str, token: FencingToken) -> Bid {
    let mut bid = t.bid(candidate);
    bid.replaces = Some(token);
    bid
}

pub(super) async fn a_bid_takes_the_lease_whose_token_it_replaces(t: &Trial) {
    let first = t.held().await;
    let second = replacing(t, "a", first);
    let token = granted(t.store().acquire(&second, LIMIT).await);
    assert!(token > first, "{token} after {first}");
    lost(t.store().renew(&t.lease("a", first), t.ttl(), LIMIT).await);
    renewed(t.store().renew(&t.lease("a", token), t.ttl(), LIMIT).await);
    // The reply was lost.
    let again = granted(t.store().acquire(&second, LIMIT).await);
    assert_eq!(again, token);
    // A lease that is free, too.
    released(t.store().release(&t.claim("a", token), None, LIMIT).await);
    let third = granted(t.other().acquire(&replacing(t, "a", first), LIMIT).await);
    assert!(third > token, "{third} after {token}");
}

pub(super) async fn a_bid_replaces_no_other_token(t: &Trial) {
    let first = t.held().await;
    let late = replacing(t, "a", first);
    let second = granted(t.store().acquire(&replacing(t, "a", first), LIMIT).await);
    let newer = FencingToken::new(second.get() + 1);
    for client in &t.clients {
        for bid in [&late, &replacing(t, "a", newer), &t.bid("a")] {
            assert_eq!(refused(client.acquire(bid, LIMIT).await).token, second);
        }
    }
    renewed(t.store().renew(&t.lease("a", second), t.ttl(), LIMIT).await);
}

pub(super) async fn a_bid_replaces_no_token_of_another_candidate(t: &Trial) {
    let token = t.held().await;
    for client in &t.clients {
        let seen = refused(client.acquire(&replacing(t, "b", token), LIMIT).await);
        assert_eq!((seen.token, seen.holder), (token, Some(name("a"))));
    }
    renewed(t.store().renew(&t.lease("a", token), t.ttl(), LIMIT).await);
}

pub(super) async fn a_bid_replaces_no_token_that_is_closing_or_paused(t: &Trial) {
    let first = t.held().await;
    t.pause().await;
    let seen = refused(t.store().acquire(&replacing(t, "a", first), LIMIT).await);
    assert!(seen.pause.is_some());
    t.resume().await;
    let second = granted(t.store().acquire(&replacing(t, "a", first), LIMIT).await);
    let evict = t
        .store()
        .evict(&t.resource, second, EvictionMode::Close, LIMIT);
    released(evict.await);
    let seen = refused(t.store().acquire(&replacing(t, "a", second), LIMIT).await);
    assert!(seen.closing);
    t.expire().await;
    granted(t.store().acquire(&replacing(t, "a", second), LIMIT).await);
}

pub(super) async fn a_bid_that_replaces_a_token_gives_a_whole_ttl_again(t: &Trial) {
    let first = t.held().await;
    refused(t.other().acquire(&t.bid("b"), LIMIT).await);
    t.pass(0.6).await;
    let token = granted(t.store().acquire(&replacing(t, "a", first), LIMIT).await);
    // Past the first expiry, before the second.
    t.pass(0.6).await;
    refused(t.other().acquire(&t.bid("b"), LIMIT).await);
    renewed(t.store().renew(&t.lease("a", token), t.ttl(), LIMIT).await);
}

pub(super) async fn a_lease_that_was_only_listed_is_taken_over_when_it_has_expired(t: &Trial) {
    t.held().await;
    let listed = t.other().list(&t.resource.scope(), LIMIT).await;
    let listed = listed.expect("an answer");
    assert_eq!(listed.len(), 1);
    assert!(listed[0].remaining <= t.ttl());
    t.expire().await;
    granted(t.other().acquire(&t.bid("b"), LIMIT).await);
}
