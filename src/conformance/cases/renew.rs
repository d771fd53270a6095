//! Cases about renewals.

use super::super::trial::{LIMIT, Trial, granted, lost, name, refused, renewed};
use crate::lease::{FencingToken, ResourceName};

pub(super) async fn a_renewal_gives_a_whole_ttl_again(t: &Trial) {
    let token = t.held().await;
    for _ in 0..3 {
        t.pass(0.6).await;
        renewed(t.store().renew(&t.lease("a", token), t.ttl(), LIMIT).await);
    }
    t.pass(0.6).await;
    refused(t.other().acquire(&t.bid("b"), LIMIT).await);
    assert_eq!(t.record().await.token, token);
}

pub(super) async fn a_renewal_with_a_shorter_ttl_shortens_the_lease(t: &Trial) {
    let mut long = t.bid("a");
    long.ttl = t.ttl() * 3;
    let token = granted(t.store().acquire(&long, LIMIT).await);
    refused(t.other().acquire(&t.bid("b"), LIMIT).await);
    renewed(t.store().renew(&t.lease("a", token), t.ttl(), LIMIT).await);
    let seen = refused(t.other().acquire(&t.bid("b"), LIMIT).await);
    assert!(seen.ttl < long.ttl, "{:?} of {:?}", seen.ttl, t.ttl());
    assert!(seen.remaining <= t.ttl() + t.capabilities.slack);
    t.expire().await;
    lost(t.store().renew(&t.lease("a", token), t.ttl(), LIMIT).await);
    granted(t.other().acquire(&t.bid("b"), LIMIT).await);
}

pub(super) async fn an_expired_lease_is_not_renewed(t: &Trial) {
    let token = t.held().await;
    t.expire().await;
    let seen = lost(t.store().renew(&t.lease("a", token), t.ttl(), LIMIT).await);
    assert_eq!(seen.map(|seen| seen.token), Some(token));
}

pub(super) async fn a_lease_of_another_token_or_holder_is_not_renewed(t: &Trial) {
    let token = t.held().await;
    lost(t.store().renew(&t.lease("b", token), t.ttl(), LIMIT).await);
    let other = FencingToken::new(token.get() + 1);
    lost(t.store().renew(&t.lease("a", other), t.ttl(), LIMIT).await);
    lost(
        t.store()
            .renew(&t.lease("a", FencingToken::new(0)), t.ttl(), LIMIT)
            .await,
    );
}

pub(super) async fn a_lease_that_was_taken_over_is_not_renewed(t: &Trial) {
    let first = t.held().await;
    t.wait_out("b").await;
    let second = granted(t.other().acquire(&t.bid("b"), LIMIT).await);
    let seen = lost(t.store().renew(&t.lease("a", first), t.ttl(), LIMIT).await).expect("a record");
    assert_eq!((seen.token, seen.holder), (second, Some(name("b"))));
    renewed(t.other().renew(&t.lease("b", second), t.ttl(), LIMIT).await);
}

pub(super) async fn renew_many_renews_each_lease(t: &Trial) {
    let mut leases = Vec::new();
    for index in 0..5 {
        let mut bid = t.bid("a");
        bid.resource = ResourceName::new(format!("{}/{index}", t.resource)).expect("a good name");
        let token = granted(t.store().acquire(&bid, LIMIT).await);
        let mut lease = t.lease("a", token);
        lease.resource = bid.resource;
        leases.push((lease, t.ttl()));
    }
    // Not the one in the middle, so that a reversed order shows.
    leases[1].0.token = FencingToken::new(1_000_000);
    let answers = t.store().renew_many(&leases, LIMIT).await;
    assert_eq!(answers.len(), 5);
    for (index, answer) in answers.into_iter().enumerate() {
        match index {
            1 => drop(lost(answer)),
            _ => renewed(answer),
        }
    }
}
