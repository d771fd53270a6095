//! A lock whose store fails for each reason and then recovers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use aws_credential_types::provider::{error::CredentialsError, future};
use aws_sdk_dynamodb::{
    Client,
    config::{Credentials, ProvideCredentials},
    types::AttributeValue,
};
use futures::FutureExt as _;
use tenure::{DynamoStore, store::StoreErrorKind};

use crate::{
    common::{
        a_lock_retries_and_leads_when_the_store_is_repaired as recovers,
        a_lock_that_loses_replies_leads_once as leads_once,
    },
    proxy::Wire,
    support::{DYNOXIDE, LOCAL, Server, TABLE, TestTable, config, unique},
};

#[actix::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn a_lock_leads_when_its_missing_table_is_created() {
    for server in [DYNOXIDE, LOCAL] {
        let test_table = TestTable::new(server).await;
        let table = format!("late_{}", unique());
        let store = DynamoStore::new(server.client(), table.clone());
        let made = store.clone();
        let repair = async { made.create_table_if_missing().await.unwrap() };
        let kind = StoreErrorKind::Misconfigured;
        recovers(
            Arc::new(store),
            &test_table.name,
            kind,
            repair.boxed_local(),
        )
        .await;
        let delete = server.client().delete_table().table_name(table).send();
        delete.await.unwrap();
    }
}

#[actix::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn a_lock_leads_when_its_damaged_item_is_repaired() {
    for server in [DYNOXIDE, LOCAL] {
        let test_table = TestTable::new(server).await;
        test_table.acquire("a", 1).await;
        test_table.release("a", 1).await;
        let token = |text: &str| AttributeValue::S(text.to_owned());
        test_table.set("token", token("one")).await;
        let store = test_table.other(server).store;
        let repair = test_table.set("token", AttributeValue::N(test_table.stored(1).to_string()));
        let kind = StoreErrorKind::Corrupt;
        recovers(
            Arc::new(store),
            &test_table.name,
            kind,
            repair.boxed_local(),
        )
        .await;
        assert_eq!(test_table.read().await.token.get(), 2);
    }
}

#[actix::test]
#[ignore = "needs dynoxide: scripts/servers up, then scripts/servers env"]
async fn a_lock_leads_when_its_server_can_be_reached() {
    let test_table = TestTable::new(DYNOXIDE).await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    let client = Client::from_conf(config(format!("http://{address}")).build());
    let store = DynamoStore::new(client, TABLE);
    let repair = async {
        Wire::default().lay_at(address, DYNOXIDE).await;
    };
    let kind = StoreErrorKind::Unavailable;
    recovers(
        Arc::new(store),
        &test_table.name,
        kind,
        repair.boxed_local(),
    )
    .await;
}

/// The bid, the renewals and the release each lose their answer, once and then twice.
#[actix::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn a_lock_that_loses_answers_leads_once_without_interruption() {
    for (server, cuts) in [(DYNOXIDE, 1), (DYNOXIDE, 2), (LOCAL, 1), (LOCAL, 2)] {
        let wire = Wire::default();
        let test_table = TestTable::at(server, wire.lay(server).await).await;
        let lose = || wire.cut.store(cuts, SeqCst);
        let lost = || wire.cut.load(SeqCst) == 0;
        leads_once(
            Arc::new(test_table.store.clone()),
            &test_table.name,
            lose,
            lost,
        )
        .await;
        let record = test_table.read().await;
        // One acquisition, whose token grew no more.
        let tokens: Vec<_> = record.history.iter().map(|entry| entry.token).collect();
        assert_eq!((tokens, record.holder), (vec![record.token], None));
    }
}

#[derive(Debug)]
struct Late(Arc<AtomicBool>);

impl ProvideCredentials for Late {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(if self.0.load(SeqCst) {
            Ok(Credentials::new("key", "secret", None, None, "test"))
        } else {
            Err(CredentialsError::provider_error("the role does not exist"))
        })
    }
}

#[actix::test]
#[ignore = "needs dynoxide: scripts/servers up, then scripts/servers env"]
async fn a_lock_leads_when_its_credentials_are_available() {
    let test_table = TestTable::new(DYNOXIDE).await;
    let there = Arc::new(AtomicBool::new(false));
    let config = config(Server::url(DYNOXIDE)).credentials_provider(Late(Arc::clone(&there)));
    let store = DynamoStore::new(Client::from_conf(config.build()), TABLE);
    let store = store.call_limit(Duration::from_secs(5));
    let repair = async { there.store(true, SeqCst) };
    recovers(
        Arc::new(store),
        &test_table.name,
        StoreErrorKind::Denied,
        repair.boxed_local(),
    )
    .await;
}
