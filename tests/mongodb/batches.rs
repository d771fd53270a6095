//! Many leases that are renewed at once.

use std::{
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};

use futures::future::join_all;
use mongodb::bson::{Bson, DateTime, Document, doc};
use tenure::{
    LeaseStore as _, MongoStore,
    lease::{CandidateId, Lease, Note, ResourceName, StandingInstruction},
    store::{AcquireOutcome, EvictionMode, Instruction, RenewOutcome, StoreErrorKind},
};

use crate::{
    proxy::Wire,
    support::{Commands, LIMIT, TTL, TestCollection, options, primary, unique},
};

async fn listened() -> (TestCollection, Commands) {
    let (commands, mut options) = (Commands::default(), options().await);
    commands.listen(&mut options);
    (TestCollection::of(options), commands)
}

async fn acquired(test_collection: &TestCollection, part: &str) -> (Lease, Duration) {
    let mut bid = test_collection.bid("a", 1);
    bid.resource = ResourceName::new(format!("{}{part}", test_collection.scope())).unwrap();
    let outcome = test_collection.store.acquire(&bid, LIMIT).await.unwrap();
    let AcquireOutcome::Granted { token } = outcome else {
        panic!("{outcome:?}");
    };
    let (resource, holder) = (bid.resource, bid.candidate);
    let lease = Lease {
        resource,
        holder,
        token,
    };
    (lease, TTL)
}

/// Leases whose expiry lies half a ttl ahead.
async fn leases(test_collection: &TestCollection, count: usize) -> Vec<(Lease, Duration)> {
    let mut leases = Vec::new();
    for number in 0..count {
        leases.push(acquired(test_collection, &format!("{number:05}")).await);
    }
    let half = i64::try_from(TTL.as_millis() / 2).unwrap();
    let earlier = doc! { "$set": { "expires_at": { "$subtract": ["$expires_at", half] } } };
    let ours = doc! { "scope": test_collection.scope().as_prefix() };
    test_collection
        .collection
        .update_many(ours, vec![earlier])
        .await
        .unwrap();
    leases
}

