//! What a handle reports: the status, who leads, and whether the thread of the lock runs.

use tenure::{
    actor::{ElectionState, IdleReason, StepDownOutcome},
    store::StoreErrorKind,
    testing::Fault,
};

use crate::support::*;

#[test]
fn a_follower_s_record_is_counted_down_and_says_how_old_it_is() {
    paused(async {
        let lab = Lab::new();
        let rival = lab.healthy("rival").start_on_current_runtime().unwrap();
        let _rival = Recorder::follow(&rival, &Log::new());
        sleep(1.0).await;
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        assert_eq!(lock.status().await.unwrap().last_seen, None);
        let _recorder = Recorder::follow(&lock, &lab.log);
        sleep(0.1).await;
        lab.store.always(Fault::Error(StoreErrorKind::Unavailable));
        let seen = lock.status().await.unwrap().last_seen.unwrap();
        sleep(4.0).await;
        let later = lock.status().await.unwrap().last_seen.unwrap();
        assert_eq!(later.age, seen.age + secs(4.0));
        assert_eq!(
            later.record.remaining,
            seen.record.remaining - secs(4.0),
            "nobody has read it since"
        );
        sleep(20.0).await;
        let status = lock.status().await.unwrap();
        assert!(!status.last_seen.unwrap().record.is_held());
        assert_eq!(status.leader, None);
    });
}

#[test]
fn a_leader_shows_no_record_of_its_own_making() {
    paused(async {
        let lab = Lab::new();
        let (lock, _recorder) = lab.leader().await;
        sleep(1.0).await;
        let status = lock.status().await.unwrap();
        assert_eq!(status.last_seen, None);
        assert_eq!(status.leader.unwrap().holder.as_str(), "me");
        lab.store.always(Fault::Hang);
        sleep(7.0).await;
        let status = lock.status().await.unwrap();
        assert!(status.last_renewed.unwrap() >= secs(7.0), "{status:?}");
        assert!(lock.is_leader());
        sleep(3.0).await;
        let status = lock.status().await.unwrap();
        assert!(!lock.is_leader() && status.last_renewed.is_none());
    });
}

#[test]
fn an_idle_lock_shows_the_reason() {
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let idle = async || match lock.status().await.unwrap().state {
            ElectionState::Idle(reason) => Some(reason),
            _ => None,
        };
        assert_eq!(idle().await, Some(IdleReason::NoSubscriber));
        let mut slow = Recorder::new(&lock, &lab.log);
        slow.stopping_takes = Some(secs(25.0));
        let _slow = actix::Actor::start(slow);
        lab.log.wait(2).await;
        assert_eq!(idle().await, None);
        let outcome = lock.step_down_for(secs(40.0)).await;
        assert_eq!(outcome, Ok(StepDownOutcome::LeftToExpire));
        sleep(14.0).await;
        assert_eq!(idle().await, Some(IdleReason::AwaitingAcknowledgement));
        sleep(5.0).await;
        let Some(IdleReason::HeldOff { remaining }) = idle().await else {
            panic!("{:?}", idle().await);
        };
        assert!(remaining > secs(5.0) && remaining < secs(40.0));
        lock.pause().await.unwrap();
        assert_eq!(idle().await, Some(IdleReason::Paused));
        lock.shutdown().await.unwrap();
        assert_eq!(idle().await, Some(IdleReason::ShutDown));
        let text = lock.status().await.unwrap().state.to_string();
        assert_eq!(text, "idle: shut down");
    });
}

