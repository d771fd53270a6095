//! What a record holds, and what `read` and `list` return.

use std::time::Duration;

use tenure::{
    LeaseStore as _,
    lease::{CandidateId, LeaseRecord, Metadata, ResourceName, Scope},
    store::{ReleaseOutcome, RenewOutcome},
};

use crate::support::{LIMIT, TTL, TestCollection, granted, refused, unique};

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_record_is_kept_after_a_release_and_its_token_keeps_growing() {
    let test_collection = TestCollection::new().await;
    assert_eq!(
        test_collection
            .store
            .read(&test_collection.name, LIMIT)
            .await
            .unwrap(),
        None
    );
    assert_eq!(test_collection.acquire("a", 1).await, granted(1));
    let released = test_collection
        .store
        .release(&test_collection.claim("a", 1), None, LIMIT)
        .await
        .unwrap();
    assert_eq!(released, ReleaseOutcome::Released);
    let record = test_collection.read().await;
    assert_eq!(
        (record.token, record.holder.as_ref()),
        (test_collection.token(1), None)
    );
    assert_eq!(
        (record.remaining, record.is_held()),
        (Duration::ZERO, false)
    );
    assert_eq!(test_collection.acquire("b", 2).await, granted(2));
    assert_eq!(test_collection.read().await.history.len(), 2);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn the_history_has_a_limited_length() {
    let test_collection = TestCollection::new().await;
    for n in 0..20 {
        assert_eq!(test_collection.acquire("a", n).await, granted(n as u64 + 1));
        test_collection.advance(TTL).await;
    }
    let record = test_collection.read().await;
    assert_eq!(record.history.len(), LeaseRecord::HISTORY);
    assert_eq!(record.history[0].token, test_collection.token(13));
    assert_eq!(
        record.history.last().unwrap().token,
        test_collection.token(20)
    );
    assert_eq!(record.history.last().unwrap().since, record.since);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn names_are_never_read_as_expressions() {
    let mut test_collection = TestCollection::new().await;
    for odd in [
        "$holder",
        "$$NOW",
        "$$ROOT",
        "a.b",
        "{\"$ne\": 1}",
        "ä/🔑:*?%'\"\\",
        "$",
        " ",
    ] {
        test_collection.name = ResourceName::new(format!("{odd}{}/{odd}", unique())).unwrap();
        let metadata = Metadata::new(format!("{odd}\n\0")).unwrap();
        let mut bid = test_collection.bid(odd, 1);
        bid.metadata = Some(metadata.clone());
        assert_eq!(test_collection.acquire_by(&bid).await, granted(1));
        let renewed = test_collection
            .store
            .renew(&test_collection.lease(odd, 1), TTL, LIMIT)
            .await
            .unwrap();
        assert_eq!(renewed, RenewOutcome::RENEWED, "{odd}");
        let record = test_collection.read().await;
        assert_eq!(
            (&record.resource, record.metadata),
            (&test_collection.name, Some(metadata))
        );
        assert_eq!(record.holder, Some(CandidateId::new(odd).unwrap()));
        assert_eq!(record.history[0].holder.as_str(), odd);
        let listed = test_collection
            .store
            .list(&test_collection.scope(), LIMIT)
            .await
            .unwrap();
        assert_eq!(
            listed
                .iter()
                .filter(|record| record.resource == test_collection.name)
                .count(),
            1
        );
        let released = test_collection
            .store
            .release(&test_collection.claim(odd, 1), None, LIMIT)
            .await
            .unwrap();
        assert_eq!(released, ReleaseOutcome::Released);
    }
    // The longest name, holder, metadata and ttl.
    test_collection.name = ResourceName::new(format!("{}{}", unique(), "x".repeat(239))).unwrap();
    let mut bid = test_collection.bid(&"ö".repeat(127), 1);
    bid.metadata = Some(Metadata::new("m".repeat(4096)).unwrap());
    bid.ttl = Duration::MAX;
    assert_eq!(test_collection.acquire_by(&bid).await, granted(1));
    assert_eq!(test_collection.read().await.metadata, bid.metadata);
    assert_eq!(
        refused(test_collection.acquire("b", 2).await).metadata,
        bid.metadata
    );
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn metadata_is_that_of_the_last_acquisition() {
    let test_collection = TestCollection::new().await;
    let mut bid = test_collection.bid("a", 1);
    bid.metadata = Some(Metadata::new("here").unwrap());
    test_collection.acquire_by(&bid).await;
    test_collection
        .store
        .release(&test_collection.claim("a", 1), None, LIMIT)
        .await
        .unwrap();
    assert_eq!(test_collection.read().await.metadata, bid.metadata);
    test_collection.acquire("b", 2).await;
    assert_eq!(test_collection.read().await.metadata, None);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_list_has_the_records_directly_in_the_scope_ordered_by_name() {
    let mut test_collection = TestCollection::new().await;
    test_collection.store.prepare().await.unwrap();
    let scope = test_collection.scope();
    for part in ["b", "a", "B", "ä", "deeper/a", "10", "9"] {
        test_collection.name = ResourceName::new(format!("{scope}{part}")).unwrap();
        test_collection.acquire("a", 1).await;
    }
    let listed = test_collection.store.list(&scope, LIMIT).await.unwrap();
    let names = listed
        .iter()
        .map(|record| record.resource.as_str().replace(scope.as_prefix(), ""));
    assert_eq!(names.collect::<Vec<_>>(), ["10", "9", "B", "a", "b", "ä"]);
    assert!(listed.iter().all(LeaseRecord::is_held));
    // More records than one batch of a cursor.
    let scope = Scope::new(unique()).unwrap();
    for n in 0..120 {
        test_collection.name = ResourceName::new(format!("{scope}{n:03}")).unwrap();
        test_collection.acquire("a", 1).await;
    }
    assert_eq!(
        test_collection
            .store
            .list(&scope, LIMIT)
            .await
            .unwrap()
            .len(),
        120
    );
}
