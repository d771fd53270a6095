//! Writes of the application, guarded by the token and by the record of the lease.

mod leader;
mod token;

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::{
        transact_write_items::TransactWriteItemsError,
        update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    },
    types::{
        AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
        ScalarAttributeType, TransactWriteItem, Update,
    },
};
use tenure::{
    FencingToken,
    fencing::{FencingError, RejectedWrite, TokenGuard},
};

use crate::{
    proxy::Wire,
    support::{DYNOXIDE, Server, TestTable, config, unique},
};

const ACCOUNTS: &str = "tenure_test_accounts";

fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// An account in a table of the application.
struct Account {
    test_table: TestTable,
    id: String,
}

impl Account {
    async fn new(server: Server) -> Self {
        let test_table = TestTable::new(server).await;
        let attribute = AttributeDefinition::builder()
            .attribute_name("id")
            .attribute_type(ScalarAttributeType::S);
        let key = KeySchemaElement::builder()
            .attribute_name("id")
            .key_type(KeyType::Hash);
        let create = test_table
            .client
            .create_table()
            .table_name(ACCOUNTS)
            .attribute_definitions(attribute.build().unwrap())
            .key_schema(key.build().unwrap())
            .billing_mode(BillingMode::PayPerRequest);
        match create.send().await {
            Ok(_) => {}
            Err(error)
                if error
                    .as_service_error()
                    .unwrap()
                    .is_resource_in_use_exception() => {}
            Err(error) => panic!("{error:?}"),
        }
        Self {
            test_table,
            id: unique(),
        }
    }

    fn guard(&self, token: u64) -> TokenGuard {
        TokenGuard::new(&self.test_table.lease("a", token))
    }

    fn request(&self) -> UpdateItemFluentBuilder {
        let request = self.test_table.client.update_item().table_name(ACCOUNTS);
        request.key("id", text(&self.id))
    }

    /// A payment. The caller may add a condition.
    fn pay(&self) -> UpdateItemFluentBuilder {
        self.request()
            .update_expression("REMOVE note SET latest = :one ADD cents :one")
            .expression_attribute_values(":one", number(1))
    }

    async fn write(&self, token: u64) -> Result<(), FencingError<SdkError<UpdateItemError>>> {
        self.guard(token).update_item(self.pay()).await.map(drop)
    }

    async fn get(&self, name: &str) -> Option<AttributeValue> {
        let get = self.test_table.client.get_item().table_name(ACCOUNTS);
        let get = get.key("id", text(&self.id)).consistent_read(true).send();
        get.await.unwrap().item?.remove(name)
    }

    /// An action of a transaction.
    fn action(&self) -> TransactWriteItem {
        let update = Update::builder()
            .table_name(ACCOUNTS)
            .key("id", text(&self.id))
            .update_expression("ADD cents :one")
            .expression_attribute_values(":one", number(1));
        TransactWriteItem::builder()
            .update(update.build().unwrap())
            .build()
    }

    async fn lead(
        &self,
        holder: &str,
        token: u64,
    ) -> Result<(), FencingError<SdkError<TransactWriteItemsError>>> {
        let request = self
            .test_table
            .client
            .transact_write_items()
            .transact_items(self.action());
        let lease = self.test_table.lease(holder, token);
        let done = self.test_table.store.leader_transaction(&lease, request);
        done.await.map(drop)
    }
}

#[track_caller]
fn rejected<T: std::fmt::Debug, E: std::fmt::Debug>(
    guarded: Result<T, FencingError<E>>,
) -> RejectedWrite {
    match guarded {
        Err(FencingError::Rejected(rejected)) => rejected,
        other => panic!("{other:?}"),
    }
}

fn token(token: u64) -> Option<FencingToken> {
    Some(FencingToken::new(token))
}

#[tokio::test]
#[ignore = "needs dynoxide: scripts/servers up, then scripts/servers env"]
async fn a_guarded_write_is_one_request_accepted_or_refused() {
    let wire = Wire::default();
    let account = Account::new(DYNOXIDE).await;
    let url = wire.lay(DYNOXIDE).await;
    let client = aws_sdk_dynamodb::Client::from_conf(config(url.clone()).build());
    let test_table = TestTable {
        client,
        ..TestTable::at(DYNOXIDE, url).await
    };
    let account = Account {
        test_table,
        ..account
    };
    wire.requests();
    account.write(2).await.unwrap();
    rejected(account.write(1).await);
    assert_eq!(wire.requests(), ["UpdateItem"; 2]);
    account.test_table.acquire("a", 1).await;
    wire.requests();
    account.lead("a", 1).await.unwrap();
    rejected(account.lead("b", 1).await);
    assert_eq!(wire.requests(), ["TransactWriteItems"; 2]);
}
