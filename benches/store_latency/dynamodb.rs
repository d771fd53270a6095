use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Config, Credentials, Region},
    primitives::Blob,
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use tenure::{DynamoStore, LeaseStore, StoreError};

use crate::{Done, Subject};

const TABLE: &str = "tenure_bench";

pub(crate) struct Dynamo {
    name: &'static str,
    client: Client,
}

impl Dynamo {
    /// A server of the tests, which takes any credentials.
    pub(crate) async fn open(name: &'static str, url: &str) -> Result<Self, StoreError> {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("local"))
            .credentials_provider(Credentials::new("key", "secret", None, None, "bench"))
            .endpoint_url(url)
            .http_client(http);
        let client = Client::from_conf(config.build());
        DynamoStore::new(client.clone(), TABLE)
            .create_table_if_missing()
            .await?;
        Ok(Self { name, client })
    }
}

#[async_trait]
impl Subject for Dynamo {
    fn name(&self) -> &'static str {
        self.name
    }

    fn store(&self) -> Arc<dyn LeaseStore> {
        Arc::new(DynamoStore::new(self.client.clone(), TABLE))
    }

    async fn raw_write(&self, key: &str) -> Done {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let number = |number: u64| AttributeValue::N(number.to_string());
        let line = HashMap::from([
            ("holder".to_owned(), text("host-12345-0123456789abcdef")),
            ("since_ms".to_owned(), number(1_763_770_000_000)),
        ]);
        let mut set =
            "SET holder = :holder, attempt = :attempt, ttl_ms = :ttl, since_ms = :since, \
                       closing = :false, min_reader = :one"
                .to_owned();
        for index in 1..=8 {
            set.push_str(&format!(", history_{index} = :line"));
        }
        set.push_str(" ADD fence :one, version :one");
        self.client
            .update_item()
            .table_name(TABLE)
            .key("scope", text("/raw/"))
            .key("name", text(key))
            .update_expression(set)
            .expression_attribute_values(":holder", text("host-12345-0123456789abcdef"))
            .expression_attribute_values(":attempt", AttributeValue::B(Blob::new([7; 16])))
            .expression_attribute_values(":ttl", number(15_000))
            .expression_attribute_values(":since", number(1_763_770_000_000))
            .expression_attribute_values(":false", AttributeValue::Bool(false))
            .expression_attribute_values(":line", AttributeValue::M(line))
            .expression_attribute_values(":one", number(1))
            .condition_expression("attribute_not_exists(fence) OR fence < :most")
            .expression_attribute_values(":most", number(u64::MAX))
            .return_values(ReturnValue::UpdatedNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await?;
        Ok(())
    }
}
