//! Documents that were changed by hand or by other programs.

use mongodb::{
    Collection,
    bson::{Bson, DateTime, Document, doc},
    options::{Collation, IndexOptions},
};
use tenure::{
    FencingToken, LeaseStore as _, MongoStore, StoreError,
    store::{EvictionMode, ReleaseTarget, StoreErrorKind},
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
    for claim in [
        test_collection.claim("a", 1),
        test_collection.attempt(1),
        test_collection.owner("a"),
    ] {
        let released = store.release(&claim, None, LIMIT).await;
        assert_eq!(released.map_err(kind_of), Err(kind), "{why}: release");
    }
    for eviction in [EvictionMode::Close, EvictionMode::Force] {
        let evicted = store
            .evict(&test_collection.name, FencingToken::new(1), eviction, LIMIT)
            .await;
        assert_eq!(evicted.map_err(kind_of), Err(kind), "{why}: evict");
    }
    assert_eq!(test_collection.document().await, before, "{why}");
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_damaged_record_is_corrupt_and_not_overwritten() {
    let entry = doc! { "token": 1_i64, "holder": "a", "since": DateTime::now() };
    let with = |field: &str, value: Bson| {
        let mut entry = entry.clone();
        entry.insert(field, value);
        Bson::from(vec![entry])
    };
    // Older than the entries that are read.
    let mut damaged_long_ago = vec![entry.clone(); 12];
    damaged_long_ago[0].insert("holder", "a\n");
    let damages: Vec<(&str, Bson)> = vec![
        ("scope", "other/".into()),
        ("token", (-1_i64).into()),
        ("token", 1.5.into()),
        ("token", "1".into()),
        ("token", i64::MAX.into()),
        ("version", Bson::Null),
        ("version", i64::MAX.into()),
        ("holder", 7.into()),
        ("holder", "".into()),
        ("holder", "a\n".into()),
        ("holder", "x".repeat(256).into()),
        ("attempt", "1".into()),
        (
            "attempt",
            Bson::Binary(mongodb::bson::Binary {
                subtype: mongodb::bson::spec::BinarySubtype::Generic,
                bytes: vec![1; 15],
            }),
        ),
        (
            "attempt",
            Bson::Binary(mongodb::bson::Binary {
                subtype: mongodb::bson::spec::BinarySubtype::Uuid,
                bytes: 1_u128.to_be_bytes().to_vec(),
            }),
        ),
        ("ttl", (-1_i64).into()),
        ("ttl", "long".into()),
        ("ttl", i64::MAX.into()),
        ("expires_at", 12_i64.into()),
        ("expires_at", "tomorrow".into()),
        ("expires_at", Bson::Null),
        ("since", 12_i64.into()),
        ("closing", Bson::Null),
        ("closing", 1.into()),
        ("metadata", 1.into()),
        ("metadata", "m".repeat(4097).into()),
        ("history", Bson::Null),
        ("history", vec![1].into()),
        ("history", with("token", "1".into())),
        ("history", with("holder", "".into())),
        ("history", with("holder", "a\n".into())),
        ("history", with("since", Bson::Null)),
        ("history", with("token", i64::MAX.into())),
        ("history", vec![doc! {}].into()),
        ("history", damaged_long_ago.into()),
        ("min_reader", "1".into()),
        ("min_reader", Bson::Null),
        ("min_reader", (-1_i64).into()),
    ];
    for (field, value) in damages {
        let test_collection = TestCollection::new().await;
        test_collection.acquire("a", 1).await;
        let mut why = format!("{field} = {value}");
        why.truncate(60);
        test_collection.set(doc! { field: value }).await;
        assert_untouched(&test_collection, StoreErrorKind::Corrupt, &why).await;
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
        assert_eq!(test_collection.read().await.token, FencingToken::new(1));
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
    let token = FencingToken::new(1);
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
