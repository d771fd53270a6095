//! The store as [`tenure::open_store`] opens it: its client lives on a thread of the library.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use actix::prelude::*;
use tenure::{
    BecameFollower, BecameLeader, Leadership, LeaseStore, LockActor, MongoStore, Timing,
    lease::ResourceName, open_store, start_actor,
};

use crate::support::{LIMIT, options, unique, url};

/// The URL of the servers, with a database and a collection.
fn test_collection() -> String {
    let url = url();
    let (servers, query) = url.split_once("/?").unwrap_or((&url, ""));
    let and = if query.is_empty() { "" } else { "&" };
    format!("{servers}/tenure_test?{query}{and}collection=by_url")
}

struct Follower(mpsc::Sender<Leadership>);

impl Actor for Follower {
    type Context = Context<Self>;
}

impl Handler<BecameLeader> for Follower {
    type Result = ();
    fn handle(&mut self, message: BecameLeader, _: &mut Self::Context) {
        self.0.send(message.leadership).unwrap();
    }
}

impl Handler<BecameFollower> for Follower {
    type Result = ();
    fn handle(&mut self, _: BecameFollower, _: &mut Self::Context) {}
}

const TTL: Duration = Duration::from_secs(2);

/// Leads on a current-thread runtime, then blocks this runtime for three ttls. Returns whether the same
/// leadership is current all the time.
async fn keeps_leading_while_blocked(store: Arc<dyn LeaseStore>) -> bool {
    store.prepare().await.unwrap();
    let name = ResourceName::new(format!("blocked/{}", unique())).unwrap();
    let timing = Timing::builder().ttl(TTL).build().unwrap();
    let lock = LockActor::builder(name, store)
        .timing(timing)
        .start()
        .unwrap();
    let (tell, told) = mpsc::channel();
    let follower = start_actor(|_| Follower(tell)).unwrap();
    lock.subscribe(&follower);
    // The runtime runs until the lock leads, because a client made on it needs it.
    let leadership = loop {
        match told.try_recv() {
            Ok(leadership) => break leadership,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    let mut led = true;
    for _ in 0..30 {
        thread::sleep(TTL / 10);
        led &= leadership.is_current();
    }
    lock.shutdown().await.unwrap();
    led
}

#[tokio::test(flavor = "current_thread")]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_lease_is_kept_while_the_runtime_of_the_application_is_blocked() {
    let store = open_store(&test_collection()).await.unwrap();
    assert!(keeps_leading_while_blocked(store).await);
}

#[tokio::test(flavor = "current_thread")]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_client_stops_while_the_runtime_that_made_it_is_blocked() {
    let client = mongodb::Client::with_options(options().await).unwrap();
    let collection = client.database("tenure_test").collection("by_url");
    let store = Arc::new(MongoStore::new(collection));
    assert!(!keeps_leading_while_blocked(store).await);
}

#[test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
fn requests_need_no_runtime_with_sockets() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let (url, other) = (test_collection(), ResourceName::new(unique()).unwrap());
    let read = |url: String| async move {
        let store = open_store(&url).await.unwrap();
        store.prepare().await.unwrap();
        store.read(&other, LIMIT).await.unwrap()
    };
    assert_eq!(runtime.block_on(read(url)), None);
}
