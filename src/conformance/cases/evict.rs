//! Cases about evictions.

use super::super::trial::{LIMIT, Trial, granted, lost, not_held, refused, released, renewed};
use crate::{lease::FencingToken, store::EvictionMode};

pub(super) async fn an_evicted_lease_is_not_renewed(t: &Trial) {
    let token = t.held().await;
    released(
        t.other()
            .evict(&t.resource, token, EvictionMode::Close, LIMIT)
            .await,
    );
    let seen = lost(t.store().renew(&t.lease("a", token), t.ttl(), LIMIT).await).expect("a record");
    assert!(seen.closing && seen.token == token);
}

pub(super) async fn an_evicted_lease_is_not_acquired_before_it_expires(t: &Trial) {
    let bid = t.bid("a");
    let token = granted(t.store().acquire(&bid, LIMIT).await);
    released(
        t.store()
            .evict(&t.resource, token, EvictionMode::Close, LIMIT)
            .await,
    );
    refused(t.store().acquire(&bid, LIMIT).await);
    refused(t.other().acquire(&t.bid("b"), LIMIT).await);
    t.pass(0.6).await;
    refused(t.other().acquire(&t.bid("b"), LIMIT).await);
    t.wait_out("b").await;
    granted(t.other().acquire(&t.bid("b"), LIMIT).await);
}

pub(super) async fn a_forced_eviction_frees_the_lease_at_once(t: &Trial) {
    let token = t.held().await;
    released(
        t.other()
            .evict(&t.resource, token, EvictionMode::Force, LIMIT)
            .await,
    );
    lost(t.store().renew(&t.lease("a", token), t.ttl(), LIMIT).await);
    assert!(granted(t.other().acquire(&t.bid("b"), LIMIT).await) > token);
}

pub(super) async fn an_eviction_of_another_token_changes_nothing(t: &Trial) {
    let token = t.held().await;
    let other = FencingToken::new(token.get() + 1);
    for eviction in [EvictionMode::Close, EvictionMode::Force] {
        not_held(t.store().evict(&t.resource, other, eviction, LIMIT).await);
    }
    renewed(t.store().renew(&t.lease("a", token), t.ttl(), LIMIT).await);
}
