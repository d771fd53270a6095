//! What a lock writes to `tracing`: stable names and fields, one event per change.

mod journal;
mod operators;
mod outages;
mod slow_subscribers;

use std::sync::Arc;

use tenure::{
    LeaseStore as _, LockManager, Reason,
    store::{EvictionMode, StoreErrorKind},
    testing::{Fault, TokioClock},
};

use self::journal::{Fields, journal};
use crate::support::*;

#[test]
fn each_transition_is_one_event_with_its_token_and_reason() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let (lock, _recorder) = lab.leader().await;
        sleep(8.0).await;
        lock.shutdown().await.unwrap();
    });
    let became_leader = journal.named("tenure.became_leader");
    assert_eq!(became_leader.len(), 1);
    let field = |fields: &Fields, name: &str| fields.get(name).cloned().unwrap_or_default();
    for (name, value) in [("resource", "r"), ("candidate", "me"), ("token", "1")] {
        assert_eq!(field(&became_leader[0], name), value);
    }
    let became_follower = journal.named("tenure.became_follower");
    assert_eq!(became_follower.len(), 1);
    assert_eq!(field(&became_follower[0], "reason"), "shut down");
    let extended = journal.named("tenure.lease_extended");
    assert_eq!(extended.len(), 3, "the grant and two renewals");
    let number = |fields: &Fields, name: &str| field(fields, name).parse::<u64>().unwrap();
    for fields in &extended {
        // ttl − margin, counted from the sending.
        assert_eq!(
            number(fields, "deadline") - number(fields, "at"),
            9_000_000_000
        );
    }
    let ended = journal.named("tenure.lease_ended");
    assert_eq!(ended.len(), 1);
    assert!(number(&ended[0], "at") < number(&extended[2], "deadline"));
    assert!(journal.warnings().is_empty(), "{:?}", journal.warnings());
}

#[test]
fn every_event_has_its_name_in_a_field_and_the_target_tenure() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let (lock, _recorder) = lab.leader().await;
        lab.store.always(Fault::Error(StoreErrorKind::Unavailable));
        sleep(20.0).await;
        lab.store.always(None);
        sleep(20.0).await;
        lock.shutdown().await.unwrap();
    });
    let events = journal.all();
    assert!(events.len() > 6);
    for (name, _, fields) in &events {
        assert_eq!(
            (&fields["event"], &fields["target"]),
            (name, &"tenure".to_owned())
        );
    }
}

#[test]
fn a_follower_logs_each_leader_once() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let rival = lab.healthy("rival").start_on_current_runtime().unwrap();
        let _rival = Recorder::follow(&rival, &Log::new());
        sleep(1.0).await;
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let _recorder = Recorder::follow(&lock, &lab.log);
        sleep(30.0).await;
        // During the outage it forgets the leader, and afterwards it sees the same one.
        lab.store.always(Fault::Error(StoreErrorKind::Unavailable));
        sleep(30.0).await;
        lab.store.always(None);
        sleep(30.0).await;
    });
    let following = journal.named("tenure.following");
    assert_eq!(following.len(), 1, "{following:?}");
    assert_eq!(following[0]["leader"], "rival");
    assert_eq!(
        (&*following[0]["candidate"], &*following[0]["token"]),
        ("me", "1")
    );
}

#[test]
fn an_involuntary_end_is_logged_as_a_warning() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let (lock, _recorder) = lab.leader().await;
        lock.step_down_for(secs(1.0)).await.unwrap();
        sleep(5.0).await;
        assert!(lock.is_leader());
        assert!(journal.warnings().is_empty(), "a step-down is voluntary");
        let (resource, token) = ("r".parse().unwrap(), lab.token().await);
        lab.memory
            .evict(&resource, token, EvictionMode::Close, secs(1.0))
            .await
            .unwrap();
        sleep(5.0).await;
    });
    assert_eq!(journal.warnings(), ["tenure.became_follower"]);
    let ends = journal.named("tenure.became_follower");
    assert_eq!(ends.last().unwrap()["reason"], "evicted");
    assert!(ends.iter().all(|end| !end.contains_key("failing_for")));
}

#[test]
fn a_guard_logs_its_acquisition_and_its_loss() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let store = Arc::new(lab.store.clone());
        let locks = LockManager::builder(store).ttl(secs(10.0));
        let locks = locks.clock(Arc::new(TokioClock::new()));
        let mutex = locks
            .build_on_current_runtime()
            .unwrap()
            .mutex("m")
            .unwrap();
        mutex.guard().await.unwrap().release().await.unwrap();
        assert!(journal.warnings().is_empty());
        let guard = mutex.guard().await.unwrap();
        lab.store.always(Fault::Hang);
        assert_eq!(guard.lost().await, Reason::StoreLost);
    });
    assert_eq!(journal.named("tenure.lock_acquired").len(), 2);
    let lost = journal.named("tenure.lock_lost");
    assert_eq!(lost.len(), 1);
    assert_eq!((&*lost[0]["resource"], &*lost[0]["token"]), ("m", "2"));
    // From the first renewal that hung, 3 to 3.33 s after the grant, until the deadline after 9 s.
    let failing_for: f64 = lost[0]["failing_for"]
        .strip_suffix(" s")
        .unwrap()
        .parse()
        .unwrap();
    assert!((5.6..=6.0).contains(&failing_for), "{failing_for}");
}

#[test]
fn a_lock_logs_where_it_contends_and_that_its_lease_was_released() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let _follower = Recorder::follow(&lock, &lab.log);
        lab.log.wait(2).await;
        lock.shutdown().await.unwrap();
    });
    let started = &journal.named("tenure.lock_started")[0];
    assert_eq!(
        (&*started["store"], &*started["location"]),
        ("memory", "memory")
    );
    assert_eq!(journal.named("tenure.lease_released").len(), 1);
    assert!(journal.warnings().is_empty());
}
