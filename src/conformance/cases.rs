//! The clauses of the contract, one case each.

use std::time::Duration;

use tokio::time::timeout;

use super::trial::{
    LIMIT, Trial, granted, lost, metadata, name, not_held, refused, released, renewed,
};
use crate::{
    lease::{FencingToken, LeaseRecord, ReleaseTarget, ResourceName, Scope},
    store::{EvictionMode, LeaseStore as _, StoreErrorKind},
    testing::{Fault, FaultyStore},
};

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

pub(super) async fn a_token_grows_across_release(t: &Trial) {
    let mut last = FencingToken::new(0);
    for round in 0..5 {
        let client = &t.clients[round % 4];
        let token = granted(client.acquire(&t.bid("a"), LIMIT).await);
        assert!(token > last, "{token} after {last}");
        released(client.release(&t.claim("a", token), LIMIT).await);
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
    released(t.store().release(&t.claim("a", token), LIMIT).await);
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

pub(super) async fn only_the_holder_releases_a_lease(t: &Trial) {
    let token = t.held().await;
    let other = FencingToken::new(token.get() + 1);
    for claim in [t.claim("b", token), t.claim("a", other)] {
        let seen = not_held(t.store().release(&claim, LIMIT).await).expect("a record");
        assert_eq!(seen.holder, Some(name("a")));
    }
    refused(t.other().acquire(&t.bid("b"), LIMIT).await);
    released(t.store().release(&t.claim("a", token), LIMIT).await);
    granted(t.other().acquire(&t.bid("b"), LIMIT).await);
    not_held(t.store().release(&t.claim("a", token), LIMIT).await);
    assert_eq!(
        t.record().await.holder,
        Some(name("b")),
        "a late release freed the next lease"
    );
}

pub(super) async fn an_unconfirmed_grant_is_released_by_its_attempt(t: &Trial) {
    let bid = t.bid("a");
    granted(t.store().acquire(&bid, LIMIT).await);
    let (resource, attempt) = (t.resource.clone(), t.bid("a").attempt);
    not_held(
        t.store()
            .release(&ReleaseTarget::Attempt { resource, attempt }, LIMIT)
            .await,
    );
    let (resource, attempt) = (t.resource.clone(), bid.attempt);
    let claim = ReleaseTarget::Attempt { resource, attempt };
    released(t.store().release(&claim, LIMIT).await);
    not_held(t.store().release(&claim, LIMIT).await);
    refused(t.store().acquire(&bid, LIMIT).await);
    granted(t.other().acquire(&t.bid("b"), LIMIT).await);
}

pub(super) async fn a_released_record_keeps_its_token_and_metadata(t: &Trial) {
    let mut bid = t.bid("a");
    bid.metadata = Some(metadata("10.0.0.1:80"));
    let token = granted(t.store().acquire(&bid, LIMIT).await);
    released(t.store().release(&t.claim("a", token), LIMIT).await);
    let record = t.record().await;
    assert_eq!((record.token, record.holder), (token, None));
    assert_eq!(
        (record.metadata, record.remaining),
        (bid.metadata, Duration::ZERO)
    );
}

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

pub(super) async fn other_candidates_wait_for_the_ttl_of_the_holder(t: &Trial) {
    let mut long = t.bid("a");
    long.ttl = t.ttl() * 3;
    granted(t.store().acquire(&long, LIMIT).await);
    refused(t.other().acquire(&t.bid("b"), LIMIT).await);
    t.pass(1.5).await;
    let seen = refused(t.other().acquire(&t.bid("b"), LIMIT).await);
    assert!(seen.ttl >= t.ttl() * 3);
}

pub(super) async fn a_resource_that_was_never_acquired_has_no_record(t: &Trial) {
    assert_eq!(
        t.store().read(&t.resource, LIMIT).await.expect("an answer"),
        None
    );
    let token = FencingToken::new(1);
    assert_eq!(
        lost(t.store().renew(&t.lease("a", token), t.ttl(), LIMIT).await),
        None
    );
    assert_eq!(
        not_held(t.store().release(&t.claim("a", token), LIMIT).await),
        None
    );
    assert_eq!(
        not_held(
            t.store()
                .evict(&t.resource, token, EvictionMode::Close, LIMIT)
                .await
        ),
        None
    );
    assert_eq!(
        t.store().read(&t.resource, LIMIT).await.expect("an answer"),
        None
    );
}

pub(super) async fn a_list_holds_the_records_directly_in_its_scope(t: &Trial) {
    let base = &t.resource;
    for tail in ["b", "a", "a/deeper", "ä"] {
        let mut bid = t.bid("a");
        bid.resource = ResourceName::new(format!("{base}/{tail}")).expect("a good name");
        granted(t.store().acquire(&bid, LIMIT).await);
    }
    let list = async |scope: String| -> Vec<String> {
        let scope = Scope::new(scope).expect("a good scope");
        let records = t.other().list(&scope, LIMIT).await.expect("an answer");
        records
            .iter()
            .map(|record| record.resource.to_string())
            .collect()
    };
    let expected = ["a", "b", "ä"].map(|tail| format!("{base}/{tail}"));
    assert_eq!(list(base.to_string()).await, expected);
    assert_eq!(
        list(format!("{base}/a")).await,
        [format!("{base}/a/deeper")]
    );
    assert_eq!(list(format!("{base}/none")).await, [] as [String; 0]);
}

pub(super) async fn names_with_any_allowed_character_stay_distinct(t: &Trial) {
    let base = t.resource.scope();
    let tails = [
        "x", "X", "x ", " x", "x/", "/x", "//", "x.", "$x", "x'\"\\", "x%_*?", "é", "e\u{301}",
        "ß", "ss", "🔑", "null", "0", "00",
    ];
    let mut names: Vec<_> = tails.iter().map(|tail| format!("{base}{tail}")).collect();
    names.push(format!(
        "{base}{}",
        "l".repeat(255 - base.as_prefix().len())
    ));
    let mut tokens = Vec::new();
    for candidate in &names {
        let mut bid = t.bid("a");
        bid.resource = ResourceName::new(candidate).expect("a good name");
        bid.candidate = name(candidate);
        tokens.push(granted(t.store().acquire(&bid, LIMIT).await));
    }
    for (candidate, token) in names.iter().zip(tokens) {
        let resource = ResourceName::new(candidate).expect("a good name");
        let record = t
            .other()
            .read(&resource, LIMIT)
            .await
            .expect("an answer")
            .expect("a record");
        assert_eq!((record.resource, record.token), (resource, token));
        assert_eq!(record.holder, Some(name(candidate)));
    }
}

pub(super) async fn metadata_of_4096_bytes_is_kept(t: &Trial) {
    let text = format!("{}\u{0}\n\"\\ü", "x".repeat(4096 - 6));
    let mut bid = t.bid("a");
    bid.metadata = Some(metadata(&text));
    granted(t.store().acquire(&bid, LIMIT).await);
    assert_eq!(t.record().await.metadata, bid.metadata);
}

pub(super) async fn the_history_holds_the_last_eight_acquisitions(t: &Trial) {
    let mut tokens = Vec::new();
    for round in 0..LeaseRecord::HISTORY + 3 {
        let holder = format!("holder {round}");
        let token = granted(t.store().acquire(&t.bid(&holder), LIMIT).await);
        released(t.store().release(&t.claim(&holder, token), LIMIT).await);
        tokens.push((token, name(&holder)));
    }
    let history = t.record().await.history;
    let seen: Vec<_> = history
        .into_iter()
        .map(|line| (line.token, line.holder))
        .collect();
    assert_eq!(seen, tokens[3..]);
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
    leases[2].0.token = FencingToken::new(1_000_000);
    let answers = t.store().renew_many(&leases, LIMIT).await;
    assert_eq!(answers.len(), 5);
    for (index, answer) in answers.into_iter().enumerate() {
        match index {
            2 => drop(lost(answer)),
            _ => renewed(answer),
        }
    }
}

pub(super) async fn a_lost_reply_does_not_lose_the_lease(t: &Trial) {
    let lossy = FaultyStore::new(t.clients[0].clone());
    let bid = t.bid("a");
    lossy.script([Fault::LostReply]);
    let error = lossy
        .acquire(&bid, LIMIT)
        .await
        .expect_err("the reply is lost");
    assert_eq!(error.kind(), StoreErrorKind::Unknown);
    let token = granted(lossy.acquire(&bid, LIMIT).await);
    lossy.script([Fault::LostReply]);
    lossy
        .renew(&t.lease("a", token), t.ttl(), LIMIT)
        .await
        .expect_err("the reply is lost");
    renewed(lossy.renew(&t.lease("a", token), t.ttl(), LIMIT).await);
    lossy.script([Fault::LostReply]);
    lossy
        .release(&t.claim("a", token), LIMIT)
        .await
        .expect_err("the reply is lost");
    let seen = not_held(lossy.release(&t.claim("a", token), LIMIT).await).expect("a record");
    assert_eq!((seen.token, seen.holder), (token, None));
}

pub(super) async fn a_late_retry_of_an_acquire_does_not_undo_its_release(t: &Trial) {
    let bid = t.bid("a");
    let token = granted(t.store().acquire(&bid, LIMIT).await);
    // The driver retries the acquire after the release was applied.
    released(t.store().release(&t.claim("a", token), LIMIT).await);
    refused(t.other().acquire(&bid, LIMIT).await);
    assert_eq!(
        t.record().await.holder,
        None,
        "the retry acquired a lease that has no holder"
    );
}

pub(super) async fn unknown_fields_are_kept(t: &Trial) {
    if !t.capabilities.meddles {
        return;
    }
    let token = t.held().await;
    t.subject.add_unknown_field(&t.resource).await;
    renewed(t.store().renew(&t.lease("a", token), t.ttl(), LIMIT).await);
    released(t.store().release(&t.claim("a", token), LIMIT).await);
    granted(t.other().acquire(&t.bid("b"), LIMIT).await);
    assert!(t.subject.has_unknown_field(&t.resource).await);
}

pub(super) async fn a_record_of_a_newer_format_is_not_written(t: &Trial) {
    if !t.capabilities.meddles {
        return;
    }
    let token = t.held().await;
    t.subject.raise_min_reader(&t.resource).await;
    let kind = |error: crate::store::StoreError| error.kind();
    let (lease, claim) = (t.lease("a", token), t.claim("a", token));
    let owner = ReleaseTarget::Holder {
        resource: t.resource.clone(),
        holder: name("a"),
    };
    let errors = [
        t.store().acquire(&t.bid("b"), LIMIT).await.map(drop),
        t.store().renew(&lease, t.ttl(), LIMIT).await.map(drop),
        t.store().release(&claim, LIMIT).await.map(drop),
        t.store().release(&owner, LIMIT).await.map(drop),
    ];
    for error in errors {
        assert_eq!(error.map_err(kind), Err(StoreErrorKind::Unsupported));
    }
    t.expire().await;
    let late = t.other().acquire(&t.bid("b"), LIMIT).await;
    assert_eq!(
        late.map_err(kind),
        Err(StoreErrorKind::Unsupported),
        "nor when it has expired"
    );
}

pub(super) async fn a_write_that_gets_no_answer_fails_within_its_limit(t: &Trial) {
    /// How much longer the test waits than the store: a busy machine is slow.
    const EXTRA_WAIT: Duration = Duration::from_secs(5);
    let limit = Duration::from_millis(300);
    let token = t.held().await;
    let Some(stalled) = t.subject.stall().await else {
        return;
    };
    let lease = t.lease("a", token);
    let renewed = timeout(limit + EXTRA_WAIT, t.store().renew(&lease, t.ttl(), limit)).await;
    assert!(renewed.expect("an answer in time").is_err());
    let claim = t.claim("a", token);
    let released = timeout(limit + EXTRA_WAIT, t.store().release(&claim, limit)).await;
    assert!(released.expect("an answer in time").is_err());
    drop(stalled);
    t.store().read(&t.resource, LIMIT).await.expect("an answer");
}
