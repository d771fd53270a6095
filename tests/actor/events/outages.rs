//! What the log says while a store fails.

use std::sync::Arc;

use tenure::{LeaseStore, store::StoreErrorKind, testing::Fault};

use super::journal::journal;
use crate::support::*;

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
