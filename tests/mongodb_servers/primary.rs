//! The primary dies or hangs, and another member is elected.

use std::time::Duration;

use tenure::{
    Timing,
    clock::{BootClock, Clock as _, Moment},
};

use crate::{
    contest::{Contest, Told},
    replica_set::ReplicaSet,
};

/// With the default timing, a deadline is always at least 8.5 s ahead, which is longer than an election.
fn timing() -> Timing {
    Timing::builder()
        .ttl(Duration::from_secs(15))
        .build()
        .unwrap()
}

/// Leaders keep leading if there is time for a renewal between the election and their deadline.
#[track_caller]
fn assert_deadlines_outlive(leaders: &[Told], deadlines: &[Moment], election: Moment) {
    let needed = election + timing().call_timeout();
    for (leader, deadline) in leaders.iter().zip(deadlines) {
        assert!(
            *deadline > needed,
            "the election took until {:?} before the deadline of {leader:?}, too long to tell",
            election.until(*deadline)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn leaders_keep_leading_when_the_primary_is_killed() {
    let mut set = ReplicaSet::start();
    let contest = Contest::start(&set, timing()).await;
    let leaders = contest.all_lead(Duration::ZERO).await;
    let deadlines: Vec<_> = leaders.iter().map(Told::deadline).collect();
    let primary = set.primary().await;
    set.kill(primary);
    let election = set.succeeded(primary).await;
    assert_deadlines_outlive(&leaders, &deadlines, election);
    // It comes back with the writes that it had not yet replicated.
    set.restart(primary);
    let restarted = BootClock.now();
    tokio::time::sleep(timing().ttl()).await;
    contest.assert_nothing_happened(&leaders, restarted);
    contest.assert_guarantee();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn leaders_keep_leading_when_the_primary_is_frozen_for_five_seconds() {
    let set = ReplicaSet::start();
    let contest = Contest::start(&set, timing()).await;
    let leaders = contest.all_lead(Duration::ZERO).await;
    let deadlines: Vec<_> = leaders.iter().map(Told::deadline).collect();
    let primary = set.primary().await;
    set.freeze(primary);
    // Another member is primary after 4 s. But none of its writes was observed to reach a majority until the frozen
    // member was back, or for 13 s.
    tokio::time::sleep(Duration::from_secs(5)).await;
    set.thaw(primary);
    let election = set.succeeded(primary).await;
    assert_deadlines_outlive(&leaders, &deadlines, election);
    tokio::time::sleep(timing().ttl()).await;
    contest.assert_nothing_happened(&leaders, election);
    contest.assert_guarantee();
}
