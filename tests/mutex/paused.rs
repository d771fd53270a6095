//! Locks of a resource that an operator has paused.

use std::{error::Error as _, sync::Arc, time::Duration};

use tenure::{
    LeaseStore as _, LockError, LockManager, MemoryStore, Mutex, MutexOptions, Operator,
    lease::{CandidateId, ResourceName},
    testing::TokioClock,
};

use crate::store_under_test::paused;

const TTL: Duration = Duration::from_secs(10);

struct Scene {
    memory: Arc<MemoryStore>,
    locks: LockManager,
    operator: Operator,
}

fn scene() -> Scene {
    let clock = Arc::new(TokioClock::new());
    let memory = Arc::new(MemoryStore::with_clock(clock.clone()));
    let locks = LockManager::builder(memory.clone()).owner("a").ttl(TTL);
    let locks = locks.metadata("10.0.0.7").clock(clock);
    Scene {
        locks: locks.build_on_current_runtime().unwrap(),
        operator: Operator::new(memory.clone())
            .wait_for(Duration::ZERO)
            .on_current_runtime(),
        memory,
    }
}

fn mutex(scene: &Scene) -> Mutex {
    scene.locks.mutex("m").unwrap()
}

#[test]
fn a_call_that_does_not_wait_is_told_of_the_pause_at_once() {
    paused(async {
        let scene = scene();
        scene.operator.pause("m", "upgrade").await.unwrap();
        let mutex = mutex(&scene);
        let since = tokio::time::Instant::now();
        let errors = [
            mutex.try_guard().await.unwrap_err(),
            mutex.try_lock().await.unwrap_err(),
            tenure::mutex::try_lock_all([&mutex]).await.unwrap_err(),
        ];
        assert_eq!(since.elapsed(), Duration::ZERO);
        for error in errors {
            let LockError::Paused { resource, note } = &error else {
                panic!("{error}");
            };
            assert_eq!((resource.as_str(), note.as_str()), ("m", "upgrade"));
            assert_eq!(error.to_string(), "m is paused by an operator: \"upgrade\"");
            assert!(error.source().is_none());
        }
    });
}

#[test]
fn a_call_that_waits_names_the_pause_at_its_limit_and_gets_the_lock_when_it_is_resumed() {
    paused(async {
        let scene = scene();
        scene.operator.pause("m", "upgrade").await.unwrap();
        let mutex = mutex(&scene);
        let error = mutex.guard_timeout(TTL * 3).await.unwrap_err();
        assert!(matches!(
            &error,
            LockError::Timeout {
                pause: Some(_),
                by: None,
                ..
            }
        ));
        let text = "m was not acquired within 30 s: it is paused by an operator: \"upgrade\"";
        assert_eq!(error.to_string(), text);
        let error = mutex.lock_timeout(TTL * 3).await.unwrap_err();
        assert_eq!(error.to_string(), text);
        let resuming = async {
            tokio::time::sleep(TTL * 5).await;
            scene.operator.resume("m").await.unwrap();
        };
        let since = tokio::time::Instant::now();
        let (guard, ()) = tokio::join!(mutex.guard(), resuming);
        assert!(since.elapsed() >= TTL * 5 && since.elapsed() < TTL * 6);
        guard.unwrap().release().await.unwrap();
    });
}

#[test]
fn what_is_held_goes_on_and_a_plain_lock_is_not_extended() {
    paused(async {
        let scene = scene();
        let guard = mutex(&scene).guard().await.unwrap();
        scene.operator.pause("m", "").await.unwrap();
        tokio::time::sleep(TTL * 5).await;
        assert!(guard.is_current());
        let error = mutex(&scene).guard_timeout(TTL).await.unwrap_err();
        assert!(
            matches!(&error, LockError::Timeout { by: Some(by), pause: Some(_), .. }
            if *by == guard.lease().holder)
        );
        guard.release().await.unwrap();
        assert!(matches!(
            mutex(&scene).try_guard().await,
            Err(LockError::Paused { .. })
        ));
        scene.operator.resume("m").await.unwrap();
        let plain = mutex(&scene);
        plain.lock().await.unwrap();
        scene.operator.pause("m", "").await.unwrap();
        assert!(matches!(
            plain.try_lock().await,
            Err(LockError::Paused { .. })
        ));
        plain.unlock().await.unwrap();
    });
}

#[test]
fn a_hand_over_does_not_end_a_guard_and_resigning_does_nothing() {
    paused(async {
        let scene = scene();
        let guard = mutex(&scene).guard().await.unwrap();
        scene.operator.hand_over("m", "b").await.unwrap();
        guard.leadership().resign(Duration::ZERO);
        tokio::time::sleep(TTL * 5).await;
        assert!(guard.is_current());
        guard.release().await.unwrap();
        // It was for another candidate, which does not come.
        let guard = mutex(&scene).guard_timeout(TTL).await.unwrap();
        assert_eq!(
            scene
                .memory
                .read(guard.resource(), TTL)
                .await
                .unwrap()
                .unwrap()
                .hand_over,
            None
        );
    });
}

#[test]
fn metadata_is_published_while_a_lock_is_held() {
    paused(async {
        let scene = scene();
        let published = async || {
            let resource = ResourceName::new("m").unwrap();
            let record = scene.memory.read(&resource, TTL).await.unwrap().unwrap();
            record.metadata.map(|text| text.as_str().to_owned())
        };
        let guard = mutex(&scene).guard().await.unwrap();
        assert_eq!(published().await.as_deref(), Some("10.0.0.7"));
        guard.release().await.unwrap();
        let own = MutexOptions::new("m").metadata("10.0.0.8");
        let lease = scene.locks.mutex(own).unwrap().lock().await.unwrap();
        assert_eq!(published().await.as_deref(), Some("10.0.0.8"));
        assert_eq!(lease.holder, CandidateId::new("a").unwrap());
    });
}

#[test]
fn metadata_that_is_too_long_is_refused() {
    paused(async {
        let scene = scene();
        let long = "x".repeat(4097);
        let error = scene.locks.mutex(MutexOptions::new("m").metadata(&long));
        let text = "metadata text of 4097 bytes is too long";
        assert!(error.unwrap_err().to_string().contains(text));
        let locks = LockManager::builder(scene.memory.clone()).metadata(&long);
        let error = locks.build_on_current_runtime().unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    });
}
