//! The user's own writes, guarded by the token and by the record of the lease.

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::{
        transact_write_items::TransactWriteItemsError,
        update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    },
    types::{
        AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, Put,
        ScalarAttributeType, TransactWriteItem, Update,
    },
};
use tenure::{
    FencingToken, LeaseStore as _,
    fencing::{FencingError, RejectedWrite, RejectionReason, TokenGuard},
    store::{EvictionMode, StoreErrorKind},
};

use crate::{
    proxy::Wire,
    support::{DYNOXIDE, LIMIT, LOCAL, Server, TestTable, config, granted, refused, unique},
};

const ACCOUNTS: &str = "tenure_test_accounts";

fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// An account of the user's own, in a table of the user's own.
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

    /// A payment, with a condition of the user's own if he likes.
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
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn an_item_accepts_no_token_older_than_its_own() {
    for (server, tells) in [(DYNOXIDE, true), (LOCAL, false)] {
        let account = Account::new(server).await;
        account.write(9).await.unwrap();
        account.write(9).await.unwrap();
        account.write(10).await.unwrap();
        let refusal = rejected(account.write(9).await);
        assert_eq!(refusal.newest, token(10).filter(|_| tells), "{server:?}");
        assert_eq!(
            (refusal.token, refusal.reason),
            (FencingToken::new(9), RejectionReason::Superseded)
        );
        assert_eq!(refusal.resource, account.test_table.name);
        assert_eq!(account.get("cents").await, Some(number(3)));
        assert_eq!(
            account.get("latest").await,
            Some(number(1)),
            "the user's own SET"
        );
        assert_eq!(account.get("fencing_token").await, Some(number(10)));
    }
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn an_item_that_is_put_is_guarded_like_one_that_is_updated() {
    for (server, tells) in [(DYNOXIDE, true), (LOCAL, false)] {
        let account = Account::new(server).await;
        let put = |cents: u64| {
            let put = account.test_table.client.put_item().table_name(ACCOUNTS);
            put.item("id", text(&account.id))
                .item("cents", number(cents))
        };
        account.guard(3).put_item(put(1)).await.unwrap();
        account.guard(4).put_item(put(2)).await.unwrap();
        let refusal = rejected(account.guard(3).put_item(put(3)).await);
        assert_eq!(refusal.newest, token(4).filter(|_| tells), "{server:?}");
        assert_eq!(account.get("cents").await, Some(number(2)));
        assert_eq!(account.get("fencing_token").await, Some(number(4)));
    }
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn an_item_without_a_token_takes_any_and_the_attribute_is_the_users_choice() {
    for server in [DYNOXIDE, LOCAL] {
        let account = Account::new(server).await;
        account.pay().send().await.unwrap();
        // A name that only a `#name` can stand for, and names that are taken.
        let pay = || {
            account
                .request()
                .update_expression("SET #tenure_fencing_token = :tenure_fencing_token")
                .expression_attribute_names("#tenure_fencing_token", "latest")
                .expression_attribute_values(":tenure_fencing_token", number(7))
        };
        let guard = |token| account.guard(token).field("the.newest token");
        guard(5).update_item(pay()).await.unwrap();
        rejected(guard(4).update_item(pay()).await);
        assert_eq!(account.get("latest").await, Some(number(7)));
        assert_eq!(account.get("the.newest token").await, Some(number(5)));
        // An update of nothing but the token: a claim.
        account
            .guard(1)
            .update_item(account.request())
            .await
            .unwrap();
        assert_eq!(account.get("fencing_token").await, Some(number(1)));
    }
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn the_users_own_condition_still_applies_and_is_distinguished_from_the_guard() {
    for server in [DYNOXIDE, LOCAL] {
        let account = Account::new(server).await;
        let existing = || {
            account
                .pay()
                .condition_expression("attribute_exists(id) OR cents = :one")
        };
        let missing = account.guard(5).update_item(existing()).await;
        let Err(FencingError::Failed(error)) = missing else {
            panic!("{missing:?}");
        };
        assert!(
            error
                .as_service_error()
                .unwrap()
                .is_conditional_check_failed_exception()
        );
        assert_eq!(account.get("id").await, None, "{server:?}");
        account.write(5).await.unwrap();
        account.guard(5).update_item(existing()).await.unwrap();
        // It is an OR: without parentheses the guard would not count.
        let refusal = account.guard(4).update_item(existing()).await;
        if server.url() == DYNOXIDE.url() {
            assert_eq!(rejected(refusal).newest, token(5));
        } else {
            assert!(matches!(refusal, Err(FencingError::Failed(_))));
        }
        assert_eq!(account.get("cents").await, Some(number(2)), "{server:?}");
    }
}

#[tokio::test]
#[ignore = "needs dynoxide: scripts/servers up, then scripts/servers env"]
async fn what_cannot_be_guarded_is_refused() {
    let account = Account::new(DYNOXIDE).await;
    let spoil = account
        .request()
        .update_expression("SET fencing_token = :x");
    let spoil = spoil.expression_attribute_values(":x", text("newest"));
    spoil.clone().send().await.unwrap();
    let wrong = account.write(1).await;
    assert!(
        matches!(wrong, Err(FencingError::Unguardable(_))),
        "{wrong:?}"
    );
    // Two that set the same attribute.
    let account = Account::new(DYNOXIDE).await;
    let spoil = account
        .request()
        .update_expression("SET fencing_token = :x");
    let spoil = spoil.expression_attribute_values(":x", number(0));
    let wrong = account.guard(1).update_item(spoil).await;
    assert!(matches!(wrong, Err(FencingError::Failed(_))), "{wrong:?}");
    assert_eq!(account.get("id").await, None);
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

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn only_the_lease_that_is_held_writes() {
    for server in [DYNOXIDE, LOCAL] {
        let account = Account::new(server).await;
        let test_table = &account.test_table;
        let refusal = rejected(account.lead("a", 1).await);
        assert_eq!(
            (refusal.newest, refusal.reason),
            (None, RejectionReason::Forgotten)
        );
        test_table.acquire("a", 1).await;
        let before = test_table.item().await;
        account.lead("a", 1).await.unwrap();
        assert_eq!(test_table.item().await, before, "{server:?}");
        test_table.release("a", 1).await;
        let refusal = rejected(account.lead("a", 1).await);
        assert_eq!(
            (refusal.newest, refusal.reason),
            (token(1), RejectionReason::Released)
        );
        assert_eq!(test_table.acquire("b", 2).await, granted(2));
        let refusal = rejected(account.lead("a", 1).await);
        assert_eq!(
            (refusal.newest, refusal.reason),
            (token(2), RejectionReason::Superseded)
        );
        account.lead("b", 2).await.unwrap();
        let evict = test_table.store.evict(
            &test_table.name,
            FencingToken::new(2),
            EvictionMode::Close,
            LIMIT,
        );
        evict.await.unwrap();
        let refusal = rejected(account.lead("b", 2).await);
        assert_eq!(refusal.reason, RejectionReason::Evicted);
        assert_eq!(account.get("cents").await, Some(number(2)), "{server:?}");
    }
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn a_lease_that_has_expired_writes_until_it_is_taken_over() {
    for server in [DYNOXIDE, LOCAL] {
        let account = Account::new(server).await;
        let mut bid = account.test_table.bid("a", 1);
        bid.ttl = std::time::Duration::from_millis(300);
        account.test_table.store.acquire(&bid, LIMIT).await.unwrap();
        let other = account.test_table.other(server);
        refused(other.acquire("b", 2).await);
        tokio::time::sleep(bid.ttl * 2).await;
        account.lead("a", 1).await.unwrap();
        assert_eq!(
            other.acquire("b", 2).await,
            granted(2),
            "its observation goes on"
        );
        assert_eq!(rejected(account.lead("a", 1).await).newest, token(2));
        assert_eq!(account.get("cents").await, Some(number(1)));
    }
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn an_error_of_the_users_own_leaves_nothing_written_and_has_its_reasons() {
    for server in [DYNOXIDE, LOCAL] {
        let account = Account::new(server).await;
        account.test_table.acquire("a", 1).await;
        let put = Put::builder()
            .table_name(ACCOUNTS)
            .item("id", text(&unique()))
            .condition_expression("attribute_exists(id)");
        let put = TransactWriteItem::builder()
            .put(put.build().unwrap())
            .build();
        let request = account.test_table.client.transact_write_items();
        let request = request.transact_items(account.action()).transact_items(put);
        let lease = account.test_table.lease("a", 1);
        let failed = account
            .test_table
            .store
            .leader_transaction(&lease, request)
            .await;
        let Err(FencingError::Failed(error)) = failed else {
            panic!("{failed:?}");
        };
        let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) =
            error.as_service_error()
        else {
            panic!("{error:?}");
        };
        let reasons = cancelled.cancellation_reasons().iter();
        let reasons: Vec<_> = reasons
            .map(|reason| reason.code().unwrap_or_default())
            .collect();
        assert_eq!(
            reasons,
            ["None", "None", "ConditionalCheckFailed"],
            "{server:?}"
        );
        assert_eq!(account.get("cents").await, None);
    }
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn a_record_for_newer_libraries_is_unsupported_and_a_damaged_one_corrupt() {
    for server in [DYNOXIDE, LOCAL] {
        let account = Account::new(server).await;
        account.test_table.acquire("a", 1).await;
        for (name, value, expected) in [
            ("ttl_ms", text("long"), StoreErrorKind::Corrupt),
            ("min_reader", number(99), StoreErrorKind::Unsupported),
        ] {
            account.test_table.set(name, value).await;
            let failed = account.lead("a", 1).await;
            let Err(FencingError::Lease(error)) = failed else {
                panic!("{failed:?}");
            };
            assert_eq!(error.kind(), expected, "{server:?}");
        }
        assert_eq!(account.get("cents").await, None);
    }
}
