use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    config::{
        BehaviorVersion, Config, Credentials, Region, retry::RetryConfig, timeout::TimeoutConfig,
    },
    error::DisplayErrorContext,
    types::{
        AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
        ScalarAttributeType,
    },
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use tenure::{fencing::FencingError, lease::Lease};

use super::{Register, guard, taken};

const TABLE: &str = "register";
/// The server of the run takes any credentials.
pub(crate) const KEY: &str = "torture";

/// An item for each resource, with its history.
pub(crate) struct DynamoRegister(Client);

impl DynamoRegister {
    pub(crate) fn open(url: &str) -> Result<Self, String> {
        let endpoint = url.split_once("endpoint=").map(|(_, endpoint)| endpoint);
        let endpoint = endpoint.ok_or("the URL names no endpoint")?;
        let endpoint = endpoint.split('&').next().unwrap_or(endpoint);
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let limit = Duration::from_secs(2);
        let limits = TimeoutConfig::builder()
            .operation_attempt_timeout(limit)
            .operation_timeout(limit)
            .build();
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("local"))
            .credentials_provider(Credentials::new(KEY, KEY, None, None, "torture"))
            .endpoint_url(endpoint)
            // A write that the client repeats would be in the history twice.
            .retry_config(RetryConfig::disabled())
            .timeout_config(limits)
            .http_client(http);
        Ok(Self(Client::from_conf(config.build())))
    }

    async fn make_table(&self) -> Result<(), String> {
        let attribute = AttributeDefinition::builder()
            .attribute_name("resource")
            .attribute_type(ScalarAttributeType::S)
            .build();
        let key = KeySchemaElement::builder()
            .attribute_name("resource")
            .key_type(KeyType::Hash)
            .build();
        let create = self
            .0
            .create_table()
            .table_name(TABLE)
            .attribute_definitions(attribute.map_err(text)?)
            .key_schema(key.map_err(text)?)
            .billing_mode(BillingMode::PayPerRequest);
        create.send().await.map(drop).map_err(text)
    }
}

#[async_trait]
impl Register for DynamoRegister {
    async fn prepare(&self, resources: &[String]) -> Result<(), String> {
        self.make_table().await?;
        for resource in resources {
            let put = self
                .0
                .put_item()
                .table_name(TABLE)
                .item("resource", AttributeValue::S(resource.clone()))
                .item("token", AttributeValue::N("0".to_owned()))
                .item("history", AttributeValue::L(Vec::new()));
            put.send().await.map_err(text)?;
        }
        Ok(())
    }

    async fn write(&self, lease: &Lease, guarded: bool) -> Result<bool, String> {
        let token = AttributeValue::N(lease.token.to_string());
        let resource = lease.resource.to_string();
        let update = self
            .0
            .update_item()
            .table_name(TABLE)
            .key("resource", AttributeValue::S(resource))
            .expression_attribute_values(":entry", AttributeValue::L(vec![token.clone()]));
        if guarded {
            let update = update.update_expression("SET history = list_append(history, :entry)");
            return taken(
                guard(lease).update_item(update).await,
                |error| match error {
                    FencingError::Failed(error) => text(error),
                    error => error.to_string(),
                },
            );
        }
        let update = update
            .update_expression("SET #token = :token, history = list_append(history, :entry)")
            .expression_attribute_names("#token", "token")
            .expression_attribute_values(":token", token);
        update.send().await.map(|_| true).map_err(text)
    }

    async fn history(&self, resource: &str) -> Result<Vec<u64>, String> {
        let get = self
            .0
            .get_item()
            .table_name(TABLE)
            .key("resource", AttributeValue::S(resource.to_owned()))
            .consistent_read(true);
        let item = get.send().await.map_err(text)?.item;
        let item = item.ok_or("the register is gone")?;
        let tokens = item.get("history").and_then(|list| list.as_l().ok());
        let tokens = tokens.ok_or("the register has no history")?.iter();
        Ok(tokens
            .filter_map(|token| token.as_n().ok()?.parse().ok())
            .collect())
    }
}

fn text(error: impl std::error::Error) -> String {
    DisplayErrorContext(error).to_string()
}
