//! Cases in which a reply is lost or late.

use std::time::Duration;

use tokio::time::timeout;

use super::super::trial::{LIMIT, Trial, granted, not_held, refused, released, renewed};
use crate::{
    store::{LeaseStore as _, StoreErrorKind},
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
