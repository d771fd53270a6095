//! Cases about hand-overs: who is told, and who bids first.

use super::super::{
    operator::{hand_over, not_instructed, to_hand_over, to_pause, told},
    trial::{LIMIT, Trial, granted, name, refused, released, renewed},
};
use crate::lease::FencingToken;

/// Holds the lease as `a`, hands it over to `b`, and releases it. Returns the token.
async fn handed_over(t: &Trial) -> FencingToken {
    let token = t.held().await;
    t.hand_over(token, "b").await;
    released(t.store().release(&t.claim("a", token), None, LIMIT).await);
    token
}

pub(super) async fn a_renewal_tells_a_hand_over(t: &Trial) {
    let token = t.held().await;
    let edition = t.record().await.edition;
    t.hand_over(token, "b").await;
    for _ in 0..3 {
        t.pass(0.6).await;
        let answer = t.store().renew(&t.lease("a", token), t.ttl(), LIMIT).await;
        assert_eq!(told(answer), to_hand_over("b"));
    }
    let record = t.record().await;
    assert_eq!(record.hand_over, Some(name("b")));
    assert_eq!(
        record.edition, edition,
        "only a pause and a resume raise it"
    );
}

pub(super) async fn the_last_hand_over_stands(t: &Trial) {
    let token = t.held().await;
    t.hand_over(token, "b").await;
    t.hand_over(token, "c").await;
    let answer = t.store().renew(&t.lease("a", token), t.ttl(), LIMIT).await;
    assert_eq!(told(answer), to_hand_over("c"));
    released(t.store().release(&t.claim("a", token), None, LIMIT).await);
    refused(t.other().acquire(&t.bid("b"), LIMIT).await);
    granted(t.other().acquire(&t.bid("c"), LIMIT).await);
}

pub(super) async fn a_hand_over_of_another_token_is_refused(t: &Trial) {
    let token = t.held().await;
    for other in [token.get() - 1, token.get() + 1] {
        let instruction = hand_over(FencingToken::new(other), "b");
        let seen = not_instructed(t.instruct(&instruction).await).expect("the record");
        assert_eq!((seen.token, seen.hand_over), (token, None));
    }
    renewed(t.store().renew(&t.lease("a", token), t.ttl(), LIMIT).await);
}

pub(super) async fn a_hand_over_of_a_free_lease_is_refused(t: &Trial) {
    let instruction = hand_over(FencingToken::new(1), "b");
    assert_eq!(not_instructed(t.instruct(&instruction).await), None);
    let record = t.store().read(&t.resource, LIMIT).await;
    assert_eq!(record.expect("an answer"), None, "it has made a record");
    let token = t.held().await;
    released(t.store().release(&t.claim("a", token), None, LIMIT).await);
    let instruction = hand_over(token, "b");
    not_instructed(t.instruct(&instruction).await).expect("the record");
    granted(t.other().acquire(&t.bid("c"), LIMIT).await);
}

pub(super) async fn a_hand_over_of_an_expired_lease_is_refused(t: &Trial) {
    let token = t.held().await;
    t.expire().await;
    let instruction = hand_over(token, "b");
    not_instructed(t.instruct(&instruction).await).expect("the record");
    granted(t.other().acquire(&t.bid("c"), LIMIT).await);
}

pub(super) async fn the_candidate_of_a_hand_over_bids_first(t: &Trial) {
    let token = handed_over(t).await;
    for client in &t.clients {
        for candidate in ["a", "c"] {
            let seen = refused(client.acquire(&t.bid(candidate), LIMIT).await);
            assert_eq!((seen.token, seen.hand_over), (token, Some(name("b"))));
        }
    }
    let next = granted(t.other().acquire(&t.bid("b"), LIMIT).await);
    assert!(next > token, "{next} after {token}");
}

pub(super) async fn the_candidate_of_a_hand_over_bids_first_after_expiry(t: &Trial) {
    let token = t.held().await;
    t.hand_over(token, "b").await;
    t.wait_out("c").await;
    let seen = refused(t.other().acquire(&t.bid("c"), LIMIT).await);
    assert_eq!((seen.token, seen.hand_over), (token, Some(name("b"))));
    granted(t.other().acquire(&t.bid("b"), LIMIT).await);
}

pub(super) async fn a_bid_that_has_waited_is_granted_after_a_hand_over(t: &Trial) {
    let token = handed_over(t).await;
    let mut bid = t.bid("c");
    for other in [token.get() - 1, token.get() + 1] {
        bid.waited = Some(FencingToken::new(other));
        refused(t.other().acquire(&bid, LIMIT).await);
    }
    bid.waited = Some(token);
    granted(t.other().acquire(&bid, LIMIT).await);
}

pub(super) async fn an_acquisition_clears_the_hand_over(t: &Trial) {
    handed_over(t).await;
    let token = granted(t.other().acquire(&t.bid("b"), LIMIT).await);
    assert_eq!(t.record().await.hand_over, None);
    renewed(t.other().renew(&t.lease("b", token), t.ttl(), LIMIT).await);
    released(t.other().release(&t.claim("b", token), None, LIMIT).await);
    granted(t.store().acquire(&t.bid("c"), LIMIT).await);
}

pub(super) async fn a_hand_over_leaves_the_lease_to_its_holder(t: &Trial) {
    let bid = t.bid("a");
    let token = granted(t.store().acquire(&bid, LIMIT).await);
    t.hand_over(token, "b").await;
    // A retry whose reply was lost.
    assert_eq!(granted(t.store().acquire(&bid, LIMIT).await), token);
    refused(t.other().acquire(&t.bid("b"), LIMIT).await);
    let answer = t.store().renew(&t.lease("a", token), t.ttl(), LIMIT).await;
    assert_eq!(told(answer), to_hand_over("b"));
}

pub(super) async fn a_hand_over_and_a_pause_do_not_erase_each_other(t: &Trial) {
    for pause_first in [true, false] {
        let token = t.held().await;
        if pause_first {
            t.pause().await;
            t.hand_over(token, "b").await;
        } else {
            t.hand_over(token, "b").await;
            t.pause().await;
        }
        let record = t.record().await;
        assert!(record.pause.is_some(), "the hand-over has erased the pause");
        let to = record.hand_over;
        assert_eq!(to, Some(name("b")), "the pause has erased the hand-over");
        released(t.store().release(&t.claim("a", token), None, LIMIT).await);
        refused(t.other().acquire(&t.bid("b"), LIMIT).await);
        t.resume().await;
        refused(t.other().acquire(&t.bid("c"), LIMIT).await);
        let token = granted(t.other().acquire(&t.bid("b"), LIMIT).await);
        released(t.other().release(&t.claim("b", token), None, LIMIT).await);
    }
}

pub(super) async fn a_pause_wins_over_a_hand_over(t: &Trial) {
    let token = t.held().await;
    t.hand_over(token, "b").await;
    t.pause().await;
    let lease = t.lease("a", token);
    let answer = t.store().renew(&lease, t.ttl(), LIMIT).await;
    assert_eq!(told(answer), to_pause());
    t.resume().await;
    let answer = t.store().renew(&lease, t.ttl(), LIMIT).await;
    assert_eq!(told(answer), to_hand_over("b"));
}
