//! Documents that were changed by hand or by other programs.

use std::time::Duration;

use mongodb::{
    Collection,
    bson::{Bson, DateTime, Document, doc, spec::BinarySubtype},
    options::{Collation, IndexOptions},
};
use tenure::{
    LeaseStore as _, MongoStore, StoreError,
    store::{EvictionMode, ReleaseTarget, RenewOutcome, StoreErrorKind},
};

use crate::support::{LIMIT, TTL, TestCollection, granted, unique};

/// Every operation on the record fails with this kind of error, and the document does not change.
async fn assert_untouched(test_collection: &TestCollection, kind: StoreErrorKind, why: &str) {
    let (before, store) = (test_collection.document().await, &test_collection.store);
    let kind_of = |error: StoreError| {
        assert!(
            error.to_string().contains(test_collection.name.as_str()),
            "{why}: {error}"
        );
        error.kind()
    };
    for attempt in [1, 2] {
        let acquired = store
            .acquire(&test_collection.bid("a", attempt), LIMIT)
            .await;
        assert_eq!(acquired.map_err(kind_of), Err(kind), "{why}: acquire");
    }
    let renewed = store
        .renew(&test_collection.lease("a", 1), TTL, LIMIT)
        .await;
    assert_eq!(renewed.map_err(kind_of), Err(kind), "{why}: renew");
    // A release does not read the expiry, and clears `closing`.
    let is_released = ["expires_at", "closing", "holder"]
        .iter()
        .any(|it| why.starts_with(it));
    let others = [test_collection.attempt(1), test_collection.owner("a")];
    // They do not read the token.
    let others = others.into_iter().filter(|_| !why.starts_with("token"));
    for claim in others.chain([test_collection.claim("a", 1)]) {
        if !is_released {
            let released = store.release(&claim, None, LIMIT).await;
            assert_eq!(released.map_err(kind_of), Err(kind), "{why}: release");
        }
    }
    for eviction in [EvictionMode::Close, EvictionMode::Force] {
        if is_released {
            continue;
        }
        let evicted = store
            .evict(
                &test_collection.name,
                test_collection.token(1),
                eviction,
                LIMIT,
            )
            .await;
        assert_eq!(evicted.map_err(kind_of), Err(kind), "{why}: evict");
    }
    assert_eq!(test_collection.document().await, before, "{why}");
}

/// What is wrong with a record, and which requests write it all the same, since they do not read that part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    /// None.
    Never,
    /// All but bids for it.
    ByTheHolder,
    /// All but bids for it while it is held. A bid for a free lease replaces the damaged value.
    ByTheHolderAndReplaced,
    /// All. No bid is granted.
    ByAll,
}

