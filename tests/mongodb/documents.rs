//! Documents that others have touched.

use mongodb::{
    Collection,
    bson::{Bson, DateTime, Document, doc},
    options::{Collation, IndexOptions},
};
use tenure::{
    Claim, Eviction, FencingToken, LeaseStore as _, MongoStore, StoreError, StoreErrorKind,
};

use crate::support::{LIMIT, Place, TTL, granted, unique};

/// Every operation on the record fails so, and the document stays as it is.
async fn assert_untouched(place: &Place, kind: StoreErrorKind, why: &str) {
    let (before, store) = (place.document().await, &place.store);
    let kind_of = |error: StoreError| {
        assert!(
            error.to_string().contains(place.name.as_str()),
            "{why}: {error}"
        );
        error.kind()
    };
    for attempt in [1, 2] {
        let acquired = store.acquire(&place.bid("a", attempt), LIMIT).await;
        assert_eq!(acquired.map_err(kind_of), Err(kind), "{why}: acquire");
    }
    let renewed = store.renew(&place.lease("a", 1), TTL, LIMIT).await;
    assert_eq!(renewed.map_err(kind_of), Err(kind), "{why}: renew");
    for claim in [place.claim("a", 1), place.attempt(1), place.owner("a")] {
        let released = store.release(&claim, LIMIT).await;
        assert_eq!(released.map_err(kind_of), Err(kind), "{why}: release");
    }
    for eviction in [Eviction::Close, Eviction::Force] {
        let evicted = store
            .evict(&place.name, FencingToken::new(1), eviction, LIMIT)
            .await;
        assert_eq!(evicted.map_err(kind_of), Err(kind), "{why}: evict");
    }
    assert_eq!(place.document().await, before, "{why}");
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
    // Further back than anybody reads.
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
    ];
    for (field, value) in damages {
        let place = Place::new().await;
        place.acquire("a", 1).await;
        let mut why = format!("{field} = {value}");
        why.truncate(60);
        place.set(doc! { field: value }).await;
        assert_untouched(&place, StoreErrorKind::Corrupt, &why).await;
    }
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_document_of_something_else_is_corrupt_and_not_overwritten() {
    let place = Place::new().await;
    let foreign = doc! { "_id": place.name.as_str(), "job": "nightly" };
    place.collection.insert_one(foreign).await.unwrap();
    assert_untouched(&place, StoreErrorKind::Corrupt, "foreign").await;
    let read = place.store.read(&place.name, LIMIT).await;
    assert_eq!(read.unwrap_err().kind(), StoreErrorKind::Corrupt);
    assert!(
        place
            .store
            .list(&place.scope(), LIMIT)
            .await
            .unwrap()
            .is_empty()
    );
    // A mere name is no record yet.
    let place = Place::new().await;
    place
        .collection
        .insert_one(doc! { "_id": place.name.as_str() })
        .await
        .unwrap();
    assert_eq!(place.store.read(&place.name, LIMIT).await.unwrap(), None);
    assert_eq!(place.acquire("a", 1).await, granted(1));
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn what_only_a_newer_library_understands_is_left_alone() {
    for advance in [false, true] {
        let place = Place::new().await;
        place.acquire("a", 1).await;
        if advance {
            place.advance(TTL * 2).await;
        }
        place.set(doc! { "min_reader": 2 }).await;
        // What can be read is read; nothing is written.
        assert_eq!(place.read().await.token, FencingToken::new(1));
        assert_untouched(&place, StoreErrorKind::Unsupported, "min_reader").await;
        place.set(doc! { "token": "of another kind" }).await;
        assert_untouched(&place, StoreErrorKind::Unsupported, "min_reader and shape").await;
        let error = place.store.list(&place.scope(), LIMIT).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unsupported, "{error}");
    }
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn unknown_fields_are_kept() {
    let place = Place::new().await;
    place.acquire("a", 1).await;
    let extra = doc! { "colour": "green", "nested": { "$odd": [1, 2, null] } };
    place
        .collection
        .update_one(
            doc! { "_id": place.name.as_str() },
            vec![doc! { "$set": { "extra": { "$literal": extra.clone() } } }],
        )
        .await
        .unwrap();
    place.acquire("a", 1).await;
    place
        .store
        .renew(&place.lease("a", 1), TTL, LIMIT)
        .await
        .unwrap();
    let token = FencingToken::new(1);
    place
        .store
        .evict(&place.name, token, Eviction::Close, LIMIT)
        .await
        .unwrap();
    place
        .store
        .release(&place.claim("a", 1), LIMIT)
        .await
        .unwrap();
    assert_eq!(place.acquire("b", 2).await, granted(2));
    assert_eq!(
        place.document().await.get_document("extra").unwrap(),
        &extra
    );
}

async fn collection(place: &Place) -> Collection<Document> {
    let name = format!("odd_{}", unique());
    place
        .collection
        .client()
        .database("tenure_test")
        .collection(&name)
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_collation_of_the_collection_makes_no_two_names_one() {
    let mut place = Place::new().await;
    place.collection = collection(&place).await;
    let database = place.collection.client().database("tenure_test");
    let blind = Collation::builder()
        .locale("en")
        .strength(mongodb::options::CollationStrength::Primary)
        .build();
    database
        .create_collection(place.collection.name())
        .collation(blind)
        .await
        .unwrap();
    place.store = MongoStore::new(place.collection.clone());
    place.store.ensure().await.unwrap();
    place.name = "a/Name".try_into().unwrap();
    assert_eq!(place.acquire("a", 1).await, granted(1));
    assert_eq!(place.acquire("a", 1).await, granted(1));
    tenure::ResourceName::new("a/name")
        .map(|name| place.name = name)
        .unwrap();
    assert_eq!(place.store.read(&place.name, LIMIT).await.unwrap(), None);
    let error = place
        .store
        .acquire(&place.bid("b", 2), LIMIT)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("collation"), "{error}");
    assert_eq!(
        place
            .store
            .renew(&place.lease("A", 1), TTL, LIMIT)
            .await
            .unwrap(),
        tenure::RenewOutcome::Lost(None)
    );
    place.name = "a/Name".try_into().unwrap();
    let foreign = place
        .store
        .release(&Claim::Lease(place.lease("A", 1)), LIMIT)
        .await
        .unwrap();
    assert_ne!(foreign, tenure::ReleaseOutcome::Released);
    place.collection.drop().await.unwrap();
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_collection_that_takes_no_records_is_misconfigured() {
    let mut place = Place::new().await;
    let database = place.collection.client().database("tenure_test");
    // A validator, a unique index, a view.
    place.collection = collection(&place).await;
    let never = doc! { "colour": { "$exists": true } };
    database
        .create_collection(place.collection.name())
        .validator(never)
        .await
        .unwrap();
    place.store = MongoStore::new(place.collection.clone());
    let error = place
        .store
        .acquire(&place.bid("a", 1), LIMIT)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error}");
    place.collection.drop().await.unwrap();

    place.collection = collection(&place).await;
    let unique = IndexOptions::builder().unique(true).build();
    let index = mongodb::IndexModel::builder()
        .keys(doc! { "holder": 1 })
        .options(unique)
        .build();
    place.collection.create_index(index).await.unwrap();
    place.store = MongoStore::new(place.collection.clone());
    assert_eq!(place.acquire("a", 1).await, granted(1));
    place.name = "another".try_into().unwrap();
    let error = place
        .store
        .acquire(&place.bid("a", 1), LIMIT)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error}");
    place.collection.drop().await.unwrap();

    place.collection = collection(&place).await;
    database
        .create_collection(place.collection.name())
        .view_on("leases".to_owned())
        .await
        .unwrap();
    place.store = MongoStore::new(place.collection.clone());
    let error = place
        .store
        .acquire(&place.bid("a", 1), LIMIT)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error}");
    let error = place.store.ensure().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error}");
    place.collection.drop().await.unwrap();
}
