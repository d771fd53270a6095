use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    config::{
        BehaviorVersion, Config, Credentials, Region, retry::RetryConfig, timeout::TimeoutConfig,
    },
    types::{AttributeValue, TransactWriteItem, Update},
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use tenure::{
    DynamoStore, LeaseStore,
    fencing::{FencingError, TokenGuard},
    lease::Lease,
};

use super::{ContestStore, Guard, Ledger, Outcome, ROWS};

const TABLE: &str = "tenure_test_frozen";
const APPEND: &str = "SET journal = list_append(journal, :entry)";

/// An item for each row, with its journal, in the table of the leases: the keys are strings in both.
pub(super) struct Dynamo {
    store: DynamoStore,
    client: Client,
    run: String,
}

impl Dynamo {
    pub(super) async fn open(contest_store: &ContestStore) -> Self {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let limit = Duration::from_secs(5);
        let limits = TimeoutConfig::builder().operation_timeout(limit).build();
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
            .endpoint_url(&contest_store.at)
            // A write that the client retries on its own would be in the journal twice.
            .retry_config(RetryConfig::disabled())
            .timeout_config(limits)
            .http_client(http);
        let client = Client::from_conf(config.build());
        let store = DynamoStore::new(client.clone(), TABLE);
        store.create_table_if_missing().await.unwrap();
        Self {
            store,
            client,
            run: contest_store.run.clone(),
        }
    }

    fn key(&self, row: usize) -> [(&'static str, AttributeValue); 2] {
        let (scope, name) = (format!("rows {}", self.run), row.to_string());
        [
            ("scope", AttributeValue::S(scope)),
            ("name", AttributeValue::S(name)),
        ]
    }

    fn entry(lease: &Lease) -> AttributeValue {
        AttributeValue::L(vec![AttributeValue::N(lease.token.to_string())])
    }
}

#[async_trait]
impl Ledger for Dynamo {
    async fn prepare(&self) {
        for row in 0..ROWS {
            let [(scope, in_scope), (name, named)] = self.key(row);
            let put = self.client.put_item().table_name(TABLE);
            let put = put.item(scope, in_scope).item(name, named);
            let put = put.item("journal", AttributeValue::L(Vec::new()));
            put.send().await.unwrap();
        }
    }

    fn leases(&self) -> Arc<dyn LeaseStore> {
        Arc::new(self.store.clone())
    }

    async fn write(&self, guard: Guard, lease: &Lease, row: usize) -> Outcome {
        let [(scope, in_scope), (name, named)] = self.key(row);
        if guard == Guard::Leader {
            let update = Update::builder()
                .table_name(TABLE)
                .key(scope, in_scope)
                .key(name, named)
                .update_expression(APPEND)
                .expression_attribute_values(":entry", Self::entry(lease));
            let update = TransactWriteItem::builder().update(update.build().unwrap());
            let write = self.client.transact_write_items();
            let write = write.transact_items(update.build());
            return Outcome::of(self.store.leader_transaction(lease, write).await);
        }
        let update = self
            .client
            .update_item()
            .table_name(TABLE)
            .key(scope, in_scope)
            .key(name, named)
            .update_expression(APPEND)
            .expression_attribute_values(":entry", Self::entry(lease));
        Outcome::of(match guard {
            Guard::Token => TokenGuard::new(lease).update_item(update).await,
            _ => update.send().await.map_err(FencingError::Failed),
        })
    }

    async fn rows(&self) -> Vec<Vec<u64>> {
        let mut rows = Vec::new();
        for row in 0..ROWS {
            let [(scope, in_scope), (name, named)] = self.key(row);
            let get = self.client.get_item().table_name(TABLE);
            let get = get
                .key(scope, in_scope)
                .key(name, named)
                .consistent_read(true);
            let item = get.send().await.unwrap().item.unwrap();
            let journal = item["journal"].as_l().unwrap().iter();
            rows.push(
                journal
                    .map(|token| token.as_n().unwrap().parse().unwrap())
                    .collect(),
            );
        }
        rows
    }
}
