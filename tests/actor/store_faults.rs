//! Elections on a store that loses replies, is almost too slow, or panics.

use std::sync::Arc;

use tenure::{
    LockActor, Timing,
    testing::{Fault, FaultyStore, TokioClock},
};

use crate::custom_store::CustomStore;
use crate::support::*;

#[test]
fn a_candidate_that_gets_no_replies_does_not_keep_others_from_leading() {
    paused(async {
        let lab = Lab::new();
        // Its requests reach the store, but no reply reaches it.
        lab.store.always(Fault::LostReply);
        let cut_off = lab.lock("cut-off").start_on_current_runtime().unwrap();
        let _cut_off = Plain::start_with(&cut_off, &Log::new());
        sleep(1.0).await;
        let rival = LockActor::builder("r", Arc::new(lab.memory.clone()))
            .candidate("rival")
            .clock(Arc::new(TokioClock::new()))
            .timing(timing());
        let rival = rival.start_on_current_runtime().unwrap();
        let _rival = Plain::start_with(&rival, &lab.log);
        sleep(600.0).await;
        let events = lab.log.events();
        let led = events.iter().any(|event| matches!(event, Event::Leader(_)));
        assert!(led, "nobody led for 60 ttls: {:?}", lab.record().await);
    });
}

#[test]
fn a_leader_is_elected_with_every_margin_that_build_accepts() {
    paused(async {
        let lab = Lab::new();
        let builder = Timing::builder().ttl(secs(10.0)).renew_every(secs(3.0));
        let builder = builder.margin(secs(4.0));
        assert!(builder.margin(secs(6.0)).build().is_err());
        assert!(builder.call_timeout(secs(2.1)).build().is_err());
        let timing = builder.call_timeout(secs(2.0)).build().unwrap();
        lab.store.always(Fault::Delay(secs(1.9)));
        let lock = lab
            .lock("me")
            .timing(timing)
            .start_on_current_runtime()
            .unwrap();
        let _plain = Plain::start_with(&lock, &lab.log);
        sleep(600.0).await;
        let events = lab.log.events();
        let led = events.iter().any(|event| matches!(event, Event::Leader(_)));
        assert!(led, "{:?}", lab.store.calls());
    });
}

/// A store whose watch panics after a second.
fn bad_watch(inner: FaultyStore) -> CustomStore {
    CustomStore {
        watch: Box::new(|_| {
            let event = async {
                sleep(1.0).await;
                panic!("a panic on purpose");
            };
            Some(Box::pin(futures::stream::once(event)))
        }),
        ..CustomStore::new(Arc::new(inner))
    }
}

#[test]
fn a_watch_that_panics_is_an_error_of_the_store_and_the_subscribers_are_told() {
    paused(async {
        let lab = Lab::new();
        let lock = LockActor::builder("r", Arc::new(bad_watch(lab.store.clone())))
            .timing(timing())
            .clock(Arc::new(TokioClock::new()))
            .start_on_current_runtime()
            .unwrap();
        let _plain = Plain::start_with(&lock, &lab.log);
        lab.log.wait(2).await;
        sleep(30.0).await;
        let told = lab.log.events().len() > 2;
        let leads = lab.log.leadership().is_current();
        assert!(told || leads, "leadership ended and no subscriber was told");
        assert!(lock.status().await.is_ok(), "the lock is dead");
    });
}
