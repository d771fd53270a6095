//! The watch of the store where it is refused, and where it is cut off.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{StreamExt as _, stream::BoxStream};
use tenure::{
    LeaseStore as _, MongoStore,
    store::{Operation, StoreErrorKind, StoreEvent},
};
use tokio::time::{Instant, timeout};
use tracing_subscriber::{Layer, layer::Context, prelude::*};

use crate::{
    replica_set::ReplicaSet,
    standalone::Standalone,
    support::{LIMIT, TestCollection},
    users::Guarded,
};

const ALIVE_EVERY: Duration = Duration::from_secs(1);

/// The names of the events that the thread writes.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<Vec<&'static str>>>);

impl<S: tracing::Subscriber> Layer<S> for Names {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "tenure" {
            self.0.lock().unwrap().push(event.metadata().name());
        }
    }
}

async fn first(store: &MongoStore) -> Option<StoreEvent> {
    let mut watch = store.watch(ALIVE_EVERY).expect("a stream");
    timeout(LIMIT, watch.next()).await.unwrap()
}

#[tokio::test]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn on_a_standalone_server_there_is_no_watch_and_it_is_said_once() {
    let names = Names::default();
    let _guard = tracing_subscriber::registry()
        .with(names.clone())
        .set_default();
    let server = Standalone::start(&[]);
    let store = TestCollection::of(server.options()).store;
    // Two that were opened before the server was asked.
    let (one, two) = (store.watch(ALIVE_EVERY), store.clone().watch(ALIVE_EVERY));
    for watch in [one, two] {
        let next = timeout(LIMIT, watch.unwrap().next()).await;
        assert_eq!(next.unwrap(), None);
    }
    assert!(store.watch(ALIVE_EVERY).is_none());
    assert_eq!(*names.0.lock().unwrap(), ["tenure.watch_refused"]);
}

#[tokio::test]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn without_the_privilege_the_watch_ends_which_is_said_once_and_is_tried_again() {
    let names = Names::default();
    let _guard = tracing_subscriber::registry()
        .with(names.clone())
        .set_default();
    let server = Guarded::start().await;
    let least = ["find", "insert", "update"];
    server.make_role("leases", &least).await;
    server.make_user("app", "pass", "leases").await;
    let test_collection = TestCollection::of(server.options("app", "pass"));
    let store = &test_collection.store;
    for _ in 0..2 {
        assert_eq!(first(store).await, None);
    }
    assert_eq!(*names.0.lock().unwrap(), ["tenure.watch_refused"]);
    // With it, the server says that it has no change streams.
    server
        .change_role("leases", &["find", "changeStream"])
        .await;
    assert_eq!(first(store).await, None);
    assert!(store.watch(ALIVE_EVERY).is_none());
}

#[tokio::test]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn a_purge_needs_a_privilege_of_its_own() {
    let server = Guarded::start().await;
    server
        .make_role("leases", &["find", "insert", "update"])
        .await;
    server.make_user("app", "pass", "leases").await;
    let test_collection = TestCollection::of(server.options("app", "pass"));
    test_collection.acquire("a", 1).await;
    let claim = test_collection.claim("a", 1);
    test_collection
        .store
        .release(&claim, None, LIMIT)
        .await
        .unwrap();
    let (store, scope) = (&test_collection.store, test_collection.scope());
    let error = store
        .purge(&scope, Duration::ZERO, LIMIT)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Denied, "{error}");
    assert_eq!(error.operation(), Operation::Purge);
    server.change_role("leases", &["find", "remove"]).await;
    assert_eq!(store.purge(&scope, Duration::ZERO, LIMIT).await.unwrap(), 1);
}

/// Opens the stream again whenever it ends, as the locks do, until an event of the resource comes.
async fn hears(
    store: &MongoStore,
    watch: &mut BoxStream<'static, StoreEvent>,
    test_collection: &TestCollection,
) {
    let (end, mut opened_again) = (Instant::now() + LIMIT, false);
    while Instant::now() < end {
        match timeout(ALIVE_EVERY * 4, watch.next()).await {
            Ok(Some(StoreEvent::Changed(name))) if name == test_collection.name => return,
            Ok(Some(StoreEvent::LookAtAll)) => return,
            // The locks look at all records then, so nothing is lost that happened before.
            Ok(Some(_)) if opened_again => return,
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => {
                opened_again = true;
                *watch = store.watch(ALIVE_EVERY).expect("it is a replica set");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    panic!("no event within {LIMIT:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn a_watch_comes_back_after_the_primary_died() {
    let mut set = ReplicaSet::start();
    let mut test_collection = TestCollection::new_at(&set.client().await);
    test_collection.store = test_collection.store.call_limit(LIMIT);
    test_collection.acquire("a", 1).await;
    let store = test_collection.store.clone();
    let mut watch = store.watch(ALIVE_EVERY).unwrap();
    assert_eq!(watch.next().await, Some(StoreEvent::Alive));
    let primary = set.primary().await;
    set.kill(primary);
    set.succeeded(primary).await;
    let claim = test_collection.claim("a", 1);
    let released = store.release(&claim, None, LIMIT);
    let (released, ()) = futures::join!(released, hears(&store, &mut watch, &test_collection));
    released.unwrap();
    // From now on, the stream works as before.
    test_collection.acquire("b", 2).await;
    let acquired = async {
        while let Some(event) = watch.next().await {
            if matches!(&event, StoreEvent::Acquired { resource, .. } if *resource == test_collection.name)
            {
                return;
            }
        }
        panic!("the stream ended");
    };
    timeout(LIMIT, acquired).await.unwrap();
}
