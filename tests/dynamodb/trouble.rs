//! Answers that are lost, and servers that cannot be reached, do not answer, or refuse the credentials.

use std::{
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};

use aws_sdk_dynamodb::{
    Client,
    config::{Config, retry::RetryConfig},
    types::AttributeValue,
};
use tenure::{
    DynamoStore, LeaseStore as _,
    store::{ReleaseOutcome, ReleaseTarget, RenewOutcome, StoreErrorKind},
};

use crate::{
    proxy::Wire,
    support::{DYNOXIDE, LIMIT, LOCAL, TABLE, TTL, TestTable, config, granted, key},
};

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn a_lost_answer_to_a_bid_is_unknown_and_the_attempt_gets_its_token() {
    for (server, cuts) in [(DYNOXIDE, 1), (DYNOXIDE, 2), (LOCAL, 1), (LOCAL, 2)] {
        let wire = Wire::default();
        let test_table = TestTable::at(server, wire.lay(server).await).await;
        for _ in 0..cuts {
            wire.cut.store(1, SeqCst);
            let error = test_table
                .store
                .acquire(&test_table.bid("a", 1), LIMIT)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Unknown, "{error}");
        }
        assert_eq!(test_table.acquire("a", 1).await, granted(1));
        // By a write, so that the deadline may count from this request.
        assert_ne!(test_table.version().await, "1");
        let record = test_table.read().await;
        assert_eq!(record.history.len(), 1, "{server:?}, {cuts}");
        test_table
            .store
            .renew(&test_table.lease("a", 1), TTL, LIMIT)
            .await
            .unwrap();
    }
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn a_lost_answer_to_a_renewal_or_a_release_does_no_harm() {
    let ways = [(DYNOXIDE, 1), (DYNOXIDE, 2), (LOCAL, 1), (LOCAL, 2)];
    for ((server, cuts), by_owner) in ways.into_iter().flat_map(|way| [(way, false), (way, true)]) {
        let wire = Wire::default();
        let test_table = TestTable::at(server, wire.lay(server).await).await;
        test_table.acquire("a", 1).await;
        let lease = test_table.lease("a", 1);
        let claim = if by_owner {
            test_table.owner("a")
        } else {
            test_table.claim("a", 1)
        };
        for _ in 0..cuts {
            wire.cut.store(1, SeqCst);
            let error = test_table
                .store
                .renew(&lease, TTL, LIMIT)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Unknown, "{error}");
        }
        let renewed = test_table.store.renew(&lease, TTL, LIMIT).await.unwrap();
        assert_eq!(renewed, RenewOutcome::RENEWED);
        wire.cut.store(1, SeqCst);
        let error = test_table
            .store
            .release(&claim, None, LIMIT)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unknown, "{error}");
        wire.cut.store(cuts - 1, SeqCst);
        let _ = test_table.store.release(&claim, None, LIMIT).await;
        wire.cut.store(0, SeqCst);
        match test_table.store.release(&claim, None, LIMIT).await.unwrap() {
            ReleaseOutcome::NotHeld(Some(record)) => assert_eq!(record.holder, None),
            other => panic!("{other:?}"),
        }
        assert_eq!(
            test_table.acquire("b", 2).await,
            granted(2),
            "{server:?}, {cuts}"
        );
    }
}

#[tokio::test]
#[ignore = "needs dynoxide: scripts/servers up, then scripts/servers env"]
async fn an_answer_that_never_comes_is_unknown_within_the_limit() {
    let wire = Wire::default();
    let mut test_table = TestTable::at(DYNOXIDE, wire.lay(DYNOXIDE).await).await;
    let limit = Duration::from_millis(300);
    test_table.store = test_table.store.call_limit(limit);
    assert_eq!(
        test_table
            .store
            .read(&test_table.name, LIMIT)
            .await
            .unwrap(),
        None
    );
    wire.hang.store(true, SeqCst);
    for (write, kind) in [
        (true, StoreErrorKind::Unknown),
        (false, StoreErrorKind::Unavailable),
    ] {
        let sent = Instant::now();
        let error = if write {
            test_table
                .store
                .acquire(&test_table.bid("a", 1), LIMIT)
                .await
                .map(drop)
        } else {
            test_table
                .store
                .read(&test_table.name, LIMIT)
                .await
                .map(drop)
        };
        let error = error.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let took = sent.elapsed();
        assert!(took >= limit && took < limit * 5, "{took:?}");
    }
    wire.hang.store(false, SeqCst);
    assert_eq!(test_table.acquire("a", 1).await, granted(1));
    let claim = ReleaseTarget::Attempt {
        resource: test_table.name.clone(),
        attempt: test_table.bid("a", 1).attempt,
    };
    let released = test_table.store.release(&claim, None, LIMIT).await.unwrap();
    assert_eq!(released, ReleaseOutcome::Released);
}

