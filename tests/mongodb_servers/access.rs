//! What each role allows, and the errors of requests that it does not allow.

use std::{error::Error, sync::Arc, time::Duration};

use futures::FutureExt as _;
use tenure::{
    LeaseStore as _, MongoStore, StoreError,
    store::{EvictionMode, Operation, ReleaseOutcome, RenewOutcome, StoreErrorKind},
};

use crate::{
    recovery::a_lock_retries_and_leads_when_the_store_is_repaired as recovers,
    support::{LIMIT, TTL, TestCollection, granted},
    users::Guarded,
};

/// The privileges that the documentation of `MongoStore` lists.
const LEAST: [&str; 3] = ["find", "insert", "update"];

/// The text of an error and of all its causes, as programs print them.
fn whole(error: &StoreError) -> String {
    let mut text = format!("{error} | {error:?}");
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text = format!("{text} | {deeper} | {deeper:?}");
        cause = deeper.source();
    }
    text
}

#[track_caller]
fn assert_denied<T: std::fmt::Debug>(answer: Result<T, StoreError>, operation: Operation) {
    let error = answer.unwrap_err();
    let told = (error.kind(), error.store(), error.operation());
    assert_eq!(
        told,
        (StoreErrorKind::Denied, "mongodb", operation),
        "{error}"
    );
    assert!(error.to_string().contains(": grant it "), "{error}");
}

#[tokio::test]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn wrong_credentials_are_denied_and_not_shown() {
    let server = Guarded::start().await;
    server.make_user("app", "hunter1-right", "root").await;
    for (user, password) in [("app", "hunter2-secret"), ("nobody-here", "hunter1-right")] {
        let test_collection = TestCollection::of(server.options(user, password));
        for _ in 0..3 {
            let error = test_collection
                .store
                .acquire(&test_collection.bid("a", 1), LIMIT)
                .await
                .unwrap_err();
            let text = format!("{} | {:?}", whole(&error), test_collection.store);
            assert_eq!(error.kind(), StoreErrorKind::Denied, "{text}");
            assert!(error.to_string().contains("check the user, "), "{text}");
            assert!(
                !text.contains("hunter") && !text.contains("nobody"),
                "{text}"
            );
        }
    }
}

#[tokio::test]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn a_client_without_credentials_gets_an_error_that_says_so() {
    let server = Guarded::start().await;
    let test_collection = TestCollection::of(server.stranger());
    let error = test_collection
        .store
        .acquire(&test_collection.bid("a", 1), LIMIT)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("give it a user"), "{error}");
}

#[tokio::test]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn a_user_who_may_only_read_is_denied_every_write() {
    let server = Guarded::start().await;
    server.make_user("writer", "pass", "root").await;
    server.make_user("reader", "pass", "read").await;
    let writer = TestCollection::of(server.options("writer", "pass"));
    let mut test_collection = TestCollection::of(server.options("reader", "pass"));
    test_collection.name.clone_from(&writer.name);
    assert_eq!(writer.acquire("a", 1).await, granted(1));
    let store = &test_collection.store;
    assert_denied(
        store.acquire(&test_collection.bid("b", 2), LIMIT).await,
        Operation::Acquire,
    );
    assert_denied(
        store
            .renew(&test_collection.lease("a", 1), TTL, LIMIT)
            .await,
        Operation::Renew,
    );
    assert_denied(
        store
            .release(&test_collection.claim("a", 1), None, LIMIT)
            .await,
        Operation::Release,
    );
    let force = store.evict(
        &test_collection.name,
        test_collection.token(1),
        EvictionMode::Force,
        LIMIT,
    );
    assert_denied(force.await, Operation::Evict);
    assert_denied(store.prepare().await, Operation::Prepare);
    assert_eq!(test_collection.read().await.holder.unwrap().as_str(), "a");
    assert_eq!(
        store
            .list(&test_collection.scope(), LIMIT)
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn the_documented_privileges_are_enough_for_every_operation_and_each_is_needed() {
    let server = Guarded::start().await;
    server.make_role("leases", &LEAST).await;
    server.make_user("app", "pass", "leases").await;
    let test_collection = TestCollection::of(server.options("app", "pass"));
    let store = &test_collection.store;
    // There is no collection yet: the first bid creates it, without the privilege `createCollection`.
    assert_eq!(
        store.read(&test_collection.name, LIMIT).await.unwrap(),
        None
    );
    assert_eq!(test_collection.acquire("a", 1).await, granted(1));
    let renewed = store
        .renew(&test_collection.lease("a", 1), TTL, LIMIT)
        .await;
    assert_eq!(renewed.unwrap(), RenewOutcome::RENEWED);
    let closed = store
        .evict(
            &test_collection.name,
            test_collection.token(1),
            EvictionMode::Close,
            LIMIT,
        )
        .await;
    assert_eq!(closed.unwrap(), ReleaseOutcome::Released);
    let released = store
        .release(&test_collection.claim("a", 1), None, LIMIT)
        .await;
    assert_eq!(released.unwrap(), ReleaseOutcome::Released);
    assert_eq!(
        store
            .list(&test_collection.scope(), LIMIT)
            .await
            .unwrap()
            .len(),
        1
    );

    for (lacking, attempt) in LEAST.into_iter().zip(2..) {
        let rest = LEAST.into_iter().filter(|action| *action != lacking);
        server
            .change_role("leases", &rest.collect::<Vec<_>>())
            .await;
        assert_denied(
            store
                .acquire(&test_collection.bid("b", attempt), LIMIT)
                .await,
            Operation::Acquire,
        );
    }
}

#[tokio::test]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn the_documented_privileges_for_prepare_are_enough_and_each_is_needed() {
    let server = Guarded::start().await;
    server.make_role("setup", &LEAST).await;
    server.make_user("app", "pass", "setup").await;
    let test_collection = TestCollection::of(server.options("app", "pass"));
    assert_denied(test_collection.store.prepare().await, Operation::Prepare);
    // Creating the index creates the collection, too.
    server.change_role("setup", &["createIndex"]).await;
    test_collection.store.prepare().await.unwrap();
    test_collection.store.prepare().await.unwrap();
}

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
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn a_lock_with_wrong_credentials_leads_when_the_user_is_created() {
    let server = Guarded::start().await;
    let test_collection = TestCollection::of(server.options("late", "hunter2"));
    let repair = server.make_user("late", "hunter2", "root");
    let kind = StoreErrorKind::Denied;
    recovers(
        brisk(&test_collection),
        &test_collection.name,
        kind,
        repair.boxed_local(),
    )
    .await;
}

#[actix::test]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn a_lock_without_a_privilege_leads_when_its_role_gets_it() {
    let server = Guarded::start().await;
    server.make_role("leases", &["find"]).await;
    server.make_user("app", "pass", "leases").await;
    let test_collection = TestCollection::of(server.options("app", "pass"));
    let repair = server.change_role("leases", &LEAST);
    let kind = StoreErrorKind::Denied;
    recovers(
        brisk(&test_collection),
        &test_collection.name,
        kind,
        repair.boxed_local(),
    )
    .await;
}
