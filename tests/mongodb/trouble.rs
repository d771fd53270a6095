//! Servers that cannot be reached, do not answer, or refuse the credentials.

use std::{
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};

use mongodb::options::{ClientOptions, Credential, ServerAddress};
use tenure::{LeaseStore as _, MongoStore, store::StoreErrorKind};

use crate::{
    proxy::Wire,
    support::{Commands, LIMIT, TTL, TestCollection, granted, options, primary},
};

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn an_answer_that_never_comes_is_unknown_within_the_limit() {
    let wire = Wire::default();
    let mut test_collection = TestCollection::of(wire.lay(primary().await).await);
    let limit = Duration::from_millis(300);
    test_collection.store = test_collection.store.call_limit(limit);
    test_collection
        .store
        .read(&test_collection.name, LIMIT)
        .await
        .unwrap();
    wire.hang.store(true, SeqCst);
    let sent = Instant::now();
    let error = test_collection
        .store
        .acquire(&test_collection.bid("a", 1), LIMIT)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unknown, "{error}");
    assert!(
        sent.elapsed() >= limit && sent.elapsed() < limit * 5,
        "{:?}",
        sent.elapsed()
    );
    wire.hang.store(false, SeqCst);
    assert_eq!(test_collection.acquire("a", 1).await, granted(1));
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn the_limit_holds_for_both_requests_of_an_operation_together() {
    let (wire, commands) = (Wire::default(), Commands::default());
    let mut options = wire.lay(primary().await).await;
    commands.listen(&mut options);
    let mut test_collection = TestCollection::of(options);
    test_collection.acquire("a", 1).await;
    commands.take();
    test_collection.store = test_collection.store.call_limit(Duration::from_secs(3));
    wire.late.store(2000, SeqCst);
    // The write is refused in time, but the read of the holder would not be answered in time.
    let renewed = test_collection
        .store
        .renew(&test_collection.lease("b", 1), TTL, LIMIT)
        .await;
    let error = renewed.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    let limits = commands.take();
    let limits = limits.iter().map(|sent| sent.get("maxTimeMS").unwrap());
    let limits: Vec<i64> = limits
        .map(|limit| limit.to_string().parse().unwrap())
        .collect();
    assert!(
        limits.len() == 2 && limits[0] <= 3000 && limits[1] <= 1000,
        "{limits:?}"
    );
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn wrong_credentials_are_denied_and_not_shown() {
    let mut options = options().await;
    let credential = Credential::builder()
        .username("nobody".to_owned())
        .password("hunter2-secret".to_owned())
        .build();
    options.credential = Some(credential);
    let mut test_collection = TestCollection::of(options);
    let error = test_collection
        .store
        .acquire(&test_collection.bid("a", 1), LIMIT)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Denied, "{error}");
    // Now the driver waits for its next heartbeat before it retries.
    test_collection.store = test_collection.store.call_limit(Duration::from_millis(500));
    let again = test_collection
        .store
        .acquire(&test_collection.bid("a", 1), LIMIT)
        .await
        .unwrap_err();
    assert_eq!(again.kind(), StoreErrorKind::Denied, "{again}");
    let read = test_collection
        .store
        .read(&test_collection.name, LIMIT)
        .await
        .unwrap_err();
    assert_eq!(read.kind(), StoreErrorKind::Denied, "{read}");
    for text in [
        format!("{error} {error:?}"),
        format!("{:?}", test_collection.store),
    ] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert_eq!(
        format!("{:?}", test_collection.store),
        "MongoStore(\"tenure_test.leases\")"
    );
}

/// Needs no server: no process listens at the address.
#[tokio::test]
async fn an_unreachable_server_is_an_error_within_the_limit() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for direct in [true, false] {
        let mut options = ClientOptions::default();
        options.hosts = vec![ServerAddress::parse(closed.to_string()).unwrap()];
        options.direct_connection = Some(direct);
        options.server_selection_timeout = direct.then_some(Duration::from_millis(100));
        let test_collection = TestCollection::of(options);
        let store: MongoStore = test_collection
            .store
            .clone()
            .call_limit(Duration::from_millis(500));
        let sent = Instant::now();
        let write = store
            .acquire(&test_collection.bid("a", 1), LIMIT)
            .await
            .unwrap_err();
        let read = store.read(&test_collection.name, LIMIT).await.unwrap_err();
        assert!(
            sent.elapsed() < Duration::from_secs(3),
            "{:?}",
            sent.elapsed()
        );
        // Only the driver knows whether it had sent a request that reached its limit.
        let kind = if direct {
            StoreErrorKind::Unavailable
        } else {
            StoreErrorKind::Unknown
        };
        assert_eq!(write.kind(), kind, "{write}");
        assert_eq!(read.kind(), StoreErrorKind::Unavailable, "{read}");
    }
}
