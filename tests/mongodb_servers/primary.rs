//! The primary dies or hangs, and another one is elected.

use std::time::Duration;

use tenure::{
    Timing,
    clock::{BootClock, Clock as _, Moment},
};

use crate::{
    contest::{Contest, Told},
    replica_set::ReplicaSet,
};

/// With the default times a lease reaches 8.5 s beyond any moment, longer than the election takes.
fn timing() -> Timing {
    Timing::builder()
        .ttl(Duration::from_secs(15))
        .build()
        .unwrap()
}

/// Leaders go on if there is time for a renewal between the election and their deadline.
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
async fn leaders_go_on_when_the_primary_is_killed() {
    let mut set = ReplicaSet::start();
    let contest = Contest::start(&set, timing()).await;
    let leaders = contest.all_lead(Duration::ZERO).await;
    let deadlines: Vec<_> = leaders.iter().map(Told::deadline).collect();
    let primary = set.primary().await;
    set.kill(primary);
    let election = set.succeeded(primary).await;
    assert_deadlines_outlive(&leaders, &deadlines, election);
    // Back again, with what it had not yet passed on.
    set.restart(primary);
    let restarted = BootClock.now();
    tokio::time::sleep(timing().ttl()).await;
    contest.assert_nothing_happened(&leaders, restarted);
    contest.assert_guarantee();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn leaders_go_on_when_the_primary_is_frozen_for_five_seconds() {
    let set = ReplicaSet::start();
    let contest = Contest::start(&set, timing()).await;
    let leaders = contest.all_lead(Duration::ZERO).await;
    let deadlines: Vec<_> = leaders.iter().map(Told::deadline).collect();
    let primary = set.primary().await;
    set.freeze(primary);
    // One of the others is primary after 4 s. But until the frozen one is back, or for 13 s, no write of
    // it was seen to reach a majority.
    tokio::time::sleep(Duration::from_secs(5)).await;
    set.thaw(primary);
    let election = set.succeeded(primary).await;
    assert_deadlines_outlive(&leaders, &deadlines, election);
    tokio::time::sleep(timing().ttl()).await;
    contest.assert_nothing_happened(&leaders, election);
    contest.assert_guarantee();
}
