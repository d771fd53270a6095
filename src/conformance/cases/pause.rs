//! Cases about pauses: which bids they refuse, and what they leave alone.

use super::super::{
    operator::{NOTE, later, to_pause, told},
    trial::{LIMIT, Trial, granted, name, refused, released, renewed},
};
use crate::{lease::LeaseRecord, store::EvictionMode};

#[track_caller]
fn assert_paused(record: &LeaseRecord) {
    let pause = record.pause.as_ref().expect("a pause in the record");
    assert_eq!(pause.note.as_str(), NOTE);
}

pub(super) async fn a_paused_lease_that_is_free_is_not_acquired(t: &Trial) {
    let token = t.held().await;
    released(t.store().release(&t.claim("a", token), None, LIMIT).await);
    t.pause().await;
    for client in &t.clients {
        refused(client.acquire(&t.bid("b"), LIMIT).await);
        refused(client.acquire(&t.reentrant_bid("a"), LIMIT).await);
    }
    let record = t.record().await;
    assert_eq!((record.token, record.holder), (token, None));
}

pub(super) async fn a_paused_lease_that_has_expired_is_not_taken_over(t: &Trial) {
    let bid = t.bid("a");
    let token = granted(t.store().acquire(&bid, LIMIT).await);
    t.pause().await;
    t.wait_out("b").await;
    refused(t.other().acquire(&t.bid("b"), LIMIT).await);
    refused(t.other().acquire(&t.reentrant_bid("a"), LIMIT).await);
    refused(t.store().acquire(&bid, LIMIT).await);
    assert_eq!(t.record().await.token, token);
    t.resume().await;
    granted(t.other().acquire(&t.bid("b"), LIMIT).await);
}

pub(super) async fn a_paused_lease_is_refused_to_the_attempt_that_holds_it(t: &Trial) {
    let bid = t.bid("a");
    let token = granted(t.store().acquire(&bid, LIMIT).await);
    t.pause().await;
    for client in &t.clients {
        let seen = refused(client.acquire(&bid, LIMIT).await);
        assert_eq!((seen.token, seen.holder), (token, Some(name("a"))));
    }
}

pub(super) async fn a_paused_lease_is_refused_to_a_reentrant_bid_of_its_holder(t: &Trial) {
    let token = t.held().await;
    t.pause().await;
    for client in &t.clients {
        let seen = refused(client.acquire(&t.reentrant_bid("a"), LIMIT).await);
        assert_eq!((seen.token, seen.holder), (token, Some(name("a"))));
    }
}

pub(super) async fn a_pause_does_not_refuse_an_internal_bid(t: &Trial) {
    t.pause().await;
    refused(t.store().acquire(&t.bid("a"), LIMIT).await);
    let token = granted(t.store().acquire(&t.internal_bid("a"), LIMIT).await);
    let record = t.record().await;
    assert_eq!((record.token, record.holder), (token, Some(name("a"))));
}

pub(super) async fn a_paused_lease_is_renewed_and_its_holder_is_told(t: &Trial) {
    let token = t.held().await;
    t.pause().await;
    for _ in 0..3 {
        t.pass(0.6).await;
        let answer = t.store().renew(&t.lease("a", token), t.ttl(), LIMIT).await;
        assert_eq!(told(answer), to_pause());
    }
    released(t.store().release(&t.claim("a", token), None, LIMIT).await);
    refused(t.other().acquire(&t.bid("b"), LIMIT).await);
}

pub(super) async fn a_refusal_and_a_read_show_the_pause(t: &Trial) {
    let bid = t.bid("a");
    let token = granted(t.store().acquire(&bid, LIMIT).await);
    t.pause().await;
    for client in &t.clients {
        assert_paused(&refused(client.acquire(&t.bid("b"), LIMIT).await));
    }
    assert_paused(&refused(t.store().acquire(&bid, LIMIT).await));
    assert_paused(&t.record().await);
    released(t.store().release(&t.claim("a", token), None, LIMIT).await);
    assert_paused(&refused(t.other().acquire(&t.bid("b"), LIMIT).await));
    let scope = t.resource.scope();
    let list = t.other().list(&scope, LIMIT).await.expect("an answer");
    assert_paused(list.first().expect("a record"));
}

pub(super) async fn a_pause_holds_for_a_client_that_comes_later(t: &Trial) {
    let token = t.held().await;
    released(t.store().release(&t.claim("a", token), None, LIMIT).await);
    t.pause().await;
    let newcomer = t.subject.client().await;
    assert_paused(&refused(newcomer.acquire(&t.bid("b"), LIMIT).await));
}

pub(super) async fn a_pause_creates_an_absent_record(t: &Trial) {
    let edition = t.pause().await;
    let record = t.record().await;
    assert_paused(&record);
    assert_eq!((record.holder.clone(), record.edition), (None, edition));
    assert!(!record.is_held() && !record.internal && record.history.is_empty());
    for client in &t.clients {
        refused(client.acquire(&t.bid("b"), LIMIT).await);
    }
}

pub(super) async fn a_resumed_lease_is_acquired(t: &Trial) {
    t.pause().await;
    refused(t.store().acquire(&t.bid("a"), LIMIT).await);
    t.resume().await;
    let token = t.held().await;
    // A holder that goes on until the resource is resumed keeps its lease.
    t.pause().await;
    t.resume().await;
    renewed(t.store().renew(&t.lease("a", token), t.ttl(), LIMIT).await);
    let record = t.record().await;
    assert_eq!((record.token, record.pause), (token, None));
}

pub(super) async fn a_pause_stands_until_it_is_resumed(t: &Trial) {
    let token = t.held().await;
    t.pause().await;
    t.store()
        .renew(&t.lease("a", token), t.ttl(), LIMIT)
        .await
        .expect("an answer");
    let evicted = t
        .other()
        .evict(&t.resource, token, EvictionMode::Force, LIMIT)
        .await;
    released(evicted);
    later().await;
    assert_paused(&refused(t.other().acquire(&t.bid("b"), LIMIT).await));
    t.expire().await;
    assert_paused(&refused(t.other().acquire(&t.bid("b"), LIMIT).await));
}
