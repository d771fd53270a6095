//! The conformance kit on a real replica set, in real time.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mongodb::bson::{Bson, doc};
use tenure::{
    LeaseStore,
    conformance::{Capabilities, Subject, not_applicable},
    lease::ResourceName,
};

use crate::support::TestCollection;

struct Mongo;

async fn set(resource: &ResourceName, field: &str, value: impl Into<Bson>) {
    let change = doc! { "$set": { field: value.into() } };
    let named = doc! { "_id": resource.as_str() };
    let done = TestCollection::new()
        .await
        .collection
        .update_one(named, change)
        .await;
    assert_eq!(done.unwrap().matched_count, 1);
}

#[async_trait]
impl Subject for Mongo {
    fn capabilities(&self) -> Capabilities {
        // Much longer than a round trip on a machine that runs all cases at once.
        let mut capabilities = Capabilities::new(Duration::from_secs(4));
        capabilities.can_edit_records = true;
        capabilities.can_watch = true;
        capabilities.watch_tells_acquisitions = true;
        capabilities
    }

    async fn client(&self) -> Arc<dyn LeaseStore> {
        Arc::new(TestCollection::new().await.store)
    }

    async fn add_unknown_field(&self, resource: &ResourceName) {
        set(resource, "hue", "blue").await;
    }

    async fn has_unknown_field(&self, resource: &ResourceName) -> bool {
        let named = doc! { "_id": resource.as_str(), "hue": "blue" };
        let found = TestCollection::new()
            .await
            .collection
            .count_documents(named)
            .await;
        found.unwrap() == 1
    }

    async fn raise_min_reader(&self, resource: &ResourceName) {
        set(resource, "min_reader", 99_i64).await;
    }
}

tenure::conformance!(
    #[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"];
    Mongo
);

#[test]
fn the_cases_that_do_not_apply_are_known() {
    let mut capabilities = Mongo.capabilities();
    // It keeps no registers yet.
    capabilities.registers = true;
    assert_eq!(
        not_applicable(&capabilities),
        [
            "a_write_that_gets_no_answer_fails_within_its_limit",
            "a_put_that_gets_no_answer_fails_within_its_limit",
        ]
    );
}
