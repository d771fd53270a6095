//! Cases in which a reply is lost or late.

use std::time::Duration;

use tokio::time::timeout;

use super::super::trial::{LIMIT, Trial, granted, name, not_held, refused, released, renewed};
use crate::{
    lease::ResourceName,
    store::{LeaseStore as _, StoreError, StoreErrorKind},
    testing::{Fault, FaultyStore},
};

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
        .release(&t.claim("a", token), None, LIMIT)
        .await
        .expect_err("the reply is lost");
    let seen = not_held(lossy.release(&t.claim("a", token), None, LIMIT).await).expect("a record");
    assert_eq!((seen.token, seen.holder), (token, None));
}

pub(super) async fn a_late_retry_of_an_acquire_does_not_undo_its_release(t: &Trial) {
    let bid = t.bid("a");
    let token = granted(t.store().acquire(&bid, LIMIT).await);
    // The driver retries the acquire after the release was applied.
    released(t.store().release(&t.claim("a", token), None, LIMIT).await);
    refused(t.other().acquire(&bid, LIMIT).await);
    assert_eq!(
        t.record().await.holder,
        None,
        "the retry acquired a lease that has no holder"
    );
}

pub(super) async fn a_write_that_gets_no_answer_fails_within_its_limit(t: &Trial) {
    let token = t.held().await;
    let mut bid = t.bid("a");
    bid.resource = ResourceName::new(format!("{}/free", t.resource)).expect("a good name");
    let (lease, claim) = (t.lease("a", token), t.claim("a", token));
    let stalled = t.subject.stall().await.expect("a subject that can stall");
    let acquired = unanswered(t.store().acquire(&bid, SHORT)).await;
    unanswered(t.store().renew(&lease, t.ttl(), SHORT)).await;
    let released = unanswered(t.store().release(&claim, None, SHORT)).await;
    drop(stalled);
    let record = t.store().read(&bid.resource, LIMIT).await;
    let record = record.expect("an answer");
    if !acquired.may_have_been_applied() {
        assert_eq!(record, None, "a bid was applied that is {acquired}");
    }
    let holder = t.record().await.holder;
    if !released.may_have_been_applied() {
        assert_eq!(
            holder,
            Some(name("a")),
            "a release was applied that is {released}"
        );
    }
}

/// The limit of a write that gets no answer.
const SHORT: Duration = Duration::from_millis(200);

/// The kind of the error of a write that gets no answer.
async fn unanswered<T>(write: impl Future<Output = Result<T, StoreError>>) -> StoreErrorKind {
    /// How much longer the test waits than the store: a busy machine is slow. Together with the limit, it is less
    /// than the stores' own limits, which must not be what ends the call.
    const EXTRA_WAIT: Duration = Duration::from_millis(1_500);
    let answer = timeout(SHORT + EXTRA_WAIT, write).await;
    let error = answer.expect("an answer in time").err();
    let kind = error.expect("an error").kind();
    assert!(
        kind.may_have_been_applied() || kind == StoreErrorKind::Unavailable,
        "{kind}"
    );
    kind
}
