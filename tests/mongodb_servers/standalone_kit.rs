//! The conformance kit on a standalone server, in real time.

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use async_trait::async_trait;
use mongodb::bson::{Bson, doc};
use tenure::{
    LeaseStore,
    conformance::{Capabilities, Subject},
    lease::ResourceName,
};

use crate::{standalone::Standalone, support::TestCollection};

struct Single(Arc<Standalone>);

/// The server that concurrent cases share. `Weak`, because a static is never dropped, and would not end it.
static SERVER: Mutex<Weak<Standalone>> = Mutex::new(Weak::new());

impl Single {
    fn new() -> Self {
        // If a case has failed to start the server, another one can still start it.
        let mut shared = SERVER
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let server = shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Standalone::start(&[]));
            *shared = Arc::downgrade(&server);
            server
        });
        Self(server)
    }

    fn test_collection(&self) -> TestCollection {
        TestCollection::of(self.0.options())
    }

    async fn set(&self, resource: &ResourceName, field: &str, value: impl Into<Bson>) {
        let change = doc! { "$set": { field: value.into() } };
        let named = doc! { "_id": resource.as_str() };
        let done = self
            .test_collection()
            .collection
            .update_one(named, change)
            .await;
        assert_eq!(done.unwrap().matched_count, 1);
    }
}

#[async_trait]
impl Subject for Single {
    fn capabilities(&self) -> Capabilities {
        // Much longer than a round trip on a machine that also runs replica sets.
        let mut capabilities = Capabilities::new(Duration::from_secs(2));
        capabilities.slack = Duration::from_millis(400);
        capabilities.can_edit_records = true;
        capabilities
    }

    async fn client(&self) -> Arc<dyn LeaseStore> {
        Arc::new(self.test_collection().store)
    }

    async fn add_unknown_field(&self, resource: &ResourceName) {
        self.set(resource, "hue", "blue").await;
    }

    async fn has_unknown_field(&self, resource: &ResourceName) -> bool {
        let named = doc! { "_id": resource.as_str(), "hue": "blue" };
        let found = self
            .test_collection()
            .collection
            .count_documents(named)
            .await;
        found.unwrap() == 1
    }

    async fn raise_min_reader(&self, resource: &ResourceName) {
        self.set(resource, "min_reader", 99_i64).await;
    }
}

tenure::conformance!(
    #[ignore = "needs MongoDB's program: scripts/servers mongod"];
    Single::new()
);