fn damages() -> Vec<(&'static str, Bson, Written)> {
    use Written::{ByAll, ByTheHolder, ByTheHolderAndReplaced, Never};
    let entry = doc! { "token": 1_i64, "holder": "a", "since": DateTime::now() };
    let with = |field: &str, value: Bson| {
        let mut entry = entry.clone();
        entry.insert(field, value);
        entry
    };
    let binary = |bytes: usize, subtype| {
        let bytes = vec![1; bytes];
        Bson::Binary(mongodb::bson::Binary { subtype, bytes })
    };
    let (generic, uuid) = (BinarySubtype::Generic, BinarySubtype::Uuid);
    vec![
        ("token", (-1_i64).into(), Never),
        ("token", 1.5.into(), Never),
        ("token", "1".into(), Never),
        ("token", i64::MAX.into(), Never),
        ("version", Bson::Null, Never),
        ("version", "1".into(), Never),
        ("version", i64::MAX.into(), Never),
        ("holder", 7.into(), Never),
        ("expires_at", 12_i64.into(), Never),
        ("expires_at", "tomorrow".into(), Never),
        ("expires_at", Bson::Null, Never),
        ("closing", Bson::Null, Never),
        ("closing", 1.into(), Never),
        ("min_reader", "1".into(), Never),
        ("min_reader", Bson::Null, Never),
        ("min_reader", (-1_i64).into(), ByTheHolder),
        ("history", Bson::Null, ByTheHolder),
        ("history", "none".into(), ByTheHolder),
        ("pause", 7.into(), ByTheHolder),
        ("pause", doc! { "note": 7 }.into(), ByTheHolder),
        ("hand_over", 7.into(), ByTheHolder),
        ("hand_over", "a\n".into(), ByTheHolder),
        ("scope", "other/".into(), ByTheHolderAndReplaced),
        ("attempt", "1".into(), ByTheHolderAndReplaced),
        ("attempt", binary(15, generic), ByTheHolderAndReplaced),
        ("attempt", binary(16, uuid), ByTheHolderAndReplaced),
        ("since", 12_i64.into(), ByTheHolderAndReplaced),
        ("internal", Bson::Null, ByTheHolderAndReplaced),
        ("touched", 12_i64.into(), ByTheHolderAndReplaced),
        ("metadata", 1.into(), ByTheHolderAndReplaced),
        ("metadata", "m".repeat(4097).into(), ByTheHolderAndReplaced),
        ("edition", "1".into(), ByAll),
        ("edition", (-1_i64).into(), ByAll),
        ("history", vec![1].into(), ByAll),
        ("history", vec![with("token", "1".into())].into(), ByAll),
        ("history", vec![with("holder", "a\n".into())].into(), ByAll),
        ("history", vec![with("since", Bson::Null)].into(), ByAll),
        ("last", with("holder", "".into()).into(), ByAll),
        ("last", with("ended_reason", 1.into()).into(), ByAll),
    ]
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_damaged_record_is_never_granted_and_what_is_read_of_it_is_not_overwritten() {
    for (field, value, written) in damages() {
        let test_collection = TestCollection::new().await;
        test_collection.acquire("a", 1).await;
        let mut why = format!("{field} = {value}");
        why.truncate(60);
        test_collection.set(doc! { field: value.clone() }).await;
        let store = &test_collection.store;
        let corrupt = StoreErrorKind::Corrupt;
        let before = test_collection.document().await;
        // Its own attempt, which extends the lease, and others.
        for (candidate, attempt) in [("a", 1), ("a", 2), ("b", 3)] {
            let bid = test_collection.bid(candidate, attempt);
            let error = store.acquire(&bid, LIMIT).await.unwrap_err();
            assert_eq!(error.kind(), corrupt, "{why}: {error}");
            assert!(error.to_string().contains(bid.resource.as_str()), "{error}");
        }
        if written == Written::Never {
            assert_untouched(&test_collection, corrupt, &why).await;
        }
        let after = test_collection.document().await;
        assert_eq!(
            after.get(field),
            Some(&value),
            "{why}: it is not overwritten"
        );
        // The attempt that holds the lease is not asked for a hand-over.
        if matches!(written, Written::Never | Written::ByTheHolder) && field != "hand_over" {
            assert_eq!(after.get("expires_at"), before.get("expires_at"), "{why}");
        }
        let renewed = store
            .renew(&test_collection.lease("a", 1), TTL, LIMIT)
            .await;
        match (written, field) {
            (Written::Never, _) | (_, "pause" | "hand_over") => {
                assert_eq!(
                    renewed.unwrap_err().kind(),
                    corrupt,
                    "{why}: its answer has it"
                );
            }
            _ => assert_eq!(renewed.unwrap(), RenewOutcome::RENEWED, "{why}"),
        }
        assert_eq!(
            store
                .purge(&test_collection.scope(), Duration::ZERO, LIMIT)
                .await
                .unwrap(),
            0
        );
        let found = test_collection.document().await;
        assert_eq!(
            found.get(field),
            Some(&value),
            "{why}: it is not overwritten"
        );
        if written == Written::Never {
            continue;
        }
        test_collection.advance(TTL * 2).await;
        let next = store.acquire(&test_collection.bid("b", 4), LIMIT).await;
        if written == Written::ByTheHolderAndReplaced {
            test_collection.counted(next.unwrap());
            assert_eq!(test_collection.read().await.holder.unwrap().as_str(), "b");
        } else {
            assert_eq!(next.unwrap_err().kind(), corrupt, "{why}");
        }
    }
}

/// A number that is too large to grow, a name that is not one: found when the holder reads the record.
#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_holder_that_is_not_a_name_is_corrupt_for_every_bid() {
    for holder in ["", "a\n", &"x".repeat(256)] {
        let test_collection = TestCollection::new().await;
        test_collection.acquire("a", 1).await;
        test_collection.set(doc! { "holder": holder }).await;
        assert_untouched(&test_collection, StoreErrorKind::Corrupt, "holder").await;
    }
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_document_that_is_not_a_record_is_corrupt_and_not_overwritten() {
    let test_collection = TestCollection::new().await;
    let foreign = doc! { "_id": test_collection.name.as_str(), "job": "nightly" };
    test_collection
        .collection
        .insert_one(foreign)
        .await
        .unwrap();
    assert_untouched(&test_collection, StoreErrorKind::Corrupt, "foreign").await;
    let read = test_collection
        .store
        .read(&test_collection.name, LIMIT)
        .await;
    assert_eq!(read.unwrap_err().kind(), StoreErrorKind::Corrupt);
    assert!(
        test_collection
            .store
            .list(&test_collection.scope(), LIMIT)
            .await
            .unwrap()
            .is_empty()
    );
    // A document with only a name is not a record yet.
    let test_collection = TestCollection::new().await;
    test_collection
        .collection
        .insert_one(doc! { "_id": test_collection.name.as_str() })
        .await
        .unwrap();
    assert_eq!(
        test_collection
            .store
            .read(&test_collection.name, LIMIT)
            .await
            .unwrap(),
        None
    );
    assert_eq!(test_collection.acquire("a", 1).await, granted(1));
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_record_of_a_newer_library_is_not_written() {
    for advance in [false, true] {
        let test_collection = TestCollection::new().await;
        test_collection.acquire("a", 1).await;
        if advance {
            test_collection.advance(TTL * 2).await;
        }
        test_collection.set(doc! { "min_reader": 2 }).await;
        // A record that this version can decode is read, but not written.
        assert_eq!(test_collection.read().await.token, test_collection.token(1));
        assert_untouched(&test_collection, StoreErrorKind::Unsupported, "min_reader").await;
        test_collection
            .set(doc! { "token": "of another kind" })
            .await;
        assert_untouched(
            &test_collection,
            StoreErrorKind::Unsupported,
            "min_reader and shape",
        )
        .await;
        let error = test_collection
            .store
            .list(&test_collection.scope(), LIMIT)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unsupported, "{error}");
    }
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn unknown_fields_are_kept() {
    let test_collection = TestCollection::new().await;
    test_collection.acquire("a", 1).await;
    let extra = doc! { "colour": "green", "nested": { "$odd": [1, 2, null] } };
    test_collection
        .collection
        .update_one(
            doc! { "_id": test_collection.name.as_str() },
            vec![doc! { "$set": { "extra": { "$literal": extra.clone() } } }],
        )
        .await
        .unwrap();
    test_collection.acquire("a", 1).await;
    test_collection
        .store
        .renew(&test_collection.lease("a", 1), TTL, LIMIT)
        .await
        .unwrap();
    let token = test_collection.token(1);
    test_collection
        .store
        .evict(&test_collection.name, token, EvictionMode::Close, LIMIT)
        .await
        .unwrap();
    test_collection
        .store
        .release(&test_collection.claim("a", 1), None, LIMIT)
        .await
        .unwrap();
    assert_eq!(test_collection.acquire("b", 2).await, granted(2));
    assert_eq!(
        test_collection
            .document()
            .await
            .get_document("extra")
            .unwrap(),
        &extra
    );
}

async fn collection(test_collection: &TestCollection) -> Collection<Document> {
    let name = format!("odd_{}", unique());
    test_collection
        .collection
        .client()
        .database("tenure_test")
        .collection(&name)
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn names_stay_distinct_in_a_collection_with_a_collation() {
    let mut test_collection = TestCollection::new().await;
    test_collection.collection = collection(&test_collection).await;
    let database = test_collection.collection.client().database("tenure_test");
    let blind = Collation::builder()
        .locale("en")
        .strength(mongodb::options::CollationStrength::Primary)
        .build();
    database
        .create_collection(test_collection.collection.name())
        .collation(blind)
        .await
        .unwrap();
    test_collection.store = MongoStore::new(test_collection.collection.clone());
    test_collection.store.prepare().await.unwrap();
    test_collection.name = "a/Name".try_into().unwrap();
    assert_eq!(test_collection.acquire("a", 1).await, granted(1));
    assert_eq!(test_collection.acquire("a", 1).await, granted(1));
    tenure::lease::ResourceName::new("a/name")
        .map(|name| test_collection.name = name)
        .unwrap();
    assert_eq!(
        test_collection
            .store
            .read(&test_collection.name, LIMIT)
            .await
            .unwrap(),
        None
    );
    let error = test_collection
        .store
        .acquire(&test_collection.bid("b", 2), LIMIT)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("collation"), "{error}");
    assert_eq!(
        test_collection
            .store
            .renew(&test_collection.lease("A", 1), TTL, LIMIT)
            .await
            .unwrap(),
        tenure::store::RenewOutcome::Lost(None)
    );
    test_collection.name = "a/Name".try_into().unwrap();
    let foreign = test_collection
        .store
        .release(
            &ReleaseTarget::Lease(test_collection.lease("A", 1)),
            None,
            LIMIT,
        )
        .await
        .unwrap();
    assert_ne!(foreign, tenure::store::ReleaseOutcome::Released);
    test_collection.collection.drop().await.unwrap();
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_collection_that_refuses_records_is_misconfigured() {
    let mut test_collection = TestCollection::new().await;
    let database = test_collection.collection.client().database("tenure_test");
    // A validator, a unique index and a view.
    test_collection.collection = collection(&test_collection).await;
    let never = doc! { "colour": { "$exists": true } };
    database
        .create_collection(test_collection.collection.name())
        .validator(never)
        .await
        .unwrap();
    test_collection.store = MongoStore::new(test_collection.collection.clone());
    let error = test_collection
        .store
        .acquire(&test_collection.bid("a", 1), LIMIT)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error}");
    test_collection.collection.drop().await.unwrap();

    test_collection.collection = collection(&test_collection).await;
    let unique = IndexOptions::builder().unique(true).build();
    let index = mongodb::IndexModel::builder()
        .keys(doc! { "holder": 1 })
        .options(unique)
        .build();
    test_collection
        .collection
        .create_index(index)
        .await
        .unwrap();
    test_collection.store = MongoStore::new(test_collection.collection.clone());
    assert_eq!(test_collection.acquire("a", 1).await, granted(1));
    test_collection.name = "another".try_into().unwrap();
    let error = test_collection
        .store
        .acquire(&test_collection.bid("a", 1), LIMIT)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error}");
    test_collection.collection.drop().await.unwrap();

    test_collection.collection = collection(&test_collection).await;
    database
        .create_collection(test_collection.collection.name())
        .view_on("leases".to_owned())
        .await
        .unwrap();
    test_collection.store = MongoStore::new(test_collection.collection.clone());
    let error = test_collection
        .store
        .acquire(&test_collection.bid("a", 1), LIMIT)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error}");
    let error = test_collection.store.prepare().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error}");
    test_collection.collection.drop().await.unwrap();
}
