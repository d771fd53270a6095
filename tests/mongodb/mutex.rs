//! Plain locks and guards, in real time.

use std::{future::Future, sync::Arc, time::Duration};

use mongodb::Client;
use tenure::{BootClock, LeaseStore, MongoStore};

use crate::{
    locks::{Bed, lock_rules},
    support::{options, unique},
};

/// The sockets of the clients live here, the locks do not.
fn threads(test: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test);
}

async fn store() -> Arc<dyn LeaseStore> {
    let client = Client::with_options(options().await).unwrap();
    let collection = client.database("tenure_test").collection("leases");
    let store = MongoStore::new(collection).call_limit(Duration::from_secs(10));
    // The first request of a client opens its connections.
    store.list(&tenure::Scope::root()).await.unwrap();
    Arc::new(store)
}

async fn bed() -> Bed {
    Bed {
        stores: [store().await, store().await],
        clock: Arc::new(BootClock),
        observed: false,
        prefix: unique(),
        here: false,
    }
}

lock_rules! {
    #[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
    threads: bed()
}