/// Needs no server: no process listens at the address, and the name does not exist.
#[tokio::test]
async fn an_unreachable_server_is_an_error_within_the_limit() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for url in [
        format!("http://{closed}"),
        "http://tenure.invalid".to_owned(),
    ] {
        let client = Client::from_conf(config(url.clone()).build());
        let store = DynamoStore::new(client, TABLE);
        let name = tenure::lease::ResourceName::new("a").unwrap();
        let error = store.read(&name, LIMIT).await.unwrap_err();
        assert_eq!(
            error.kind(),
            StoreErrorKind::Unavailable,
            "{url}: {error:?}"
        );
        let claim = ReleaseTarget::Attempt {
            resource: name,
            attempt: tenure::store::AttemptId::new(1),
        };
        let error = store.release(&claim, None, LIMIT).await.unwrap_err();
        assert_eq!(
            error.kind(),
            StoreErrorKind::Unavailable,
            "{url}: {error:?}"
        );
    }
}

/// Needs no server: no process listens at the address.
#[tokio::test]
async fn the_longest_call_limit_does_not_overflow() {
    let client = Client::from_conf(config("http://127.0.0.1:1".to_owned()).build());
    let store = DynamoStore::new(client, TABLE).call_limit(Duration::MAX);
    let name = tenure::lease::ResourceName::new("a").unwrap();
    let error = store.read(&name, Duration::MAX).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
}

/// Needs no server: nothing is sent.
#[tokio::test]
async fn missing_credentials_and_a_missing_region_are_errors_that_say_so() {
    let url = "http://127.0.0.1:1".to_owned();
    let name = tenure::lease::ResourceName::new("a").unwrap();
    let without = |config: Config| DynamoStore::new(Client::from_conf(config), TABLE);
    let mut config_without_region = config(url.clone());
    config_without_region
        .set_region(None)
        .set_endpoint_url(None);
    let error = without(config_without_region.build())
        .read(&name, LIMIT)
        .await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error:?}");

    let failing = aws_credential_types::provider::error::CredentialsError::provider_error(
        "the role does not exist",
    );
    let failing = std::sync::Mutex::new(Some(failing));
    let provider = Failing(failing);
    let config = config(url).credentials_provider(provider).build();
    let error = without(config).read(&name, LIMIT).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Denied, "{error:?}");
}

#[derive(Debug)]
struct Failing(std::sync::Mutex<Option<aws_credential_types::provider::error::CredentialsError>>);

impl aws_sdk_dynamodb::config::ProvideCredentials for Failing {
    fn provide_credentials<'a>(
        &'a self,
    ) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let error = self.0.lock().unwrap().take().unwrap();
        aws_credential_types::provider::future::ProvideCredentials::ready(Err(error))
    }
}

/// The store does not change the client that it is given.
#[tokio::test]
#[ignore = "needs dynoxide: scripts/servers up, then scripts/servers env"]
async fn the_application_keeps_its_client_and_its_retries() {
    let wire = Wire::default();
    let url = wire.lay(DYNOXIDE).await;
    let retries = RetryConfig::standard().with_max_attempts(2);
    let client = Client::from_conf(config(url).retry_config(retries).build());
    let _store = DynamoStore::new(client.clone(), TABLE);
    let test_table = TestTable::new(DYNOXIDE).await;
    test_table.acquire("a", 1).await;
    wire.cut.store(1, SeqCst);
    let request = client
        .update_item()
        .table_name(TABLE)
        .set_key(Some(key(&test_table.name)))
        .update_expression("ADD hits :one")
        .expression_attribute_values(":one", AttributeValue::N("1".to_owned()));
    request.send().await.unwrap();
    assert_eq!(wire.requests(), ["UpdateItem", "UpdateItem"]);
}
