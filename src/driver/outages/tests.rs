use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    MemoryStore, Timing, driver::StoreHealth, lease::CandidateId, store::Operation,
    testing::ManualClock,
};

fn config(resource: &str) -> Config {
    Config {
        resource: ResourceName::new(resource).unwrap(),
        candidate: CandidateId::new("me").unwrap(),
        timing: Timing::builder()
            .ttl(Duration::from_secs(10))
            .build()
            .unwrap(),
        metadata: None,
        clock: Arc::new(ManualClock::new()),
    }
}

/// A lock fails once and ends.
fn fails(store: &Arc<dyn LeaseStore>, kind: StoreErrorKind, resource: &str, now: Moment) {
    let error = StoreError::new(kind, "memory", Operation::Acquire, "injected");
    StoreHealth::new(store.clone()).failed(error, &config(resource), now, now);
}

/// How many outages of this store are remembered.
fn remembered(store: usize) -> usize {
    outages().keys().filter(|key| key.store == store).count()
}

fn new_store() -> (Arc<dyn LeaseStore>, usize) {
    let store: Arc<dyn LeaseStore> = Arc::new(MemoryStore::new());
    let address = OutageKey::new(&store, None).store;
    (store, address)
}

#[test]
fn the_outage_of_a_store_that_is_gone_is_forgotten_when_another_one_begins() {
    let (gone, address) = new_store();
    let (other, _) = new_store();
    let now = Moment::default();
    fails(&gone, StoreErrorKind::Unavailable, "r", now);
    assert_eq!(remembered(address), 1);
    // Keeps another test from getting this address.
    let _reserved = Arc::downgrade(&gone);
    drop(gone);
    fails(&other, StoreErrorKind::Unavailable, "r", now);
    assert_eq!(remembered(address), 0);
}

#[test]
fn the_outages_of_records_are_forgotten_after_a_minute() {
    let (store, address) = new_store();
    let mut now = Moment::default();
    for number in 0..10 {
        fails(&store, StoreErrorKind::Corrupt, &format!("r/{number}"), now);
    }
    assert_eq!(remembered(address), 10);
    now = now + Duration::from_secs(60);
    fails(&store, StoreErrorKind::Corrupt, "r/10", now);
    assert_eq!(remembered(address), 1);
}
