use tenure::{
    LeaseStore as _, Reason,
    store::{EvictionMode, StoreErrorKind},
    testing::Fault,
};

use crate::support::*;

#[test]
fn a_store_that_hangs_for_half_the_ttl_changes_nothing() {
    for phase in 0..12 {
        paused(async move {
            let lab = Lab::new();
            let (_lock, _recorder) = lab.leader().await;
            sleep(20.0 + f64::from(phase) * 0.3).await;
            lab.store.always(Fault::Hang);
            sleep(5.0).await;
            lab.store.always(None);
            sleep(30.0).await;
            assert_eq!(
                lab.log.events().len(),
                2,
                "phase {phase}: {:?}",
                lab.log.events()
            );
            assert!(lab.log.leadership().is_current());
        });
    }
}

#[test]
fn a_store_that_hangs_for_twice_the_ttl_ends_the_leadership_at_the_deadline_exactly() {
    paused(async {
        let lab = Lab::new();
        let (_lock, _recorder) = lab.leader().await;
        lab.store.always(Fault::Hang);
        let granted = lab.log.last().0;
        sleep(20.0).await;
        let (at, event) = lab.log.last();
        assert_eq!(event, follower(Reason::StoreLost));
        // ttl − margin after the request was sent.
        assert!(
            (at - granted - 9.0).abs() <= 0.0011,
            "at {at}, granted at {granted}"
        );
        lab.store.always(None);
        sleep(5.0).await;
        assert_eq!(lab.log.last().1, Event::Leader(2));
    });
}

#[test]
fn errors_shorter_than_the_deadline_change_nothing_and_are_counted() {
    paused(async {
        let lab = Lab::new();
        let (lock, _recorder) = lab.leader().await;
        lab.store.always(Fault::Error(StoreErrorKind::Unavailable));
        sleep(6.0).await;
        let status = lock.status().await.unwrap();
        assert!(status.store.failing_for.is_some() && status.store.failures > 1);
        assert_eq!(status.restarts, status.store.failures);
        let error = status.store.last_error.expect("an error");
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        lab.store.always(None);
        sleep(30.0).await;
        let status = lock.status().await.unwrap();
        assert!(status.store.failing_for.is_none());
        assert_eq!(lab.log.events().len(), 2, "no transition");
    });
}

#[test]
fn an_eviction_has_its_reason_and_frees_the_lease_when_the_work_has_stopped() {
    paused(async {
        let lab = Lab::new();
        let (_lock, _recorder) = lab.leader().await;
        let (resource, token) = ("r".parse().unwrap(), lab.token().await);
        lab.memory
            .evict(&resource, token, EvictionMode::Close, LIMIT)
            .await
            .unwrap();
        lab.log.wait(3).await;
        assert_eq!(lab.log.last().1, follower(Reason::Evicted));
        sleep(0.1).await;
        assert!(!lab.record().await.is_held());
    });
}

#[test]
fn a_lease_taken_by_force_ends_with_the_name_of_the_new_holder() {
    paused(async {
        let lab = Lab::new();
        let (_lock, _recorder) = lab.leader().await;
        let (resource, token) = ("r".parse().unwrap(), lab.token().await);
        lab.memory
            .evict(&resource, token, EvictionMode::Force, LIMIT)
            .await
            .unwrap();
        let other = Log::new();
        let rival = lab.lock("rival").start_on_current_runtime().unwrap();
        let _rival = Recorder::follow(&rival, &other);
        lab.log.wait(3).await;
        let by = "rival".parse().unwrap();
        assert_eq!(lab.log.last().1, follower(Reason::Deposed { by }));
    });
}

#[test]
fn an_outage_from_the_start_delays_the_first_leadership_only() {
    paused(async {
        let lab = Lab::new();
        lab.store.always(Fault::LostRequest);
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let _recorder = Recorder::follow(&lock, &lab.log);
        sleep(60.0).await;
        assert_eq!(lab.log.events(), [follower(Reason::NotElected)]);
        let tries = lab.store.calls().acquire;
        assert!(
            (30..=125).contains(&tries),
            "{tries} tries in 60 s of backoff"
        );
        lab.store.always(None);
        // It holds off for at most one poll with its jitter and one call.
        sleep(2.0 * 1.2 + 2.0 + 0.1).await;
        assert_eq!(lab.log.last().1, Event::Leader(1));
    });
}

#[test]
fn a_lost_reply_does_not_cost_the_lease() {
    paused(async {
        let lab = Lab::new();
        // Loses the reply to the first bid.
        lab.store.script([Fault::LostReply]);
        let (lock, _recorder) = lab.leader().await;
        assert_eq!(lab.store.calls().acquire, 2, "asked again");
        lab.store.script([Fault::LostReply]);
        sleep(4.0).await;
        assert_eq!(lab.log.events().len(), 2);
        lab.store.script([Fault::LostReply]);
        lock.shutdown().await.unwrap();
        assert!(!lab.record().await.is_held());
        assert_eq!(lab.token().await.get(), 1);
    });
}

#[test]
fn random_faults_never_make_two_leaders() {
    for seed in 0..20 {
        paused(async move {
            let lab = Lab::new();
            lab.store.seeded(seed, 0.3);
            let mut locks = Vec::new();
            for name in ["a", "b", "c"] {
                let log = Log::new();
                let lock = lab.lock(name).start_on_current_runtime().unwrap();
                let recorder = Recorder::follow(&lock, &log);
                locks.push((lock, recorder, log));
            }
            for _ in 0..600 {
                sleep(0.25).await;
                let current = |log: &Log| log.timed().len() > 1 && log.leadership().is_current();
                let leaders = locks.iter().filter(|(_, _, log)| current(log)).count();
                assert!(leaders <= 1, "seed {seed}");
            }
            let elected = locks.iter().flat_map(|(_, _, log)| log.events());
            let elected = elected
                .filter(|event| matches!(event, Event::Leader(_)))
                .count();
            assert!(elected > 0, "seed {seed}: nobody ever led");
        });
    }
}
