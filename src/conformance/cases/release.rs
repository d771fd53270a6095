//! Cases about releases.

use std::time::Duration;

use super::super::trial::{LIMIT, Trial, granted, metadata, name, not_held, refused, released};
use crate::lease::{FencingToken, ReleaseTarget};

pub(super) async fn only_the_holder_releases_a_lease(t: &Trial) {
    let token = t.held().await;
    let other = FencingToken::new(token.get() + 1);
    for claim in [t.claim("b", token), t.claim("a", other)] {
        let seen = not_held(t.store().release(&claim, None, LIMIT).await).expect("a record");
        assert_eq!(seen.holder, Some(name("a")));
    }
    refused(t.other().acquire(&t.bid("b"), LIMIT).await);
    released(t.store().release(&t.claim("a", token), None, LIMIT).await);
    granted(t.other().acquire(&t.bid("b"), LIMIT).await);
    not_held(t.store().release(&t.claim("a", token), None, LIMIT).await);
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
            .release(&ReleaseTarget::Attempt { resource, attempt }, None, LIMIT)
            .await,
    );
    let (resource, attempt) = (t.resource.clone(), bid.attempt);
    let claim = ReleaseTarget::Attempt { resource, attempt };
    released(t.store().release(&claim, None, LIMIT).await);
    not_held(t.store().release(&claim, None, LIMIT).await);
    refused(t.store().acquire(&bid, LIMIT).await);
    granted(t.other().acquire(&t.bid("b"), LIMIT).await);
}

pub(super) async fn a_released_record_keeps_its_token_and_metadata(t: &Trial) {
    let mut bid = t.bid("a");
    bid.metadata = Some(metadata("10.0.0.1:80"));
    let token = granted(t.store().acquire(&bid, LIMIT).await);
    released(t.store().release(&t.claim("a", token), None, LIMIT).await);
    let record = t.record().await;
    assert_eq!((record.token, record.holder), (token, None));
    assert_eq!(
        (record.metadata, record.remaining),
        (bid.metadata, Duration::ZERO)
    );
}