#[test]
fn a_status_serializes_with_durations_in_milliseconds() {
    paused(async {
        let lab = Lab::new();
        let rival = lab.healthy("rival").metadata("10.0.0.7:80");
        let rival = rival.start_on_current_runtime().unwrap();
        let _rival = Recorder::follow(&rival, &Log::new());
        sleep(1.0).await;
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let _recorder = Recorder::follow(&lock, &lab.log);
        sleep(0.5).await;
        lab.store.always(Fault::Error(StoreErrorKind::Unavailable));
        sleep(3.0).await;
        let status = serde_json::to_value(lock.status().await.unwrap()).unwrap();
        assert_eq!(status["state"], "standby");
        assert_eq!(status["leader"]["metadata"], "10.0.0.7:80");
        assert_eq!(status["last_seen"]["record"]["ttl_ms"], 10_000);
        assert!(status["last_seen"]["record"]["remaining_ms"].as_u64() <= Some(7_000));
        assert!(status["last_seen"]["age_ms"].as_u64() >= Some(3_000));
        let error = &status["store"]["last_error"];
        assert_eq!(error["kind"], "unavailable");
        assert_eq!(
            error["message"],
            "memory acquire: unavailable: injected fault"
        );
        assert!(status["store"]["failing_for_ms"].is_u64(), "{status}");
        lock.pause().await.unwrap();
        let status = serde_json::to_value(lock.status().await.unwrap()).unwrap();
        assert_eq!(status["idle_because"], "paused", "{status}");
        let leading = serde_json::to_value(rival.status().await.unwrap()).unwrap();
        assert!(leading["leadership"]["remaining_ms"].is_u64(), "{leading}");
        assert!(leading["last_renewed_ms"].is_u64(), "{leading}");
    });
}

#[test]
fn watch_leader_shows_the_leader_until_its_record_expires() {
    paused(async {
        let lab = Lab::new();
        let rival = lab.healthy("rival").start_on_current_runtime().unwrap();
        let _rival = Recorder::follow(&rival, &Log::new());
        sleep(1.0).await;
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let mut leader = lock.watch_leader();
        assert_eq!(leader.leader(), None);
        let _recorder = Recorder::follow(&lock, &lab.log);
        let shown = leader.changed().await.unwrap().unwrap();
        assert_eq!((shown.holder.as_str(), shown.token.get()), ("rival", 1));
        sleep(60.0).await;
        assert!(!leader.has_changed().unwrap(), "it still leads");
        lab.store.always(Fault::Error(StoreErrorKind::Unavailable));
        let seen = lock.status().await.unwrap().last_seen.unwrap();
        let since = tokio::time::Instant::now();
        assert_eq!(leader.changed().await.unwrap(), None);
        let after = since.elapsed();
        let expected = seen.record.remaining;
        assert!(
            after >= expected && after < expected + secs(0.01),
            "{after:?}"
        );
        lab.store.always(None);
        assert!(leader.changed().await.unwrap().is_some());
        rival.shutdown().await.unwrap();
        let shown = leader.changed().await.unwrap().unwrap();
        assert_eq!((shown.holder.as_str(), shown.token.get()), ("me", 2));
        lock.step_down().await.unwrap();
        assert_eq!(leader.leader(), None, "given back");
    });
}

#[test]
fn watch_leader_hides_an_own_lease_that_has_ended() {
    paused(async {
        let lab = Lab::new();
        let (lock, _recorder) = lab.leader().await;
        let mut leader = lock.watch_leader();
        lab.store.always(Fault::Hang);
        sleep(9.5).await;
        assert_eq!(leader.leader(), None);
        lab.store.always(None);
        let status = lock.status().await.unwrap();
        assert!(status.leadership.is_none() && status.leader.is_none());
    });
}

#[test]
fn a_lock_that_is_only_watched_reads_without_contending() {
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let mut leader = lock.watch_leader();
        let rival = lab.healthy("rival").start_on_current_runtime().unwrap();
        let _rival = Recorder::follow(&rival, &Log::new());
        let holder = leader.changed().await.unwrap().unwrap().holder;
        assert_eq!(holder.as_str(), "rival");
        assert_eq!(lab.store.calls().acquire, 0);
        drop(leader);
        sleep(5.0).await;
        let reads = lab.store.calls().read;
        sleep(60.0).await;
        assert_eq!(lab.store.calls().read, reads, "nobody looks any more");
    });
}

#[test]
fn watch_leader_closes_when_the_lock_is_shut_down() {
    paused(async {
        let lab = Lab::new();
        let (lock, _recorder) = lab.leader().await;
        let mut leader = lock.watch_leader();
        assert!(leader.leader().is_some());
        lock.shutdown().await.unwrap();
        assert_eq!(leader.leader(), None);
        assert!(leader.changed().await.is_err());
    });
}
