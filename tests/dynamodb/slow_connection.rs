//! Connections that take longer to open than an operation may take.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns};
use tenure::{DynamoStore, LeaseStore as _};
use tokio::time::{sleep, timeout};

use crate::support::{DYNOXIDE, TABLE, TestTable, config};

const LIMIT: Duration = Duration::from_millis(300);

/// It stands for all that belongs to opening a connection: the name, the network, the handshakes.
#[derive(Clone, Debug)]
struct SlowNames;

impl ResolveDns for SlowNames {
    fn resolve_dns<'a>(&'a self, _: &'a str) -> DnsFuture<'a> {
        DnsFuture::new(async {
            sleep(LIMIT * 2).await;
            Ok(vec![[127, 0, 0, 1].into()])
        })
    }
}

/// A store that has no connection yet. `patience` is that of the caller.
async fn it_comes_to_answer(patience: Duration) {
    let mut test_table = TestTable::new(DYNOXIDE).await;
    let url = DYNOXIDE.url();
    let (_, port) = url.rsplit_once(':').unwrap();
    let names = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_with_resolver(SlowNames);
    let config = config(format!("http://dynamodb.test:{port}")).http_client(names);
    test_table.store = DynamoStore::new(Client::from_conf(config.build()), TABLE).call_limit(LIMIT);
    let since = Instant::now();
    let mut read = timeout(patience, test_table.store.read(&test_table.name, LIMIT)).await;
    assert!(!matches!(read, Ok(Ok(_))), "the connection was not slow");
    while !matches!(read, Ok(Ok(_))) {
        assert!(since.elapsed() < Duration::from_secs(10), "{read:?}");
        sleep(Duration::from_millis(100)).await;
        read = timeout(patience, test_table.store.read(&test_table.name, LIMIT)).await;
    }
}

#[tokio::test]
#[ignore = "needs dynoxide: scripts/servers up, then scripts/servers env"]
async fn a_connection_that_takes_longer_than_the_limit_serves_later_requests() {
    it_comes_to_answer(Duration::MAX).await;
}

#[tokio::test]
#[ignore = "needs dynoxide: scripts/servers up, then scripts/servers env"]
async fn a_slow_connection_serves_later_requests_although_its_callers_dropped_theirs() {
    it_comes_to_answer(LIMIT / 2).await;
}
