use std::{collections::HashMap, env};

use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Builder, Config, Credentials, Region},
    types::AttributeValue,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use tenure::{DynamoStore, ResourceName};

pub(crate) const TABLE: &str = "tenure_test";

/// One of the servers, by the variable that holds its URL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server(&'static str);

/// It returns the old item on a failed condition, as AWS does.
pub(crate) const DYNOXIDE: Server = Server("TENURE_DYNAMODB_URL");
/// It does not.
pub(crate) const LOCAL: Server = Server("TENURE_DYNAMODB_LOCAL_URL");

impl Server {
    pub(crate) fn url(self) -> String {
        env::var(self.0).unwrap_or_else(|_| {
            panic!(
                "{} is not set: start the servers with `scripts/servers up`, then run \
                 `eval \"$(scripts/servers env)\"`",
                self.0
            )
        })
    }

    /// A client as an application would have it, with an HTTP client of its own.
    pub(crate) fn config(self) -> Builder {
        config(self.url())
    }

    pub(crate) fn client(self) -> Client {
        Client::from_conf(self.config().build())
    }

    pub(crate) async fn store(self) -> DynamoStore {
        let store = DynamoStore::new(self.client(), TABLE);
        store.create_table_if_missing().await.unwrap();
        store
    }
}

pub(crate) fn config(url: String) -> Builder {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .endpoint_url(url)
        .http_client(http)
}

/// The key of a record, as it is documented.
pub(crate) fn key(resource: &ResourceName) -> HashMap<String, AttributeValue> {
    let (scope, name) = match resource.as_str().rsplit_once('/') {
        Some((scope, name)) => (format!("/{scope}/"), name),
        None => ("/".to_owned(), resource.as_str()),
    };
    let name = if name.is_empty() { "/" } else { name };
    let text = |text: &str| AttributeValue::S(text.to_owned());
    HashMap::from([
        ("scope".to_owned(), text(&scope)),
        ("name".to_owned(), text(name)),
    ])
}

/// Sets an attribute of a record, past the store.
pub(crate) async fn set(
    client: &Client,
    resource: &ResourceName,
    name: &str,
    value: AttributeValue,
) {
    client
        .update_item()
        .table_name(TABLE)
        .set_key(Some(key(resource)))
        .update_expression("SET #name = :value")
        .condition_expression("attribute_exists(#scope)")
        .expression_attribute_names("#name", name)
        .expression_attribute_names("#scope", "scope")
        .expression_attribute_values(":value", value)
        .send()
        .await
        .unwrap();
}

/// The item of a record, past the store.
pub(crate) async fn get(
    client: &Client,
    resource: &ResourceName,
) -> Option<HashMap<String, AttributeValue>> {
    let answer = client
        .get_item()
        .table_name(TABLE)
        .set_key(Some(key(resource)))
        .consistent_read(true)
        .send();
    answer.await.unwrap().item
}
