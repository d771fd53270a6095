//! What the log says while a store fails.

use std::sync::Arc;

use tenure::{
    LeaseStore, LockManager, Reason, Timing,
    store::StoreErrorKind,
    testing::{Fault, TokioClock},
};

use super::journal::{Fields, journal};
use crate::support::*;

/// The field `failing_for` in seconds.
fn failing_for(fields: &Fields) -> f64 {
    let (number, unit) = fields["failing_for"].split_once(' ').unwrap();
    let number: f64 = number.parse().unwrap();
    match unit {
        "s" => number,
        "ms" => number / 1000.0,
        _ => panic!("{fields:?}"),
    }
}

#[test]
fn within_a_ttl_the_log_says_why_and_for_how_long_the_store_has_failed() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let timing = Timing::builder().ttl(secs(3.0)).build().unwrap();
        let lock = lab.lock("me").timing(timing);
        let lock = lock.start_on_current_runtime().unwrap();
        let _recorder = Recorder::follow(&lock, &lab.log);
        lab.log.wait(2).await;
        lab.store.always(Fault::Hang);
        sleep(3.0).await;
    });
    let told = ["tenure.store_failing", "tenure.became_follower"];
    assert_eq!(journal.warnings(), told);
    // The first renewal is sent after 0.9 to 1 s, and gets no answer within the call_timeout of 0.6 s.
    let failing = &journal.named(told[0])[0];
    assert_eq!(
        failing["error"],
        "memory renew: outcome unknown: no answer within the time limit"
    );
    assert!((0.6..0.65).contains(&failing_for(failing)), "{failing:?}");
    // The deadline is 2.7 s after the grant was requested.
    let ended = &journal.named(told[1])[0];
    assert_eq!(ended["reason"], Reason::StoreLost.to_string());
    assert!((1.65..1.85).contains(&failing_for(ended)), "{ended:?}");
    for fields in [failing, ended] {
        assert!(
            fields["message"].contains(&fields["failing_for"]),
            "{fields:?}"
        );
    }
}

#[test]
fn an_outage_is_logged_once_when_it_begins_and_once_when_it_ends() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let (lock, _recorder) = lab.leader().await;
        lab.store.always(Fault::Error(StoreErrorKind::Unavailable));
        sleep(60.0).await;
        assert!(lock.status().await.unwrap().store.failures > 20);
        let told = ["tenure.store_failing", "tenure.became_follower"];
        assert_eq!(journal.warnings(), told);
        lab.store.always(Fault::Error(StoreErrorKind::Denied));
        sleep(50.0).await;
        assert_eq!(journal.warnings().len(), 3, "it fails in another way");
        lab.store.always(None);
        sleep(5.0).await;
    });
    let failing = journal.named("tenure.store_failing");
    assert_eq!(
        failing[0]["error"],
        "memory renew: unavailable: injected fault"
    );
    let recovered = journal.named("tenure.store_recovered");
    assert_eq!(recovered.len(), 1);
    assert!(recovered[0]["failures"].parse::<u32>().unwrap() > 40);
}

#[test]
fn an_outage_is_logged_every_minute_for_all_locks_of_a_store_together() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let store: Arc<dyn LeaseStore> = Arc::new(lab.store.clone());
        let locks: Vec<_> = (0..100)
            .map(|number| {
                let lock = lab.lock_on(store.clone(), &format!("r/{number}"));
                let lock = lock.start_on_current_runtime().unwrap();
                let recorder = Recorder::follow(&lock, &Log::new());
                (lock, recorder)
            })
            .collect();
        sleep(5.0).await;
        lab.store.always(Fault::Error(StoreErrorKind::Unavailable));
        sleep(60.0).await;
        let count = |name: &str| journal.named(name).len();
        assert_eq!(count("tenure.store_failing"), 1);
        assert_eq!(count("tenure.store_still_failing"), 0);
        sleep(10.0).await;
        // A paused lock sends no requests and no longer counts.
        locks[0].0.pause().await.unwrap();
        sleep(170.0).await;
        let reminders = journal.named("tenure.store_still_failing");
        assert_eq!(reminders.len(), 3);
        assert_eq!(
            (&*reminders[0]["locks"], &*reminders[2]["locks"]),
            ("100", "99")
        );
        assert!(reminders[0]["message"].contains("100 locks of this process"));
        assert!(
            reminders[1]["failing_for"].starts_with("2 min"),
            "{reminders:?}"
        );
        lab.store.always(None);
        sleep(30.0).await;
        assert_eq!(count("tenure.store_recovered"), 1);
        assert_eq!(count("tenure.store_failing"), 1);
        // The next outage is logged again.
        lab.store.always(Fault::Error(StoreErrorKind::Unavailable));
        sleep(10.0).await;
        assert_eq!(count("tenure.store_failing"), 2);
    });
}

