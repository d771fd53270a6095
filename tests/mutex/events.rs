//! What a guard writes to `tracing`.

use std::{sync::Arc, time::Duration};

use tenure::{
    LockManager, MemoryStore, Reason,
    testing::{Fault, FaultyStore, TokioClock},
};

use self::journal::journal;
use crate::store_under_test::paused;

#[path = "../actor/events/journal.rs"]
mod journal;

const TTL: Duration = Duration::from_secs(10);

fn locks() -> (FaultyStore, LockManager) {
    let clock = Arc::new(TokioClock::new());
    let store = FaultyStore::new(Arc::new(MemoryStore::with_clock(clock.clone())));
    let builder = LockManager::builder(Arc::new(store.clone()));
    let locks = builder.ttl(TTL).clock(clock).build_on_current_runtime();
    (store, locks.unwrap())
}

fn names(journal: &journal::Journal) -> Vec<String> {
    let events = journal.all();
    events.into_iter().map(|(name, ..)| name).collect()
}

#[test]
fn a_released_guard_writes_from_when_to_when_it_was_held() {
    paused(async {
        let (journal, (_, locks)) = (journal(), locks());
        let guard = locks.mutex("m").unwrap().guard().await.unwrap();
        guard.release().await.unwrap();
        let expected = [
            "tenure.lease_extended",
            "tenure.lock_acquired",
            "tenure.lease_ended",
        ];
        assert_eq!(names(&journal), expected);
    });
}

#[test]
fn a_lost_guard_writes_a_warning_with_the_reason() {
    paused(async {
        let (journal, (store, locks)) = (journal(), locks());
        let guard = locks.mutex("m").unwrap().guard().await.unwrap();
        store.always(Fault::Hang);
        assert_eq!(guard.lost().await, Reason::StoreLost);
        tokio::task::yield_now().await;
        let [lost] = &journal.named("tenure.lock_lost")[..] else {
            panic!("{:?}", journal.all());
        };
        assert_eq!(lost["token"], guard.token().to_string());
        assert_eq!(lost["reason"], Reason::StoreLost.to_string());
        assert!(journal.warnings().contains(&"tenure.lock_lost".to_owned()));
        assert_eq!(journal.named("tenure.lease_ended").len(), 1);
    });
}
