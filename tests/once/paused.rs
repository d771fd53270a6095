//! Work whose resource an operator has paused.

use std::{future::ready, sync::Arc, time::Duration};

use tenure::{
    LeaseStore as _, MemoryStore, Once, Operator,
    once::{OnceError, OnceStatus},
    testing::TokioClock,
};

use crate::store_under_test::paused;

const TTL: Duration = Duration::from_secs(10);

fn scene() -> (Arc<MemoryStore>, Once, Operator) {
    let clock = Arc::new(TokioClock::new());
    let memory = Arc::new(MemoryStore::with_clock(clock.clone()));
    let once = Once::builder(memory.clone(), "m").metadata("10.0.0.7");
    let once = once.ttl(TTL).clock(clock).build_on_current_runtime();
    let operator = Operator::new(memory.clone()).on_current_runtime();
    let operator = operator.wait_for(Duration::ZERO);
    (memory, once.unwrap(), operator)
}

#[test]
fn new_work_waits_until_it_is_resumed() {
    paused(async {
        let (_memory, once, operator) = scene();
        operator.pause("m", "upgrade").await.unwrap();
        let status = once.status().await.unwrap();
        assert!(matches!(status, OnceStatus::Paused(pause) if pause.note.as_str() == "upgrade"));
        let error = once.reset().await.unwrap_err();
        assert!(matches!(&error, OnceError::Paused { note, .. } if note.as_str() == "upgrade"));
        assert_eq!(
            error.to_string(),
            "m is paused by an operator: \"upgrade\": reset it later"
        );
        let resuming = async {
            tokio::time::sleep(TTL * 5).await;
            operator.resume("m").await.unwrap();
        };
        let since = tokio::time::Instant::now();
        let run = once.run(|| ready(Ok::<_, ()>(7)));
        let (ran, ()) = tokio::join!(run, resuming);
        assert_eq!(ran.unwrap().into_value(), Some(7));
        assert!(since.elapsed() >= TTL * 5 && since.elapsed() < TTL * 6);
    });
}

#[test]
fn work_that_has_begun_goes_on_and_is_marked_and_done_work_stays_done() {
    paused(async {
        let (memory, once, operator) = scene();
        let work = async {
            tokio::time::sleep(TTL).await;
            let pause = operator.pause("m", "").await.unwrap();
            assert!(!pause.is_done(), "{pause}");
            let (resource, limit) = ("m".parse().unwrap(), TTL);
            let record = memory.read(&resource, limit).await.unwrap().unwrap();
            assert_eq!(record.metadata.unwrap().as_str(), "10.0.0.7");
            tokio::time::sleep(TTL * 3).await;
            Ok::<_, ()>(7)
        };
        assert!(once.run(|| work).await.unwrap().was_by_this_call());
        let again = once.run(|| ready(Ok::<_, ()>(8))).await.unwrap();
        assert!(!again.was_by_this_call(), "the pause does not matter");
        assert!(matches!(once.status().await.unwrap(), OnceStatus::Done(_)));
        assert!(operator.pause("m", "").await.unwrap().is_done());
    });
}
