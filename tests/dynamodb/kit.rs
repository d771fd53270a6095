//! The conformance kit on both servers, in real time.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use tenure::{
    LeaseStore,
    conformance::{Capabilities, Subject, not_applicable},
    lease::ResourceName,
};

use crate::support::{self, Server};

struct Dynamo(Server);

#[async_trait]
impl Subject for Dynamo {
    fn capabilities(&self) -> Capabilities {
        // Much longer than a round trip on a machine that runs all cases at once.
        let mut capabilities = Capabilities::new(Duration::from_secs(4));
        capabilities.observed = true;
        capabilities.can_edit_records = true;
        capabilities
    }

    async fn client(&self) -> Arc<dyn LeaseStore> {
        let store = self.0.store().await;
        Arc::new(store.call_limit(Duration::from_secs(20)))
    }

    async fn add_unknown_field(&self, resource: &ResourceName) {
        let blue = AttributeValue::S("blue".to_owned());
        support::set(&self.0.client(), resource, "hue", blue).await;
    }

    async fn has_unknown_field(&self, resource: &ResourceName) -> bool {
        let found = support::get(&self.0.client(), resource).await.unwrap();
        found.get("hue") == Some(&AttributeValue::S("blue".to_owned()))
    }

    async fn raise_min_reader(&self, resource: &ResourceName) {
        let newer = AttributeValue::N("99".to_owned());
        support::set(&self.0.client(), resource, "min_reader", newer).await;
    }
}

mod dynoxide {
    tenure::conformance!(
        #[ignore = "needs dynoxide: scripts/servers up, then scripts/servers env"];
        super::Dynamo(crate::support::DYNOXIDE)
    );
}

mod dynamodb_local {
    tenure::conformance!(
        #[ignore = "needs DynamoDB Local: scripts/servers up, then scripts/servers env"];
        super::Dynamo(crate::support::LOCAL)
    );
}

#[test]
fn the_cases_that_do_not_apply_are_known() {
    let mut capabilities = Dynamo(support::LOCAL).capabilities();
    // It keeps no registers yet.
    capabilities.registers = true;
    assert_eq!(
        not_applicable(&capabilities),
        [
            "a_write_that_gets_no_answer_fails_within_its_limit",
            "a_hand_over_of_an_expired_lease_is_refused",
            "a_watch_is_never_silent",
            "a_watch_tells_an_acquisition",
            "a_watch_tells_a_release_that_is_visible_by_then",
            "a_watch_tells_an_eviction",
            "a_watch_tells_instructions",
            "a_watch_tells_a_renewal_with_a_shorter_ttl",
            "a_put_that_gets_no_answer_fails_within_its_limit",
            "a_watch_tells_a_put_that_is_visible_by_then",
        ]
    );
}
