//! Connections that take longer to open than an operation may take.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns};
use tenure::{DynamoStore, LeaseStore as _};
use tokio::time::{sleep, timeout};

use crate::support::{DYNOXIDE, TABLE, TestTable, config};

const LIMIT: Duration = Duration::from_millis(300);

/// Delays the DNS lookup. A slow network or a slow TLS handshake has the same effect.
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

/// Asserts that a store without a connection answers in the end, although each caller waits only this long.
async fn answers_in_the_end(caller_limit: Duration) {
    let mut test_table = TestTable::new(DYNOXIDE).await;
    let url = DYNOXIDE.url();
    let (_, port) = url.rsplit_once(':').unwrap();
    let names = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_with_resolver(SlowNames);
    let config = config(format!("http://dynamodb.test:{port}")).http_client(names);
    test_table.store = DynamoStore::new(Client::from_conf(config.build()), TABLE).call_limit(LIMIT);
    let since = Instant::now();
    let mut read = timeout(caller_limit, test_table.store.read(&test_table.name, LIMIT)).await;
    assert!(!matches!(read, Ok(Ok(_))), "the connection was not slow");
    while !matches!(read, Ok(Ok(_))) {
        assert!(since.elapsed() < Duration::from_secs(10), "{read:?}");
        sleep(Duration::from_millis(100)).await;
        read = timeout(caller_limit, test_table.store.read(&test_table.name, LIMIT)).await;
    }
}

#[tokio::test]
#[ignore = "needs dynoxide: scripts/servers up, then scripts/servers env"]
async fn a_connection_that_takes_longer_than_the_limit_serves_later_requests() {
    answers_in_the_end(Duration::MAX).await;
}

#[tokio::test]
#[ignore = "needs dynoxide: scripts/servers up, then scripts/servers env"]
async fn a_slow_connection_serves_later_requests_although_its_callers_dropped_theirs() {
    answers_in_the_end(LIMIT / 2).await;
}
