//! The requests of each operation, and its writes.

use std::time::Duration;

use futures::TryStreamExt as _;
use mongodb::{
    bson::{Document, doc},
    options::{ReadConcern, ReadPreference, SelectionCriteria, WriteConcern},
};
use tenure::{
    LeaseStore as _, MongoStore,
    store::{EvictionMode, ReleaseOutcome, RenewOutcome},
};

use crate::support::{Commands, LIMIT, TTL, TestCollection, granted, options, refused, unique};

async fn listened() -> (TestCollection, Commands) {
    let (commands, mut options) = (Commands::default(), options().await);
    commands.listen(&mut options);
    (TestCollection::of(options), commands)
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn each_operation_is_one_command() {
    let (test_collection, commands) = listened().await;
    let store = &test_collection.store;
    assert_eq!(test_collection.acquire("a", 1).await, granted(1));
    assert_eq!(commands.names(), ["findAndModify"]);
    refused(test_collection.acquire("b", 2).await);
    assert_eq!(commands.names(), ["findAndModify"]);
    store
        .renew(&test_collection.lease("a", 1), TTL, LIMIT)
        .await
        .unwrap();
    assert_eq!(commands.names(), ["findAndModify"]);
    store
        .evict(
            &test_collection.name,
            test_collection.token(1),
            EvictionMode::Close,
            LIMIT,
        )
        .await
        .unwrap();
    assert_eq!(commands.names(), ["findAndModify"]);
    store
        .release(&test_collection.claim("a", 1), None, LIMIT)
        .await
        .unwrap();
    assert_eq!(commands.names(), ["findAndModify"]);
    test_collection.read().await;
    assert_eq!(commands.names(), ["find"]);
    store.list(&test_collection.scope(), LIMIT).await.unwrap();
    assert_eq!(commands.names(), ["find"]);
    store.prepare().await.unwrap();
    assert_eq!(commands.names(), ["createIndexes"]);
    // A lost lease is read once more, to return its holder.
    store
        .renew(&test_collection.lease("a", 1), TTL, LIMIT)
        .await
        .unwrap();
    assert_eq!(commands.names(), ["findAndModify", "find"]);
    store
        .release(&test_collection.claim("a", 1), None, LIMIT)
        .await
        .unwrap();
    assert_eq!(commands.names(), ["findAndModify", "find"]);
}

/// The commands on the collection in the profile of the server, and the writes to the record in its log.
async fn noted(test_collection: &TestCollection) -> (Vec<String>, u64) {
    let database = test_collection
        .collection
        .client()
        .database(&test_collection.collection.namespace().db);
    let notes = database.collection::<Document>("system.profile");
    let ours = doc! { "ns": test_collection.collection.namespace().to_string() };
    let found = notes.find(ours).sort(doc! { "$natural": 1 }).await.unwrap();
    let found: Vec<_> = found.try_collect().await.unwrap();
    let names = found.iter().map(|note| {
        let command = note.get_document("command").unwrap();
        command.keys().next().unwrap().clone()
    });
    (names.collect(), test_collection.writes().await)
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn the_server_counts_one_command_per_operation_and_one_write_unless_it_refuses() {
    let mut test_collection = TestCollection::new().await;
    // A separate database, so that its profile has no commands of other tests.
    let database = test_collection
        .collection
        .client()
        .database(&format!("tenure_{}", unique()));
    test_collection.collection = database.collection("leases");
    test_collection.store =
        MongoStore::new(test_collection.collection.clone()).call_limit(Duration::from_secs(10));
    database.create_collection("leases").await.unwrap();
    database.run_command(doc! { "profile": 2 }).await.unwrap();
    let mut commands = Vec::new();
    let mut expected = |command: &str, writes| {
        commands.push(command.to_owned());
        (commands.clone(), writes)
    };
    assert_eq!(test_collection.acquire("a", 1).await, granted(1));
    assert_eq!(noted(&test_collection).await, expected("findAndModify", 1));
    assert_eq!(test_collection.acquire("a", 1).await, granted(1));
    assert_eq!(noted(&test_collection).await, expected("findAndModify", 2));
    refused(test_collection.acquire("b", 2).await);
    assert_eq!(noted(&test_collection).await, expected("findAndModify", 2));
    let renewed = test_collection
        .store
        .renew(&test_collection.lease("a", 1), TTL, LIMIT)
        .await
        .unwrap();
    assert_eq!(renewed, RenewOutcome::RENEWED);
    assert_eq!(noted(&test_collection).await, expected("findAndModify", 3));
    let released = test_collection
        .store
        .release(&test_collection.claim("a", 1), None, LIMIT)
        .await
        .unwrap();
    assert_eq!(released, ReleaseOutcome::Released);
    assert_eq!(noted(&test_collection).await, expected("findAndModify", 4));
    assert_eq!(test_collection.acquire("b", 2).await, granted(2));
    assert_eq!(noted(&test_collection).await, expected("findAndModify", 5));
    let released = test_collection
        .store
        .release(&test_collection.owner("b"), None, LIMIT)
        .await
        .unwrap();
    assert_eq!(released, ReleaseOutcome::Released);
    assert_eq!(noted(&test_collection).await, expected("findAndModify", 6));
    database.run_command(doc! { "profile": 0 }).await.unwrap();
    database.drop().await.unwrap();
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_refused_request_writes_nothing() {
    let test_collection = TestCollection::new().await;
    test_collection.acquire("a", 1).await;
    let (document, writes) = (
        test_collection.document().await,
        test_collection.writes().await,
    );
    assert_eq!(writes, 1);
    for attempt in 2..12 {
        refused(test_collection.acquire("b", attempt).await);
    }
    let store = &test_collection.store;
    store
        .renew(&test_collection.lease("b", 1), TTL, LIMIT)
        .await
        .unwrap();
    store
        .release(&test_collection.claim("a", 2), None, LIMIT)
        .await
        .unwrap();
    store
        .release(&test_collection.attempt(2), None, LIMIT)
        .await
        .unwrap();
    store
        .release(&test_collection.owner("b"), None, LIMIT)
        .await
        .unwrap();
    store
        .evict(
            &test_collection.name,
            test_collection.token(2),
            EvictionMode::Force,
            LIMIT,
        )
        .await
        .unwrap();
    assert_eq!(
        (
            test_collection.document().await,
            test_collection.writes().await
        ),
        (document, writes)
    );
    // The same for a released attempt and for a closing lease.
    store
        .evict(
            &test_collection.name,
            test_collection.token(1),
            EvictionMode::Close,
            LIMIT,
        )
        .await
        .unwrap();
    refused(test_collection.acquire("a", 1).await);
    store
        .release(&test_collection.claim("a", 1), None, LIMIT)
        .await
        .unwrap();
    refused(test_collection.acquire("a", 1).await);
    assert_eq!(test_collection.writes().await, 3);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn the_settings_of_a_client_for_fast_and_stale_reads_are_overridden() {
    let (commands, mut options) = (Commands::default(), options().await);
    commands.listen(&mut options);
    options.write_concern = Some(WriteConcern::nodes(1));
    options.read_concern = Some(ReadConcern::local());
    let secondary = ReadPreference::SecondaryPreferred { options: None };
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(secondary));
    let test_collection = TestCollection::of(options);
    let store = &test_collection.store;
    test_collection.acquire("a", 1).await;
    store
        .renew(&test_collection.lease("a", 1), TTL, LIMIT)
        .await
        .unwrap();
    store
        .evict(
            &test_collection.name,
            test_collection.token(1),
            EvictionMode::Close,
            LIMIT,
        )
        .await
        .unwrap();
    store
        .release(&test_collection.claim("a", 1), None, LIMIT)
        .await
        .unwrap();
    store.prepare().await.unwrap();
    for command in commands.take() {
        let concern = command.get_document("writeConcern").unwrap();
        assert_eq!(concern.get_str("w").unwrap(), "majority", "{command}");
        if command.contains_key("findAndModify") {
            assert!(concern.get_bool("j").unwrap(), "{command}");
        }
        assert!(command.contains_key("maxTimeMS"), "{command}");
    }
    store
        .renew(&test_collection.lease("a", 1), TTL, LIMIT)
        .await
        .unwrap();
    test_collection.read().await;
    store.list(&test_collection.scope(), LIMIT).await.unwrap();
    let mut commands = commands.take();
    commands.retain(|command| command.contains_key("find"));
    assert_eq!(commands.len(), 3);
    for command in commands {
        let concern = command.get_document("readConcern").unwrap();
        assert_eq!(concern.get_str("level").unwrap(), "majority", "{command}");
        let preference = command
            .get_document("$readPreference")
            .map(|p| p.get_str("mode"));
        assert!(
            matches!(preference, Err(_) | Ok(Ok("primary"))),
            "{command}"
        );
        assert!(command.contains_key("maxTimeMS"), "{command}");
    }
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn prepare_creates_a_missing_index_when_several_call_it_at_once() {
    let mut test_collection = TestCollection::new().await;
    let database = test_collection.collection.client().database("tenure_test");
    test_collection.collection = database.collection(&format!("made_{}", unique()));
    let store = MongoStore::new(test_collection.collection.clone());
    let store = store.call_limit(Duration::from_secs(10));
    let calls = (0..8).map(|_| store.prepare());
    for done in futures::future::join_all(calls).await {
        done.unwrap();
    }
    store.prepare().await.unwrap();
    let mut names = test_collection.collection.list_index_names().await.unwrap();
    names.sort();
    assert_eq!(names, ["_id_", "scope_1__id_1"]);
    let explain = doc! {
        "explain": {
            "find": test_collection.collection.name(), "filter": { "scope": "a/" }, "sort": { "_id": 1 },
            "collation": { "locale": "simple" },
        },
        "verbosity": "queryPlanner",
    };
    let plan: Document = database.run_command(explain).await.unwrap();
    let plan = plan
        .get_document("queryPlanner")
        .unwrap()
        .get("winningPlan")
        .unwrap()
        .to_string();
    assert!(
        plan.contains("IXSCAN") && !plan.contains("SORT\""),
        "{plan}"
    );
    test_collection.collection.drop().await.unwrap();
}
