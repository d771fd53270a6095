//! Cases about renewals.

use std::time::Duration;

use super::super::{
    operator::{hand_over, instructed, to_hand_over, to_pause, told},
    trial::{LIMIT, Trial, granted, lost, name, refused, renewed},
};
use crate::lease::{FencingToken, Lease, ResourceName};

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
    let mut leases = hold_many(t, 5).await;
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

/// Acquires this many leases under the name of the case.
async fn hold_many(t: &Trial, count: usize) -> Vec<(Lease, Duration)> {
    let mut leases = Vec::new();
    for index in 0..count {
        let mut bid = t.bid("a");
        bid.resource = ResourceName::new(format!("{}/{index}", t.resource)).expect("a good name");
        let token = granted(t.store().acquire(&bid, LIMIT).await);
        let mut lease = t.lease("a", token);
        lease.resource = bid.resource;
        leases.push((lease, t.ttl()));
    }
    leases
}

pub(super) async fn renew_many_gives_each_lease_a_whole_ttl_again(t: &Trial) {
    let leases = hold_many(t, 3).await;
    for _ in 0..2 {
        t.pass(0.6).await;
        for answer in t.store().renew_many(&leases, LIMIT).await {
            renewed(answer);
        }
    }
    t.pass(0.6).await;
    for (lease, _) in leases {
        let mut bid = t.bid("b");
        bid.resource = lease.resource;
        refused(t.other().acquire(&bid, LIMIT).await);
    }
}

pub(super) async fn renew_many_tells_each_instruction(t: &Trial) {
    let mut leases = hold_many(t, 5).await;
    let [paused, lost_one, handed_over] = [1, 2, 3].map(|index| leases[index].0.clone());
    let client = t.other();
    t.pause_named(&paused.resource).await;
    let to = hand_over(handed_over.token, "b");
    instructed(client.instruct(&handed_over.resource, &to, LIMIT).await);
    leases[2].0.token = FencingToken::new(lost_one.token.get() + 1);
    // Also the second time.
    for _ in 0..2 {
        let answers = t.store().renew_many(&leases, LIMIT).await;
        assert_eq!(answers.len(), 5);
        for (index, answer) in answers.into_iter().enumerate() {
            match index {
                1 => assert_eq!(told(answer), to_pause()),
                2 => drop(lost(answer)),
                3 => assert_eq!(told(answer), to_hand_over("b")),
                _ => renewed(answer),
            }
        }
    }
}

pub(super) async fn renew_many_answers_for_each_copy_of_a_lease(t: &Trial) {
    let leases = hold_many(t, 2).await;
    let [first, second] = [leases[0].clone(), leases[1].clone()];
    let mut stale = first.clone();
    stale.0.token = FencingToken::new(first.0.token.get() - 1);
    let batch = [first.clone(), second, first, stale];
    let answers = t.store().renew_many(&batch, LIMIT).await;
    assert_eq!(answers.len(), batch.len());
    for (index, answer) in answers.into_iter().enumerate() {
        match index {
            3 => drop(lost(answer)),
            _ => renewed(answer),
        }
    }
}

pub(super) async fn renew_many_of_no_lease_has_no_result(t: &Trial) {
    assert!(t.store().renew_many(&[], LIMIT).await.is_empty());
}
