//! Cases about the history of a record, and about when it was last touched.

use super::super::{
    operator::{hand_over, instructed, later},
    trial::{LIMIT, Trial, granted, name, released, renewed},
};
use crate::{
    lease::{EndReason, HistoryEntry, ReleaseTarget},
    store::EvictionMode,
};

/// The last acquisition in the history.
async fn last(t: &Trial) -> HistoryEntry {
    let history = t.record().await.history;
    history.into_iter().next_back().expect("an acquisition")
}

#[track_caller]
fn assert_ended(line: &HistoryEntry, reason: EndReason) {
    let ended = line.ended.as_ref().expect("an end");
    assert_eq!(ended.reason, reason);
    assert!(ended.at >= line.since, "it ended before it began: {line:?}");
}

pub(super) async fn the_history_has_the_reason_of_a_release(t: &Trial) {
    let token = t.held().await;
    assert_eq!(last(t).await.ended, None, "it has not ended");
    let claim = t.claim("a", token);
    let reason = EndReason::SteppedDown;
    released(t.store().release(&claim, Some(reason), LIMIT).await);
    assert_ended(&last(t).await, reason);
    // Also by the attempt or by the holder.
    let bid = t.bid("a");
    granted(t.store().acquire(&bid, LIMIT).await);
    let (resource, attempt) = (t.resource.clone(), bid.attempt);
    let claim = ReleaseTarget::Attempt { resource, attempt };
    let reason = EndReason::Shutdown;
    released(t.store().release(&claim, Some(reason), LIMIT).await);
    assert_ended(&last(t).await, reason);
    t.held().await;
    let (resource, holder) = (t.resource.clone(), name("a"));
    let claim = ReleaseTarget::Holder { resource, holder };
    let reason = EndReason::Unlocked;
    released(t.other().release(&claim, Some(reason), LIMIT).await);
    assert_ended(&last(t).await, reason);
}

pub(super) async fn a_release_without_a_reason_notes_none(t: &Trial) {
    let token = t.held().await;
    released(t.store().release(&t.claim("a", token), None, LIMIT).await);
    assert_eq!(last(t).await.ended, None);
}

pub(super) async fn the_history_names_an_eviction(t: &Trial) {
    for eviction in [EvictionMode::Close, EvictionMode::Force] {
        let token = t.held().await;
        let evicted = t.other().evict(&t.resource, token, eviction, LIMIT).await;
        released(evicted);
        assert_ended(&last(t).await, EndReason::Evicted);
        if eviction == EvictionMode::Close {
            t.wait_out("a").await;
        }
    }
}

pub(super) async fn the_ends_of_older_acquisitions_are_kept(t: &Trial) {
    let reasons = [Some(EndReason::Resigned), None, Some(EndReason::MaxHold)];
    for reason in reasons {
        let token = t.held().await;
        released(t.store().release(&t.claim("a", token), reason, LIMIT).await);
    }
    let token = granted(t.other().acquire(&t.bid("b"), LIMIT).await);
    renewed(t.other().renew(&t.lease("b", token), t.ttl(), LIMIT).await);
    let history = t.record().await.history;
    let ends = history.iter().map(|line| line.ended.as_ref());
    let seen: Vec<_> = ends.map(|end| end.map(|end| end.reason)).collect();
    assert_eq!(seen, [reasons[0], reasons[1], reasons[2], None]);
}

pub(super) async fn every_write_but_a_renewal_touches_the_record(t: &Trial) {
    let token = t.held().await;
    let mut before = t.record().await.touched;
    later().await;
    renewed(t.store().renew(&t.lease("a", token), t.ttl(), LIMIT).await);
    assert_eq!(t.record().await.touched, before, "a renewal touches it");
    let mut touched = async |by: &str| {
        let after = t.record().await.touched;
        assert!(after > before, "{by} does not touch the record");
        before = after;
        later().await;
    };
    let instruction = hand_over(token, "a");
    instructed(t.instruct(&instruction).await);
    touched("a hand-over").await;
    t.pause().await;
    touched("a pause").await;
    t.resume().await;
    touched("a resume").await;
    released(t.store().release(&t.claim("a", token), None, LIMIT).await);
    touched("a release").await;
    let token = t.held().await;
    touched("an acquisition").await;
    let eviction = EvictionMode::Close;
    released(t.other().evict(&t.resource, token, eviction, LIMIT).await);
    touched("an eviction").await;
}