async fn set(test_collection: &TestCollection, lease: &Lease, fields: Document) {
    let named = doc! { "_id": lease.resource.as_str() };
    let change = test_collection
        .collection
        .update_one(named, doc! { "$set": fields });
    assert_eq!(change.await.unwrap().matched_count, 1);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn many_leases_are_renewed_by_one_command() {
    let (test_collection, commands) = listened().await;
    let mut leases = leases(&test_collection, 50).await;
    commands.take();
    let outcomes = test_collection.store.renew_many(&leases, LIMIT).await;
    assert_eq!(outcomes.len(), 50);
    for outcome in outcomes {
        assert_eq!(outcome.unwrap(), RenewOutcome::RENEWED);
    }
    let sent = commands.take();
    assert_eq!(sent.len(), 1, "{sent:?}");
    let concern = sent[0].get_document("writeConcern").unwrap();
    assert_eq!(concern, &doc! { "w": "majority", "j": true });
    assert!(sent[0].contains_key("maxTimeMS") && !sent[0].contains_key("txnNumber"));
    let scope = test_collection.scope();
    let listed = test_collection.store.list(&scope, LIMIT).await.unwrap();
    for record in listed {
        assert!(
            record.remaining > TTL - Duration::from_secs(30),
            "{record:?}"
        );
    }
    // One command for each ttl, and a lease alone as ever.
    leases[7].1 = TTL * 2;
    leases[9].1 = TTL * 2;
    leases[20].1 = TTL * 3;
    commands.take();
    let outcomes = test_collection.store.renew_many(&leases, LIMIT).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let mut names = commands.names();
    names.sort();
    assert_eq!(names, ["findAndModify", "update", "update"]);
    let record = test_collection.store.read(&leases[9].0.resource, LIMIT);
    assert_eq!(record.await.unwrap().unwrap().ttl, TTL * 2);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_huge_batch_is_split() {
    let (test_collection, commands) = listened().await;
    let (lease, _) = acquired(&test_collection, "00000").await;
    let first = test_collection
        .collection
        .find_one(doc! { "_id": lease.resource.as_str() });
    let first = first.await.unwrap().unwrap();
    let (mut leases, mut documents) = (Vec::new(), Vec::new());
    for number in 1..=2_500 {
        let name = format!("{}{number:05}", test_collection.scope());
        let mut document = first.clone();
        document.insert("_id", name.as_str());
        document.insert("key", format!("{name}\u{1f}a\u{1f}{}", lease.token.get()));
        documents.push(document);
        let resource = ResourceName::new(name).unwrap();
        leases.push((
            Lease {
                resource,
                ..lease.clone()
            },
            TTL,
        ));
    }
    test_collection
        .collection
        .insert_many(documents)
        .await
        .unwrap();
    commands.take();
    let begun = Instant::now();
    let outcomes = test_collection.store.renew_many(&leases, LIMIT).await;
    println!("2500 leases: {:?}", begun.elapsed());
    for outcome in outcomes {
        assert_eq!(outcome.unwrap(), RenewOutcome::RENEWED);
    }
    assert_eq!(commands.names(), ["update"; 3]);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn each_lease_of_a_batch_has_its_own_outcome() {
    let (test_collection, commands) = listened().await;
    let leases = leases(&test_collection, 10).await;
    let (store, lease) = (&test_collection.store, |index: usize| &leases[index].0);
    let name = |index: usize| &lease(index).resource;
    // 0 and 9 are healthy; the others are not, each in another way.
    set(
        &test_collection,
        lease(1),
        doc! { "expires_at": DateTime::from_millis(0) },
    )
    .await;
    let evicted = store.evict(name(2), lease(2).token, EvictionMode::Close, LIMIT);
    evicted.await.unwrap();
    let released = tenure::store::ReleaseTarget::Lease(lease(3).clone());
    store.release(&released, None, LIMIT).await.unwrap();
    let mut bid = test_collection.bid("a", 2);
    bid.resource = name(4).clone();
    bid.reentrant = true;
    store.acquire(&bid, LIMIT).await.unwrap();
    let named = doc! { "_id": name(5).as_str() };
    test_collection.collection.delete_one(named).await.unwrap();
    let note = Note::new("maintenance").unwrap();
    let record = store.read(name(6), LIMIT).await.unwrap().unwrap();
    let pause = Instruction::Pause {
        note: note.clone(),
        edition: record.edition,
    };
    store.instruct(name(6), &pause, LIMIT).await.unwrap();
    let to = CandidateId::new("b").unwrap();
    let hand_over = Instruction::HandOver {
        token: lease(7).token,
        to: to.clone(),
    };
    store.instruct(name(7), &hand_over, LIMIT).await.unwrap();
    set(&test_collection, lease(8), doc! { "version": "many" }).await;
    commands.take();

    let outcomes = store.renew_many(&leases, LIMIT).await;
    assert_eq!(commands.names(), ["update", "find", "update"]);
    let lost = |index: usize| match &outcomes[index] {
        Ok(RenewOutcome::Lost(record)) => record.clone(),
        other => panic!("{index}: {other:?}"),
    };
    let told = |index: usize| match &outcomes[index] {
        Ok(RenewOutcome::Renewed { instruction }) => instruction.clone(),
        other => panic!("{index}: {other:?}"),
    };
    assert_eq!((told(0), told(9)), (None, None));
    assert!(!lost(1).unwrap().is_held());
    assert!(lost(2).unwrap().closing);
    assert_eq!(lost(3).unwrap().holder, None);
    assert!(lost(4).unwrap().token > lease(4).token);
    assert_eq!(lost(5), None);
    assert_eq!(told(6), Some(StandingInstruction::Pause { note }));
    assert_eq!(told(7), Some(StandingInstruction::HandOver { to }));
    let error = outcomes[8].as_ref().unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
    for renewed in [0, 6, 7, 9] {
        let record = store.read(name(renewed), LIMIT).await.unwrap().unwrap();
        assert!(
            record.remaining > TTL - Duration::from_secs(30),
            "{record:?}"
        );
    }
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_document_that_the_server_does_not_write_costs_only_its_own_lease() {
    let (mut test_collection, commands) = listened().await;
    let database = test_collection.collection.client().database("tenure_test");
    test_collection.collection = database.collection(&format!("picky_{}", unique()));
    test_collection.store = MongoStore::new(test_collection.collection.clone());
    let leases = leases(&test_collection, 16).await;
    set(&test_collection, &leases[5].0, doc! { "colour": "green" }).await;
    let never = doc! {
        "collMod": test_collection.collection.name(),
        "validator": { "colour": { "$ne": "green" } },
    };
    database.run_command(never).await.unwrap();
    commands.take();
    let outcomes = test_collection.store.renew_many(&leases, LIMIT).await;
    for (index, outcome) in outcomes.into_iter().enumerate() {
        if index == 5 {
            assert_eq!(outcome.unwrap_err().kind(), StoreErrorKind::Misconfigured);
        } else {
            assert_eq!(outcome.unwrap(), RenewOutcome::RENEWED, "{index}");
        }
    }
    // 16, 8 of 16, 4 of 8, 2 of 4, each twice but the first, and two alone instead of the last.
    assert_eq!(commands.take().len(), 9);
    test_collection.collection.drop().await.unwrap();
}

/// A batch that arrives late, while a later one is under way, says nothing about the leases of that one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn batches_with_the_same_leases_never_make_a_healthy_one_lost() {
    let test_collection = TestCollection::new().await;
    let leases = leases(&test_collection, 12).await;
    // One that is lost, so that every batch reads the records.
    set(&test_collection, &leases[3].0, doc! { "closing": true }).await;
    let mut unknown = 0;
    for _ in 0..10 {
        let batches = (0..8).map(|_| test_collection.store.renew_many(&leases, LIMIT));
        for outcomes in join_all(batches).await {
            for (index, outcome) in outcomes.into_iter().enumerate() {
                match outcome {
                    Ok(RenewOutcome::Lost(_)) if index == 3 => {}
                    Ok(RenewOutcome::Renewed { .. }) if index != 3 => {}
                    Err(error) if error.kind() == StoreErrorKind::Unknown => unknown += 1,
                    other => panic!("{index}: {other:?}"),
                }
            }
        }
    }
    println!("{unknown} outcomes are unknown");
    assert!(unknown > 0, "no two batches met");
    let outcomes = test_collection.store.renew_many(&leases, LIMIT).await;
    assert_eq!(outcomes[0].as_ref().unwrap(), &RenewOutcome::RENEWED);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_name_that_comes_twice_has_two_outcomes() {
    let test_collection = TestCollection::new().await;
    let mut leases = leases(&test_collection, 3).await;
    let mut stale = leases[0].clone();
    stale.0.holder = CandidateId::new("b").unwrap();
    leases.push(stale);
    leases.push(leases[1].clone());
    let outcomes = test_collection.store.renew_many(&leases, LIMIT).await;
    for index in [0, 1, 2, 4] {
        assert_eq!(outcomes[index].as_ref().unwrap(), &RenewOutcome::RENEWED);
    }
    assert!(matches!(outcomes[3], Ok(RenewOutcome::Lost(Some(_)))));
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_batch_without_an_answer_is_unknown_for_each_lease_within_the_limit() {
    let wire = Wire::default();
    let test_collection = TestCollection::of(wire.lay(primary().await).await);
    let leases = leases(&test_collection, 40).await;
    wire.frozen.store(true, SeqCst);
    let (begun, limit) = (Instant::now(), Duration::from_millis(700));
    let outcomes = test_collection.store.renew_many(&leases, limit).await;
    assert!(begun.elapsed() < limit * 3, "{:?}", begun.elapsed());
    assert_eq!(outcomes.len(), 40);
    for outcome in outcomes {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unknown, "{error}");
    }
    wire.frozen.store(false, SeqCst);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn the_key_names_the_holder_and_the_token_while_the_lease_is_held() {
    let test_collection = TestCollection::new().await;
    for number in 1..=2 {
        test_collection.acquire("$a", number.into()).await;
        let (name, token) = (&test_collection.name, test_collection.token(number));
        let key = format!("{name}\u{1f}$a\u{1f}{token}");
        assert_eq!(
            test_collection.document().await.get_str("key").unwrap(),
            key
        );
        let claim = test_collection.claim("$a", number);
        test_collection
            .store
            .release(&claim, None, LIMIT)
            .await
            .unwrap();
        assert_eq!(
            test_collection.document().await.get("key"),
            Some(&Bson::Null)
        );
    }
}
