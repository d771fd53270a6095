//! Cases about what a record holds, and what `read` and `list` return.

use super::super::trial::{
    LIMIT, Trial, granted, lost, metadata, name, not_held, released, renewed,
};
use crate::{
    lease::{FencingToken, LeaseRecord, ReleaseTarget, ResourceName, Scope},
    store::{EvictionMode, StoreErrorKind},
};

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
        not_held(t.store().release(&t.claim("a", token), None, LIMIT).await),
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
        released(
            t.store()
                .release(&t.claim(&holder, token), None, LIMIT)
                .await,
        );
        tokens.push((token, name(&holder)));
    }
    let history = t.record().await.history;
    let seen: Vec<_> = history
        .into_iter()
        .map(|line| (line.token, line.holder))
        .collect();
    assert_eq!(seen, tokens[3..]);
}

pub(super) async fn unknown_fields_are_kept(t: &Trial) {
    let token = t.held().await;
    t.subject.add_unknown_field(&t.resource).await;
    renewed(t.store().renew(&t.lease("a", token), t.ttl(), LIMIT).await);
    released(t.store().release(&t.claim("a", token), None, LIMIT).await);
    granted(t.other().acquire(&t.bid("b"), LIMIT).await);
    assert!(t.subject.has_unknown_field(&t.resource).await);
}

pub(super) async fn a_record_of_a_newer_format_is_not_written(t: &Trial) {
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
        t.store().release(&claim, None, LIMIT).await.map(drop),
        t.store().release(&owner, None, LIMIT).await.map(drop),
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
