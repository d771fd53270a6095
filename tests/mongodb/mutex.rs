//! Locks, guards and work that is done once, in real time.

use std::{sync::Arc, time::Duration};

use mongodb::Client;
use tenure::{LeaseStore, MongoStore, clock::BootClock};

use crate::{
    locks::lock_rules,
    once::once_rules,
    store_under_test::{StoreUnderTest, threads},
    support::{LIMIT, options, unique},
};

async fn store() -> Arc<dyn LeaseStore> {
    let client = Client::with_options(options().await).unwrap();
    let collection = client.database("tenure_test").collection("leases");
    let store = MongoStore::new(collection).call_limit(Duration::from_secs(10));
    // The first request of a client opens its connections.
    store
        .list(&tenure::lease::Scope::root(), LIMIT)
        .await
        .unwrap();
    Arc::new(store)
}

async fn store_under_test() -> StoreUnderTest {
    StoreUnderTest {
        stores: [store().await, store().await],
        clock: Arc::new(BootClock),
        observed: false,
        prefix: unique(),
        here: false,
    }
}

lock_rules! {
    #[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
    threads: store_under_test()
}

once_rules! {
    #[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
    threads: store_under_test()
}
