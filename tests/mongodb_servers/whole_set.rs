//! All members of a replica set stop at once.

use std::time::Duration;

use tenure::{
    Reason, Timing,
    clock::{BootClock, Clock as _},
};
use tokio::time::sleep;

use crate::{
    contest::{Contest, LOCKS, Told},
    replica_set::{ReplicaSet, Stop},
};

async fn stopped_for_less_than_the_ttl(how: Stop) {
    // A deadline is always at least 15 s ahead. Members that were killed need half of that to come back.
    let timing = Timing::builder()
        .ttl(Duration::from_secs(20))
        .renew_every(Duration::from_secs(3))
        .build()
        .unwrap();
    let mut set = ReplicaSet::start();
    let contest = Contest::start(&set, timing).await;
    let leaders = contest.all_lead(Duration::ZERO).await;
    let stopped = BootClock.now();
    set.stop(how);
    sleep(Duration::from_secs(3)).await;
    set.go_on(how);
    let back = BootClock.now();
    let away = stopped.until(back);
    assert!(
        away < Duration::from_secs(11),
        "away for {away:?}, too long to tell"
    );
    sleep(timing.renew_every() * 2).await;
    contest.assert_nothing_happened(&leaders, back);
    contest.assert_guarantee();
}

async fn stopped_for_more_than_the_ttl(how: Stop) {
    let timing = Timing::builder()
        .ttl(Duration::from_secs(5))
        .build()
        .unwrap();
    let mut set = ReplicaSet::start();
    let contest = Contest::start(&set, timing).await;
    // If the machine was slow for a moment, the first leader may not be the current one.
    let mut leaders = contest.all_lead(Duration::ZERO).await;
    let before = contest.told().len();
    set.stop(how);
    sleep(timing.ttl() + Duration::from_secs(2)).await;
    // Before the set is back, every leader has received `BecameFollower`.
    let told = contest.told();
    assert_eq!(told.len(), before, "{told:?}");
    for told in told
        .iter()
        .filter(|told| leaders.iter().any(|l| l.leadership == told.leadership))
    {
        assert!(!told.leadership.is_current(), "{told:?}");
        let (at, reason) = told.followed.clone().expect("told to follow");
        assert_eq!(reason, Reason::StoreLost, "{told:?}");
        // The message may be late on a busy machine. `is_current()` is not, which `assert_guarantee` checks.
        let late = told.deadline().until(at);
        assert!(late < Duration::from_secs(1), "{late:?} late: {told:?}");
    }
    set.go_on(how);
    let again = contest.all_lead(Duration::from_secs(30)).await;
    assert_eq!(again.len(), LOCKS);
    let by_resource = |told: &Told| told.resource().to_owned();
    leaders.sort_by_key(by_resource);
    let mut younger = again;
    younger.sort_by_key(by_resource);
    for (old, new) in leaders.iter().zip(&younger) {
        assert!(new.token() > old.token(), "{old:?} {new:?}");
    }
    sleep(timing.ttl()).await;
    contest.assert_guarantee();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn nothing_happens_when_all_members_freeze_for_less_than_the_ttl() {
    stopped_for_less_than_the_ttl(Stop::Freeze).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn nothing_happens_when_all_members_are_killed_and_back_in_less_than_the_ttl() {
    stopped_for_less_than_the_ttl(Stop::Kill).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn leaders_step_down_and_lead_again_when_all_members_freeze_for_more_than_the_ttl() {
    stopped_for_more_than_the_ttl(Stop::Freeze).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn leaders_step_down_and_lead_again_when_all_members_are_killed_for_more_than_the_ttl() {
    stopped_for_more_than_the_ttl(Stop::Kill).await;
}
