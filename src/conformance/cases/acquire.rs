//! Cases about bids: who gets a lease, and with which token.

use super::super::trial::{LIMIT, Trial, granted, metadata, name, refused, released, renewed};
use crate::{lease::FencingToken, store::EvictionMode};

pub(super) async fn a_free_lease_is_granted_with_a_token(t: &Trial) {
    let mut bid = t.bid("a");
    bid.metadata = Some(metadata("10.0.0.1:80"));
    let token = granted(t.store().acquire(&bid, LIMIT).await);
    assert!(token > FencingToken::new(0));
    let record = t.record().await;
    assert_eq!(
        (record.token, record.holder.clone()),
        (token, Some(name("a")))
    );
    assert!(record.is_held() && !record.closing);
    assert_eq!(record.metadata, bid.metadata);
    assert!(record.ttl >= t.ttl(), "{:?} of {:?}", record.ttl, t.ttl());
    assert!(record.remaining <= record.ttl + t.capabilities.slack);
}

pub(super) async fn a_refusal_names_the_holder_and_changes_nothing(t: &Trial) {
    let token = t.held().await;
    // So that an extension would show.
    t.pass(0.3).await;
    let before = t.record().await;
    for client in &t.clients {
        let seen = refused(client.acquire(&t.bid("b"), LIMIT).await);
        assert_eq!((seen.token, seen.holder.clone()), (token, Some(name("a"))));
        assert!(seen.is_held());
    }
    let after = t.record().await;
    assert_eq!(
        (after.token, after.holder, after.since),
        (before.token, before.holder, before.since)
    );
    assert_eq!(after.history, before.history);
    assert!(
        after.remaining <= before.remaining,
        "a refusal has extended the lease"
    );
}

pub(super) async fn an_unexpired_lease_is_refused_to_other_clients(t: &Trial) {
    t.held().await;
    for client in &t.clients {
        refused(client.acquire(&t.bid("b"), LIMIT).await);
    }
    t.pass(0.6).await;
    for client in &t.clients {
        refused(client.acquire(&t.bid("b"), LIMIT).await);
    }
}

pub(super) async fn other_candidates_wait_for_the_ttl_of_the_holder(t: &Trial) {
    let mut long = t.bid("a");
    long.ttl = t.ttl() * 3;
    granted(t.store().acquire(&long, LIMIT).await);
    refused(t.other().acquire(&t.bid("b"), LIMIT).await);
    t.pass(1.5).await;
    let seen = refused(t.other().acquire(&t.bid("b"), LIMIT).await);
    assert!(seen.ttl >= t.ttl() * 3);
}

pub(super) async fn a_token_grows_across_release(t: &Trial) {
    let mut last = FencingToken::new(0);
    for round in 0..5 {
        let client = &t.clients[round % 4];
        let token = granted(client.acquire(&t.bid("a"), LIMIT).await);
        assert!(token > last, "{token} after {last}");
        released(client.release(&t.claim("a", token), None, LIMIT).await);
        last = token;
    }
}

pub(super) async fn a_token_grows_across_expiry(t: &Trial) {
    let first = t.held().await;
    t.wait_out("b").await;
    let second = granted(t.other().acquire(&t.bid("b"), LIMIT).await);
    assert!(second > first, "{second} after {first}");
}

pub(super) async fn a_token_grows_across_eviction(t: &Trial) {
    let first = t.held().await;
    released(
        t.store()
            .evict(&t.resource, first, EvictionMode::Close, LIMIT)
            .await,
    );
    t.wait_out("b").await;
    let second = granted(t.other().acquire(&t.bid("b"), LIMIT).await);
    assert!(second > first, "{second} after {first}");
    assert!(
        !t.record().await.closing,
        "a new acquisition is not closing"
    );
}

pub(super) async fn the_same_attempt_gets_its_token_back_and_a_fresh_expiry(t: &Trial) {
    let bid = t.bid("a");
    let token = granted(t.store().acquire(&bid, LIMIT).await);
    t.pass(0.6).await;
    assert_eq!(granted(t.store().acquire(&bid, LIMIT).await), token);
    // Past the first expiry, before the second.
    t.pass(0.6).await;
    refused(t.other().acquire(&t.bid("b"), LIMIT).await);
    renewed(t.store().renew(&t.lease("a", token), t.ttl(), LIMIT).await);
}

pub(super) async fn an_expired_attempt_gets_a_new_token(t: &Trial) {
    let bid = t.bid("a");
    let first = granted(t.store().acquire(&bid, LIMIT).await);
    if t.capabilities.observed {
        refused(t.store().acquire(&t.bid("a"), LIMIT).await);
    }
    t.expire().await;
    let second = granted(t.store().acquire(&bid, LIMIT).await);
    assert!(second > first, "{second} after {first}");
}

pub(super) async fn a_released_attempt_is_never_granted_again(t: &Trial) {
    let bid = t.bid("a");
    let token = granted(t.store().acquire(&bid, LIMIT).await);
    released(t.store().release(&t.claim("a", token), None, LIMIT).await);
    // A copy that arrives late.
    refused(t.store().acquire(&bid, LIMIT).await);
    refused(t.other().acquire(&bid, LIMIT).await);
    granted(t.other().acquire(&t.bid("b"), LIMIT).await);
}

pub(super) async fn the_same_candidate_with_another_attempt_is_refused(t: &Trial) {
    t.held().await;
    refused(t.store().acquire(&t.bid("a"), LIMIT).await);
    refused(t.other().acquire(&t.bid("a"), LIMIT).await);
}
