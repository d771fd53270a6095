//! Cases about the first token of a record, and the tokens after it.

use std::time::{Duration, SystemTime};

use super::super::{
    operator::later,
    trial::{LIMIT, Trial, granted, released},
};
use crate::lease::{FencingToken, Scope};

/// How far the clocks of the store and of the test may differ.
const CLOCKS_DIFFER_BY: Duration = Duration::from_secs(24 * 60 * 60);

#[track_caller]
fn assert_is_the_time_of_day(token: FencingToken) {
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("a time after 1970");
    let shown = Duration::from_millis(token.get());
    assert!(
        shown.abs_diff(now) < CLOCKS_DIFFER_BY,
        "the first token is {token}, and it is {} ms since 1970",
        now.as_millis()
    );
    assert!(token.get() < 1 << 53);
}

pub(super) async fn the_first_token_is_the_time_of_day(t: &Trial) {
    assert_is_the_time_of_day(t.held().await);
}

pub(super) async fn each_later_token_is_one_more(t: &Trial) {
    let mut last = t.held().await;
    for round in 0..3 {
        released(t.store().release(&t.claim("a", last), None, LIMIT).await);
        later().await;
        let client = &t.clients[round % 4];
        let token = granted(client.acquire(&t.bid("a"), LIMIT).await);
        assert_eq!(token.get(), last.get() + 1);
        last = token;
    }
}

/// Acquires and releases the lease twice, and deletes the record. Returns the last token.
pub(super) async fn deleted(t: &Trial) -> FencingToken {
    let mut last = FencingToken::new(0);
    for _ in 0..2 {
        last = t.held().await;
        released(t.store().release(&t.claim("a", last), None, LIMIT).await);
    }
    later().await;
    let purged = t.other().purge(&scope(t), Duration::ZERO, LIMIT).await;
    purged.expect("an answer");
    let record = t.store().read(&t.resource, LIMIT).await;
    assert_eq!(
        record.expect("an answer"),
        None,
        "the record was not purged"
    );
    last
}

fn scope(t: &Trial) -> Scope {
    t.resource.scope()
}

pub(super) async fn a_token_grows_across_a_purge(t: &Trial) {
    let last = deleted(t).await;
    let token = t.held().await;
    assert!(token > last, "{token} after {last}");
    assert_is_the_time_of_day(token);
}

pub(super) async fn a_token_grows_across_a_purge_and_a_pause(t: &Trial) {
    let last = deleted(t).await;
    t.pause().await;
    let paused = t.record().await.token;
    assert_is_the_time_of_day(paused);
    t.resume().await;
    let token = t.held().await;
    assert!(token > last, "{token} after {last}");
    assert!(token > paused, "{token} after {paused}");
}
