//! Tables and items that are missing, of another shape, or damaged.

use std::time::Duration;

use aws_sdk_dynamodb::{
    primitives::Blob,
    types::{
        AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
        ScalarAttributeType,
    },
};
use futures::future::join_all;
use tenure::{
    DynamoStore, LeaseStore as _, StoreError,
    lease::ResourceName,
    store::{EvictionMode, StoreErrorKind},
};

use crate::support::{
    self, DYNOXIDE, LIMIT, LOCAL, Server, TABLE, TTL, TestTable, granted, unique,
};

fn number(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// The errors of all operations.
async fn errors(test_table: &TestTable) -> Vec<StoreError> {
    let (store, token) = (&test_table.store, test_table.stored(1));
    let errors = vec![
        store
            .acquire(&test_table.bid("b", 2), LIMIT)
            .await
            .map(drop),
        store
            .renew(&test_table.lease("a", 1), TTL, LIMIT)
            .await
            .map(drop),
        store
            .release(&test_table.claim("a", 1), None, LIMIT)
            .await
            .map(drop),
        store
            .release(&test_table.owner("a"), None, LIMIT)
            .await
            .map(drop),
        store.read(&test_table.name, LIMIT).await.map(drop),
        store.list(&test_table.scope(), LIMIT).await.map(drop),
        store
            .evict(&test_table.name, token, EvictionMode::Close, LIMIT)
            .await
            .map(drop),
    ];
    errors.into_iter().map(Result::unwrap_err).collect()
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn a_missing_table_is_an_error_that_names_the_call_to_create_it() {
    for server in [DYNOXIDE, LOCAL] {
        let mut test_table = TestTable::new(server).await;
        let table = format!("missing_{}", unique());
        test_table.store = DynamoStore::new(server.client(), table.clone());
        let mut errors = errors(&test_table).await;
        errors.push(test_table.store.prepare().await.unwrap_err());
        for error in errors {
            assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error}");
            let told = error.to_string();
            assert!(
                told.contains(&table) && told.contains("create_table_if_missing"),
                "{told}"
            );
        }
    }
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn a_table_is_created_once_when_many_create_it_at_once() {
    for server in [DYNOXIDE, LOCAL] {
        let table = format!("made_{}", unique());
        let stores: Vec<_> = (0..6)
            .map(|_| DynamoStore::new(server.client(), table.clone()))
            .map(|store| store.call_limit(Duration::from_secs(10)))
            .collect();
        for made in join_all(stores.iter().map(DynamoStore::create_table_if_missing)).await {
            made.unwrap();
        }
        stores[0].create_table_if_missing().await.unwrap();
        stores[0].prepare().await.unwrap();
        let mut test_table = TestTable::new(server).await;
        test_table.store = stores[0].clone();
        assert_eq!(test_table.acquire("a", 1).await, granted(1));
        let description = server.client().describe_table().table_name(&table).send();
        let description = description.await.unwrap().table.unwrap();
        let billing = description
            .billing_mode_summary
            .and_then(|s| s.billing_mode);
        assert_eq!(billing, Some(BillingMode::PayPerRequest), "{server:?}");
        let delete = server.client().delete_table().table_name(&table).send();
        delete.await.unwrap();
    }
}

async fn table_with_keys(server: Server, keys: &[(&str, ScalarAttributeType, KeyType)]) -> String {
    let table = format!("keys_{}", unique());
    let mut request = server
        .client()
        .create_table()
        .table_name(&table)
        .billing_mode(BillingMode::PayPerRequest);
    for (name, of, kind) in keys {
        let definition = AttributeDefinition::builder()
            .attribute_name(*name)
            .attribute_type(of.clone())
            .build();
        let element = KeySchemaElement::builder()
            .attribute_name(*name)
            .key_type(kind.clone())
            .build();
        request = request
            .attribute_definitions(definition.unwrap())
            .key_schema(element.unwrap());
    }
    request.send().await.unwrap();
    table
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn a_table_with_other_keys_is_misconfigured() {
    use ScalarAttributeType::{N, S};
    for server in [DYNOXIDE, LOCAL] {
        for keys in [
            &[("id", S, KeyType::Hash)][..],
            &[("scope", S, KeyType::Hash)],
            &[("scope", S, KeyType::Hash), ("name", N, KeyType::Range)],
            &[("name", S, KeyType::Hash), ("scope", S, KeyType::Range)],
        ] {
            let table = table_with_keys(server, keys).await;
            let mut test_table = TestTable::new(server).await;
            test_table.store = DynamoStore::new(server.client(), table.clone());
            let mut told = vec![
                test_table.store.prepare().await.unwrap_err(),
                test_table
                    .store
                    .create_table_if_missing()
                    .await
                    .unwrap_err(),
            ];
            // With the two keys the other way round each request is a good one, for another table.
            if keys[0].0 != "name" {
                told.push(
                    test_table
                        .store
                        .acquire(&test_table.bid("a", 1), LIMIT)
                        .await
                        .unwrap_err(),
                );
                told.push(
                    test_table
                        .store
                        .read(&test_table.name, LIMIT)
                        .await
                        .unwrap_err(),
                );
            }
            for error in told {
                assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error:?}");
                assert!(
                    error.to_string().contains("other keys"),
                    "{server:?} {error:?}"
                );
            }
            let delete = server.client().delete_table().table_name(&table).send();
            delete.await.unwrap();
        }
    }
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn an_item_of_another_shape_is_corrupt_and_not_written() {
    let too_great = AttributeValue::N(u64::MAX.to_string());
    let damages: [(&str, AttributeValue); 21] = [
        ("token", text("one")),
        ("token", AttributeValue::N("1.5".to_owned())),
        ("token", number(-1)),
        ("version", AttributeValue::Null(true)),
        (
            "version",
            AttributeValue::N("99999999999999999999999".to_owned()),
        ),
        ("token", too_great.clone()),
        ("version", too_great.clone()),
        ("ttl_ms", too_great),
        ("ttl_ms", text("15000")),
        ("since_ms", number(-5)),
        ("closing", number(0)),
        ("min_reader", text("1")),
        ("holder", number(7)),
        ("attempt", AttributeValue::B(Blob::new("short"))),
        ("metadata", AttributeValue::Bool(true)),
        ("edition", text("1")),
        ("edition", number(0)),
        ("touched_ms", number(-5)),
        ("pause", text("note")),
        ("hand_over", number(7)),
        ("internal", text("no")),
    ];
    for server in [DYNOXIDE, LOCAL] {
        for (field, value) in &damages {
            let test_table = TestTable::new(server).await;
            test_table.acquire("a", 1).await;
            test_table.set(field, value.clone()).await;
            let before = test_table.item().await;
            // A process that has not read the record.
            let other = test_table.other(server);
            let mut errors = vec![
                other
                    .store
                    .acquire(&test_table.bid("b", 2), LIMIT)
                    .await
                    .map(drop),
                other.store.read(&test_table.name, LIMIT).await.map(drop),
                other.store.list(&test_table.scope(), LIMIT).await.map(drop),
            ];
            // A renewal checks only what it depends on.
            let renewed = [
                "ttl_ms",
                "since_ms",
                "metadata",
                "edition",
                "touched_ms",
                "internal",
            ];
            if *field != "attempt" && !renewed.contains(field) {
                errors.push(
                    other
                        .store
                        .renew(&test_table.lease("a", 1), TTL, LIMIT)
                        .await
                        .map(drop),
                );
            }
            // Whose types the condition of a release does not name.
            let unseen = ["attempt", "pause", "internal"].contains(field)
                || *value == number(0) && *field == "edition";
            if !unseen {
                errors.push(
                    other
                        .store
                        .release(&test_table.claim("a", 1), None, LIMIT)
                        .await
                        .map(drop),
                );
            }
            // A condition without a token cannot detect a fraction.
            if !unseen && *value != AttributeValue::N("1.5".to_owned()) {
                errors.push(
                    other
                        .store
                        .release(&test_table.owner("a"), None, LIMIT)
                        .await
                        .map(drop),
                );
            }
            for error in errors {
                let error = error.expect_err(field);
                assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error:?}");
                let told = error.to_string();
                assert!(
                    told.contains(field) && told.contains(test_table.name.as_str()),
                    "{told}"
                );
            }
            assert_eq!(test_table.item().await, before, "{field} {value:?}");
        }
    }
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn an_item_of_another_program_under_the_key_is_corrupt() {
    for server in [DYNOXIDE, LOCAL] {
        let test_table = TestTable::new(server).await;
        let mut item = support::key(&test_table.name);
        item.insert("price".to_owned(), number(12));
        let put = test_table.client.put_item().table_name(TABLE);
        put.set_item(Some(item.clone())).send().await.unwrap();
        for error in errors(&test_table).await {
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
        }
        assert_eq!(test_table.item().await, item);
    }
}

#[tokio::test]
#[ignore = "needs dynoxide: scripts/servers up, then scripts/servers env"]
async fn a_damaged_entry_of_the_history_is_left_out() {
    let test_table = TestTable::new(DYNOXIDE).await;
    for round in 1..=3 {
        test_table.acquire("a", round.into()).await;
        test_table.release("a", round).await;
    }
    test_table.set("h2", number(3)).await;
    test_table.set("h8", text("17 two\nlines")).await;
    test_table.set("t8", number(5)).await;
    let tokens: Vec<_> = test_table
        .read()
        .await
        .history
        .iter()
        .map(|line| line.token.get())
        .collect();
    assert_eq!(tokens, [1, 3]);
    assert_eq!(test_table.acquire("a", 4).await, granted(4));
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn a_record_has_the_documented_key() {
    for server in [DYNOXIDE, LOCAL] {
        let base = unique();
        for (name, scope, last) in [
            (base.clone(), "/".to_owned(), base.clone()),
            (format!("{base}/x"), format!("/{base}/"), "x".to_owned()),
            (format!("{base}/"), format!("/{base}/"), "/".to_owned()),
            (format!("/{base}"), "//".to_owned(), base.clone()),
        ] {
            let mut test_table = TestTable::new(server).await;
            test_table.name = ResourceName::new(&name).unwrap();
            assert_eq!(test_table.acquire("a", 1).await, granted(1));
            let item = test_table.item().await;
            assert_eq!(
                (&item["scope"], &item["name"]),
                (&text(&scope), &text(&last))
            );
            assert_eq!(test_table.read().await.resource, test_table.name);
        }
    }
}
