//! A lock whose store fails for each reason and then recovers. The tests that need users are in
//! `tests/mongodb_servers`.

use std::{
    net::TcpListener,
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use futures::FutureExt as _;
use mongodb::bson::doc;
use tenure::{LeaseStore as _, MongoStore, store::StoreErrorKind};

use crate::{
    common::a_lock_retries_and_leads_when_the_store_is_repaired as recovers,
    proxy::{Wire, options_of},
    support::{LIMIT, TestCollection, primary},
};

/// A store whose calls end before a lock with a ttl of 3 s stops waiting for them.
fn brisk(test_collection: &TestCollection) -> Arc<MongoStore> {
    Arc::new(
        test_collection
            .store
            .clone()
            .call_limit(Duration::from_millis(500)),
    )
}

#[actix::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_lock_leads_when_its_damaged_document_is_repaired() {
    let test_collection = TestCollection::new().await;
    test_collection.acquire("a", 1).await;
    test_collection
        .store
        .release(&test_collection.claim("a", 1), None, LIMIT)
        .await
        .unwrap();
    test_collection.set(doc! { "token": "one" }).await;
    let repair = test_collection.set(doc! { "token": 1_i64 });
    let kind = StoreErrorKind::Corrupt;
    recovers(
        brisk(&test_collection),
        &test_collection.name,
        kind,
        repair.boxed_local(),
    )
    .await;
    assert_eq!(test_collection.read().await.token.get(), 2);
}

/// The driver searches for a server for 30 s by default. So the call ends at the limit of the store, and only
/// the driver knows that nothing was sent. With a shorter search, the driver's error says so.
#[actix::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_lock_leads_when_its_server_can_be_reached() {
    let brief = Duration::from_millis(100);
    for (selection_timeout, kind) in [
        (None, StoreErrorKind::Unknown),
        (Some(brief), StoreErrorKind::Unavailable),
    ] {
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port.local_addr().unwrap();
        drop(port);
        let mut options = options_of(address);
        options.server_selection_timeout = selection_timeout;
        let test_collection = TestCollection::of(options);
        let repair = async {
            Wire::default().lay_at(address, primary().await).await;
        };
        let token = recovers(
            brisk(&test_collection),
            &test_collection.name,
            kind,
            repair.boxed_local(),
        )
        .await;
        assert_eq!(test_collection.read().await.token, token);
    }
}

#[actix::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_lock_leads_when_its_old_server_is_replaced_by_a_newer_one() {
    let wire = Wire::default();
    wire.old.store(true, SeqCst);
    let test_collection = TestCollection::of(wire.lay(primary().await).await);
    let repair = async { wire.old.store(false, SeqCst) };
    let kind = StoreErrorKind::Unsupported;
    let token = recovers(
        brisk(&test_collection),
        &test_collection.name,
        kind,
        repair.boxed_local(),
    )
    .await;
    assert_eq!(test_collection.read().await.token, token);
}
