//! A server outside a replica set.

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use futures::FutureExt as _;
use mongodb::{
    bson::{Bson, doc},
    options::{ClientOptions, ServerAddress},
};
use tempfile::TempDir;
use tenure::{
    LeaseStore as _,
    fencing::{FencingError, TokenGuard},
    store::{ReleaseOutcome, RenewOutcome, StoreErrorKind},
};

use crate::{
    mongod::{Mongod, free_ports},
    proxy::Wire,
    recovery::a_lock_retries_and_leads_when_the_store_is_repaired as recovers,
    support::{Commands, LIMIT, TTL, TestCollection, granted},
};

pub(crate) struct Standalone {
    /// Declared before the folder, so that the server ends before the folder is removed.
    pub(crate) mongod: Mongod,
    _folder: TempDir,
}

impl Standalone {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [port] = free_ports();
        Self {
            mongod: Mongod::start(folder.path(), port, arguments),
            _folder: folder,
        }
    }

    /// The default options of a client for this address.
    pub(crate) fn options(&self) -> ClientOptions {
        let address = ServerAddress::parse(self.mongod.address()).unwrap();
        ClientOptions::builder().hosts(vec![address]).build()
    }

    /// Restarts the server, and returns the collection with a new client that has not seen the crash.
    fn crash_and_restart(&mut self, test_collection: &TestCollection) -> TestCollection {
        self.mongod.kill();
        self.mongod.launch();
        let mut again = TestCollection::of(self.options());
        again.name.clone_from(&test_collection.name);
        again
    }
}

#[tokio::test]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn a_standalone_server_is_asked_to_write_to_disk_and_not_for_retryable_writes() {
    let server = Standalone::start(&[]);
    let (commands, mut options) = (Commands::default(), server.options());
    commands.listen(&mut options);
    // The server has no retryable writes. The store works with a client that asks for them.
    options.retry_writes = Some(true);
    let test_collection = TestCollection::of(options);
    test_collection.store.prepare().await.unwrap();
    assert_eq!(test_collection.acquire("a", 1).await, granted(1));
    let renewed = test_collection
        .store
        .renew(&test_collection.lease("a", 1), TTL, LIMIT)
        .await;
    assert_eq!(renewed.unwrap(), RenewOutcome::RENEWED);
    let released = test_collection
        .store
        .release(&test_collection.claim("a", 1), None, LIMIT)
        .await;
    assert_eq!(released.unwrap(), ReleaseOutcome::Released);
    let sent = commands.take();
    assert_eq!(sent.len(), 4, "{sent:?}");
    for command in &sent {
        let concern = command.get_document("writeConcern").unwrap();
        assert_eq!(concern.get("w"), Some(&"majority".into()), "{command}");
        assert_eq!(concern.get("j"), Some(&Bson::from(true)), "{command}");
        assert!(!command.contains_key("txnNumber"), "{command}");
    }
    assert_eq!(
        test_collection
            .store
            .list(&test_collection.scope(), LIMIT)
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn a_lost_answer_of_a_standalone_server_is_unknown_and_the_attempt_gets_its_token() {
    let server = Standalone::start(&[]);
    let wire = Wire::default();
    let test_collection = TestCollection::of(wire.lay(server.mongod.address()).await);
    test_collection
        .store
        .read(&test_collection.name, LIMIT)
        .await
        .unwrap();
    wire.cut.store(1, SeqCst);
    let error = test_collection
        .store
        .acquire(&test_collection.bid("a", 1), LIMIT)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unknown, "{error}");
    assert_eq!(wire.cut.load(SeqCst), 0);
    assert_eq!(test_collection.acquire("a", 1).await, granted(1));
    // The attempt is written twice, because a standalone server does not repeat its first answer.
    assert_eq!(
        test_collection.document().await.get_i64("version").unwrap(),
        2
    );
}

/// With `j: false`, the server would answer up to 100 ms before it writes its journal, and could lose the write.
#[tokio::test]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn an_answered_write_survives_a_crash_of_a_standalone_server() {
    let mut server = Standalone::start(&[]);
    let mut test_collection = TestCollection::of(server.options());
    test_collection.store.prepare().await.unwrap();
    for token in 1..=3 {
        assert_eq!(
            test_collection.acquire("a", token.into()).await,
            granted(token)
        );
        test_collection = server.crash_and_restart(&test_collection);
        let record = test_collection.read().await;
        assert_eq!(record.token, test_collection.token(token));
        assert!(!record.closing);
        assert_eq!(record.holder.unwrap().as_str(), "a");
        let released = test_collection
            .store
            .release(&test_collection.claim("a", token), None, LIMIT)
            .await;
        assert_eq!(released.unwrap(), ReleaseOutcome::Released);
        test_collection = server.crash_and_restart(&test_collection);
        let record = test_collection.read().await;
        assert_eq!(record.token, test_collection.token(token));
        assert_eq!(record.holder, None);
    }
}

#[actix::test]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn a_lock_leads_when_its_standalone_server_is_started_again() {
    let mut server = Standalone::start(&[]);
    let test_collection = TestCollection::of(server.options());
    assert_eq!(test_collection.acquire("a", 1).await, granted(1));
    test_collection
        .store
        .release(&test_collection.claim("a", 1), None, LIMIT)
        .await
        .unwrap();
    server.mongod.kill();
    let limit = Duration::from_millis(500);
    let store = Arc::new(test_collection.store.clone().call_limit(limit));
    let repair = async { server.mongod.launch() };
    // The calls of the store end before the driver's search for a server, so only the driver knows whether a
    // request was sent.
    let kind = StoreErrorKind::Unknown;
    let token = recovers(store, &test_collection.name, kind, repair.boxed_local()).await;
    assert_eq!(test_collection.read().await.token, token);
}

#[tokio::test]
#[ignore = "needs MongoDB's program: scripts/servers mongod"]
async fn a_leader_transaction_is_unsupported_and_a_token_guard_is_not() {
    let server = Standalone::start(&[]);
    let test_collection = TestCollection::of(server.options());
    assert_eq!(test_collection.acquire("a", 1).await, granted(1));
    let rows = test_collection
        .collection
        .client()
        .database("app")
        .collection("rows");
    rows.insert_one(doc! { "_id": 7 }).await.unwrap();
    let lease = test_collection.lease("a", 1);

    let mut session = rows.client().start_session().await.unwrap();
    // A transaction with work, and an empty one.
    for works in [true, false] {
        let context = (&rows, works);
        let done = (test_collection.store).leader_transaction(
            &mut session,
            &lease,
            context,
            |session, context| {
                let (rows, works) = *context;
                Box::pin(async move {
                    if works {
                        let update =
                            rows.update_one(doc! { "_id": 7 }, doc! { "$inc": { "cents": 1 } });
                        update.session(session).await?;
                    }
                    Ok(())
                })
            },
        );
        let done = done.await;
        let Err(FencingError::Lease(error)) = done else {
            panic!("{done:?}");
        };
        assert_eq!(error.kind(), StoreErrorKind::Unsupported);
    }
    let guard = TokenGuard::new(&lease);
    let pay = doc! { "$inc": { "cents": 1 } };
    let done = guard
        .find_one_and_update(&rows, doc! { "_id": 7 }, pay)
        .await;
    let token = i64::try_from(lease.token.get()).unwrap();
    assert_eq!(
        done.unwrap(),
        doc! { "_id": 7, "cents": 1, "fencing_token": token }
    );
}