#[test]
fn an_outage_ends_when_the_locks_that_still_send_requests_have_answers() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let store: Arc<dyn LeaseStore> = Arc::new(lab.store.clone());
        let locks = ["a", "b"].map(|resource| {
            let lock = lab.lock_on(store.clone(), resource);
            let lock = lock.start_on_current_runtime().unwrap();
            let recorder = Recorder::follow(&lock, &Log::new());
            (lock, recorder)
        });
        sleep(5.0).await;
        lab.store.always(Fault::Error(StoreErrorKind::Unavailable));
        sleep(5.0).await;
        locks[1].0.pause().await.unwrap();
        lab.store.always(None);
        let count = |name: &str| journal.named(name).len();
        sleep(3600.0).await;
        assert_eq!(count("tenure.store_failing"), 1);
        assert_eq!(count("tenure.store_recovered"), 1);
        lab.store.always(Fault::Error(StoreErrorKind::Unavailable));
        sleep(5.0).await;
        assert_eq!(count("tenure.store_failing"), 2);
        assert_eq!(count("tenure.store_still_failing"), 0);
    });
    let failing = journal.named("tenure.store_failing");
    assert!(failing_for(&failing[1]) < 5.0, "{failing:?}");
}

#[test]
fn an_answer_before_all_locks_were_paused_ends_the_outage() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let store: Arc<dyn LeaseStore> = Arc::new(lab.store.clone());
        let locks = ["a", "b"].map(|resource| {
            let lock = lab.lock_on(store.clone(), resource);
            let lock = lock.start_on_current_runtime().unwrap();
            let recorder = Recorder::follow(&lock, &Log::new());
            (lock, recorder)
        });
        sleep(5.0).await;
        lab.store.always(Fault::Error(StoreErrorKind::Unavailable));
        sleep(5.0).await;
        locks[1].0.pause().await.unwrap();
        lab.store.always(None);
        sleep(4.0).await;
        locks[0].0.pause().await.unwrap();
        sleep(30.0).await;
        lab.store.always(Fault::Error(StoreErrorKind::Unavailable));
        locks[0].0.resume().await.unwrap();
        sleep(5.0).await;
        let count = |name: &str| journal.named(name).len();
        assert_eq!(count("tenure.store_recovered"), 1);
        assert_eq!(count("tenure.store_failing"), 2);
    });
    let recovered = &journal.named("tenure.store_recovered")[0];
    assert!(failing_for(recovered) < 15.0, "{recovered:?}");
}

#[test]
fn a_lock_that_was_paused_in_an_outage_begins_a_new_one_when_it_fails_an_hour_later() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let (lock, _recorder) = lab.leader().await;
        lab.store.always(Fault::Error(StoreErrorKind::Unavailable));
        sleep(5.0).await;
        lock.pause().await.unwrap();
        sleep(3600.0).await;
        lock.resume().await.unwrap();
        sleep(5.0).await;
    });
    let failing = journal.named("tenure.store_failing");
    assert_eq!(failing.len(), 2);
    assert!(failing_for(&failing[1]) < 5.0, "{failing:?}");
    assert_eq!(journal.named("tenure.store_still_failing").len(), 0);
}

#[test]
fn an_outage_is_logged_once_for_tries_that_each_end() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let locks = LockManager::builder(Arc::new(lab.store.clone())).ttl(secs(10.0));
        let locks = locks.clock(Arc::new(TokioClock::new()));
        let locks = locks.build_on_current_runtime().unwrap();
        let mutex = locks.mutex("m").unwrap();
        let count = |name: &str| journal.named(name).len();
        for outage in 1..=2 {
            lab.store.always(Fault::Error(StoreErrorKind::Unavailable));
            for _ in 0..5 {
                mutex.try_lock().await.unwrap_err();
                sleep(10.0).await;
            }
            assert_eq!(count("tenure.store_failing"), outage);
            assert_eq!(count("tenure.store_recovered"), outage - 1);
            lab.store.always(None);
            for _ in 0..2 {
                mutex.try_lock().await.unwrap();
                mutex.unlock().await.unwrap();
            }
            assert_eq!(count("tenure.store_recovered"), outage);
        }
        lab.store.always(Fault::Error(StoreErrorKind::Unavailable));
        mutex.try_lock().await.unwrap_err();
        sleep(61.0).await;
        mutex.try_lock().await.unwrap_err();
        assert_eq!(count("tenure.store_failing"), 4, "forgotten after a minute");
    });
    let recovered = journal.named("tenure.store_recovered");
    assert_eq!(recovered[0]["failures"], "5");
    assert_eq!(journal.named("tenure.store_still_failing").len(), 0);
}
