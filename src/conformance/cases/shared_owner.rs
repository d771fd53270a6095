//! Cases for plain locks that share an owner: reentrant bids, and releases by owner.

use std::time::Duration;

use super::super::trial::{
    LIMIT, Trial, granted, lost, metadata, name, not_held, refused, released, renewed,
};
use crate::{
    lease::{Bid, FencingToken, ReleaseTarget},
    store::EvictionMode,
};

fn reentrant(t: &Trial, candidate: &str) -> Bid {
    let mut bid = t.bid(candidate);
    bid.reentrant = true;
    bid
}

fn owner(t: &Trial, holder: &str) -> ReleaseTarget {
    let (resource, holder) = (t.resource.clone(), name(holder));
    ReleaseTarget::Holder { resource, holder }
}

pub(super) async fn a_reentrant_bid_takes_the_lease_of_its_candidate_with_a_new_token(t: &Trial) {
    let first = t.held().await;
    let second = granted(t.other().acquire(&reentrant(t, "a"), LIMIT).await);
    assert!(second > first, "{second} after {first}");
    lost(t.store().renew(&t.lease("a", first), t.ttl(), LIMIT).await);
    renewed(t.other().renew(&t.lease("a", second), t.ttl(), LIMIT).await);
}

pub(super) async fn a_reentrant_bid_does_not_take_the_lease_of_another_candidate(t: &Trial) {
    let token = t.held().await;
    for client in &t.clients {
        let seen = refused(client.acquire(&reentrant(t, "b"), LIMIT).await);
        assert_eq!((seen.token, seen.holder), (token, Some(name("a"))));
    }
    renewed(t.store().renew(&t.lease("a", token), t.ttl(), LIMIT).await);
}

pub(super) async fn a_reentrant_bid_gives_a_whole_ttl_again(t: &Trial) {
    t.held().await;
    refused(t.other().acquire(&t.bid("b"), LIMIT).await);
    t.pass(0.6).await;
    let token = granted(t.store().acquire(&reentrant(t, "a"), LIMIT).await);
    // Past the first expiry, before the second.
    t.pass(0.6).await;
    refused(t.other().acquire(&t.bid("b"), LIMIT).await);
    renewed(t.store().renew(&t.lease("a", token), t.ttl(), LIMIT).await);
}

pub(super) async fn a_reentrant_bid_is_refused_while_the_lease_is_closing(t: &Trial) {
    let token = t.held().await;
    released(
        t.store()
            .evict(&t.resource, token, EvictionMode::Close, LIMIT)
            .await,
    );
    assert!(refused(t.store().acquire(&reentrant(t, "a"), LIMIT).await).closing);
    t.expire().await;
    granted(t.store().acquire(&reentrant(t, "a"), LIMIT).await);
}

pub(super) async fn a_release_by_owner_needs_no_token(t: &Trial) {
    let mut bid = t.bid("a");
    bid.metadata = Some(metadata("10.0.0.1:80"));
    let token = granted(t.store().acquire(&bid, LIMIT).await);
    // Through a client that has never seen the token.
    released(t.other().release(&owner(t, "a"), None, LIMIT).await);
    let record = t.record().await;
    assert_eq!((record.token, record.holder), (token, None));
    assert_eq!(
        (record.metadata, record.remaining),
        (bid.metadata, Duration::ZERO)
    );
    lost(t.store().renew(&t.lease("a", token), t.ttl(), LIMIT).await);
    not_held(t.other().release(&owner(t, "a"), None, LIMIT).await);
    granted(t.other().acquire(&t.bid("b"), LIMIT).await);
}

pub(super) async fn a_release_by_another_owner_changes_nothing(t: &Trial) {
    let token = t.held().await;
    for client in &t.clients {
        let seen = not_held(client.release(&owner(t, "b"), None, LIMIT).await).expect("a record");
        assert_eq!((seen.token, seen.holder), (token, Some(name("a"))));
    }
    refused(t.other().acquire(&t.bid("b"), LIMIT).await);
    renewed(t.store().renew(&t.lease("a", token), t.ttl(), LIMIT).await);
    // Also if the lease is free.
    released(t.store().release(&owner(t, "a"), None, LIMIT).await);
    let seen = not_held(t.store().release(&owner(t, "b"), None, LIMIT).await).expect("a record");
    assert_eq!((seen.token, seen.holder), (token, None));
}

pub(super) async fn one_release_by_owner_ends_all_reentrant_bids_of_the_owner(t: &Trial) {
    t.held().await;
    granted(t.store().acquire(&reentrant(t, "a"), LIMIT).await);
    granted(t.other().acquire(&reentrant(t, "a"), LIMIT).await);
    released(t.store().release(&owner(t, "a"), None, LIMIT).await);
    assert_eq!(t.record().await.holder, None);
    granted(t.other().acquire(&t.bid("b"), LIMIT).await);
}

pub(super) async fn a_token_grows_across_a_release_by_owner(t: &Trial) {
    let mut last = FencingToken::new(0);
    for round in 0..5 {
        let client = &t.clients[round % 4];
        let token = granted(client.acquire(&reentrant(t, "a"), LIMIT).await);
        assert!(token > last, "{token} after {last}");
        released(
            t.clients[(round + 1) % 4]
                .release(&owner(t, "a"), None, LIMIT)
                .await,
        );
        last = token;
    }
}

pub(super) async fn an_attempt_released_by_owner_is_never_granted_again(t: &Trial) {
    let bid = reentrant(t, "a");
    granted(t.store().acquire(&bid, LIMIT).await);
    released(t.other().release(&owner(t, "a"), None, LIMIT).await);
    refused(t.store().acquire(&bid, LIMIT).await);
    refused(t.other().acquire(&bid, LIMIT).await);
    granted(t.other().acquire(&t.bid("b"), LIMIT).await);
}

pub(super) async fn a_release_by_owner_clears_an_expired_lease(t: &Trial) {
    let token = t.held().await;
    t.expire().await;
    released(t.store().release(&owner(t, "a"), None, LIMIT).await);
    assert_eq!(t.record().await.holder, None);
    assert!(granted(t.other().acquire(&t.bid("b"), LIMIT).await) > token);
    // Another candidate holds it now.
    not_held(t.store().release(&owner(t, "a"), None, LIMIT).await);
    assert_eq!(t.record().await.holder, Some(name("b")));
}

pub(super) async fn a_release_by_owner_creates_no_record(t: &Trial) {
    assert_eq!(
        not_held(t.store().release(&owner(t, "a"), None, LIMIT).await),
        None
    );
    assert_eq!(
        t.store().read(&t.resource, LIMIT).await.expect("an answer"),
        None
    );
}
