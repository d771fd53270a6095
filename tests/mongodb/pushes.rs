//! What the change stream tells.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, future::join_all, stream::BoxStream};
use tenure::{
    LeaseStore as _, MongoStore,
    lease::Note,
    store::{EvictionMode, Instruction, StoreEvent},
};
use tokio::time::timeout;

use crate::support::{LIMIT, TTL, TestCollection, unique};

const ALIVE_EVERY: Duration = Duration::from_secs(2);

async fn opened(store: &MongoStore) -> BoxStream<'static, StoreEvent> {
    let mut watch = store.watch(ALIVE_EVERY).unwrap();
    assert_eq!(watch.next().await, Some(StoreEvent::Alive));
    watch
}

/// The next event of the resource. Others use the collection, too.
async fn next(
    watch: &mut BoxStream<'static, StoreEvent>,
    test_collection: &TestCollection,
) -> StoreEvent {
    let ours = async {
        loop {
            let event = watch.next().await.unwrap();
            match &event {
                StoreEvent::Changed(resource) | StoreEvent::Acquired { resource, .. }
                    if *resource == test_collection.name =>
                {
                    return event;
                }
                _ => {}
            }
        }
    };
    timeout(LIMIT, ours).await.unwrap()
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn every_change_but_a_renewal_is_an_event() {
    let test_collection = TestCollection::new().await;
    let (store, name) = (&test_collection.store, &test_collection.name);
    let mut watch = opened(store).await;
    let changed = StoreEvent::Changed(name.clone());
    let acquired = |ttl: Duration| StoreEvent::Acquired {
        resource: name.clone(),
        ttl: ttl + Duration::from_millis(1),
    };
    let mut token = 0;
    // The first acquisition creates the record.
    for round in 1..=2 {
        test_collection.acquire("a", round * 10).await;
        token += 1;
        assert_eq!(next(&mut watch, &test_collection).await, acquired(TTL));
        let lease = test_collection.lease("a", token);
        let absent = test_collection.lease("b", token);
        // A single renewal, one in a batch, and one by the attempt are none.
        store.renew(&lease, TTL, LIMIT).await.unwrap();
        let mut other = absent.clone();
        other.resource = tenure::lease::ResourceName::new(format!("{name}-none")).unwrap();
        let batch = [(lease.clone(), TTL), (other, TTL)];
        store.renew_many(&batch, LIMIT).await.remove(0).unwrap();
        test_collection.acquire("a", round * 10).await;
        // One that shortens the lease is.
        store.renew(&lease, TTL / 2, LIMIT).await.unwrap();
        assert_eq!(next(&mut watch, &test_collection).await, changed);
        let claim = test_collection.claim("a", token);
        let sent = Instant::now();
        store.release(&claim, None, LIMIT).await.unwrap();
        assert_eq!(next(&mut watch, &test_collection).await, changed);
        let heard = sent.elapsed();
        println!("a release was heard after {heard:?}");
        assert!(heard < Duration::from_secs(1), "{heard:?}");
    }
    // With the holder and the ttl of before.
    test_collection.acquire("a", 30).await;
    token += 1;
    assert_eq!(next(&mut watch, &test_collection).await, acquired(TTL));
    let note = Note::new("").unwrap();
    let edition = test_collection.read().await.edition;
    let instructions = [
        Instruction::HandOver {
            token: test_collection.token(token),
            to: "b".try_into().unwrap(),
        },
        Instruction::Pause { note, edition },
        Instruction::Resume {
            edition: edition + 1,
        },
    ];
    for instruction in &instructions {
        store.instruct(name, instruction, LIMIT).await.unwrap();
        assert_eq!(
            next(&mut watch, &test_collection).await,
            changed,
            "{instruction:?}"
        );
    }
    for eviction in [EvictionMode::Close, EvictionMode::Force] {
        let evicted = store.evict(name, test_collection.token(token), eviction, LIMIT);
        evicted.await.unwrap();
        assert_eq!(
            next(&mut watch, &test_collection).await,
            changed,
            "{eviction:?}"
        );
    }
    let scope = test_collection.scope();
    let purged = store.purge(&scope, Duration::ZERO, LIMIT).await;
    assert_eq!(purged.unwrap(), 1);
    assert_eq!(next(&mut watch, &test_collection).await, changed);
}

/// Not even an acquisition and a release within one millisecond hide each other.
#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_release_right_after_the_acquisition_is_an_event() {
    let test_collection = TestCollection::new().await;
    let mut watch = opened(&test_collection.store).await;
    for round in 0..50 {
        let bid = test_collection.bid("a", round);
        let target = test_collection.attempt(round);
        test_collection.store.acquire(&bid, LIMIT).await.unwrap();
        test_collection
            .store
            .release(&target, None, LIMIT)
            .await
            .unwrap();
        let first = next(&mut watch, &test_collection).await;
        assert!(matches!(first, StoreEvent::Acquired { .. }), "{first:?}");
        let second = next(&mut watch, &test_collection).await;
        assert!(matches!(second, StoreEvent::Changed(_)), "{second:?}");
    }
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_quiet_stream_is_alive_and_a_dropped_collection_ends_it() {
    let test_collection = TestCollection::new().await;
    let database = test_collection.collection.client().database("tenure_test");
    let collection = database.collection(&format!("quiet_{}", unique()));
    let store = MongoStore::new(collection.clone());
    store.prepare().await.unwrap();
    let mut watch = opened(&store).await;
    for _ in 0..3 {
        let next = timeout(ALIVE_EVERY, watch.next()).await;
        assert_eq!(next.expect("in time"), Some(StoreEvent::Alive));
    }
    collection.drop().await.unwrap();
    let ends = async {
        let mut last = None;
        while let Some(event) = watch.next().await {
            last = Some(event);
        }
        last
    };
    assert_eq!(
        timeout(LIMIT, ends).await.unwrap(),
        Some(StoreEvent::LookAtAll)
    );
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_stream_takes_no_slot_of_the_requests() {
    let test_collection = TestCollection::new().await;
    let store = &test_collection.store;
    // Each of them waits on the server for half a minute.
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut watch = store.watch(Duration::from_secs(60)).unwrap();
        assert_eq!(watch.next().await, Some(StoreEvent::Alive));
        streams.push(tokio::spawn(async move { watch.next().await }));
    }
    let begun = Instant::now();
    let reads = (0..100).map(|_| store.read(&test_collection.name, LIMIT));
    for read in join_all(reads).await {
        assert_eq!(read.unwrap(), None);
    }
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    streams.iter().for_each(tokio::task::JoinHandle::abort);
}
