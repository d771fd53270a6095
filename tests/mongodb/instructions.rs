//! Instructions, purges and first tokens.

use std::time::{Duration, SystemTime};

use futures::future::{join, join_all};
use mongodb::bson::doc;
use tenure::{
    LeaseStore as _,
    lease::{CandidateId, EndReason, Note},
    store::{AcquireOutcome, InstructOutcome, Instruction},
};

use crate::support::{LIMIT, TestCollection, granted, refused};

fn pause(edition: u64) -> Instruction {
    let note = Note::new("$$NOW").unwrap();
    Instruction::Pause { note, edition }
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn the_first_token_is_the_time_of_the_server_and_a_purged_record_comes_back_above_its_last() {
    let test_collection = TestCollection::new().await;
    let store = &test_collection.store;
    test_collection.acquire("a", 1).await;
    let record = test_collection.read().await;
    let since = record.since.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(u128::from(record.token.get()), since.as_millis());
    assert_eq!(record.touched, record.since);
    let scope = test_collection.scope();
    assert_eq!(store.purge(&scope, Duration::ZERO, LIMIT).await.unwrap(), 0);
    let claim = test_collection.claim("a", 1);
    store.release(&claim, None, LIMIT).await.unwrap();
    let hour = Duration::from_secs(3600);
    assert_eq!(store.purge(&scope, hour, LIMIT).await.unwrap(), 0);
    assert_eq!(store.purge(&scope, Duration::MAX, LIMIT).await.unwrap(), 0);
    assert_eq!(store.purge(&scope, Duration::ZERO, LIMIT).await.unwrap(), 1);
    assert_eq!(
        store.read(&test_collection.name, LIMIT).await.unwrap(),
        None
    );
    test_collection.acquire("b", 2).await;
    assert!(test_collection.read().await.token > record.token);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn an_instruction_changes_neither_the_version_nor_the_expiry() {
    let test_collection = TestCollection::new().await;
    test_collection.acquire("a", 1).await;
    let fixed = async || {
        let document = test_collection.document().await;
        ["version", "expires_at", "token", "ttl"].map(|field| document.get(field).cloned())
    };
    let before = fixed().await;
    let hand_over = Instruction::HandOver {
        token: test_collection.token(1),
        to: CandidateId::new("$b").unwrap(),
    };
    let before_pauses = test_collection.read().await.edition - 1;
    let pause = |number| pause(before_pauses + number);
    let resume = Instruction::Resume {
        edition: before_pauses + 2,
    };
    for (instruction, number) in [(pause(1), 2), (hand_over, 2), (resume, 3), (pause(3), 4)] {
        let edition = before_pauses + number;
        let done = test_collection
            .store
            .instruct(&test_collection.name, &instruction, LIMIT)
            .await;
        assert_eq!(done.unwrap(), InstructOutcome::Instructed { edition });
        assert_eq!(fixed().await, before, "{instruction:?}");
    }
    let record = test_collection.read().await;
    assert_eq!(record.pause.unwrap().note.as_str(), "$$NOW");
    assert_eq!(record.hand_over.unwrap().as_str(), "$b");
    // A late copy.
    let late = test_collection
        .store
        .instruct(&test_collection.name, &pause(1), LIMIT)
        .await;
    assert!(matches!(late.unwrap(), InstructOutcome::Refused(Some(_))));
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn one_of_many_pauses_creates_the_record() {
    for _ in 0..10 {
        let test_collection = TestCollection::new().await;
        let (store, name) = (&test_collection.store, &test_collection.name);
        let first = pause(0);
        let pauses = (0..8).map(|_| store.instruct(name, &first, LIMIT));
        let mut instructed = vec![];
        for outcome in join_all(pauses).await {
            match outcome.unwrap() {
                InstructOutcome::Instructed { edition } => instructed.push(edition),
                InstructOutcome::Refused(record) => assert!(record.unwrap().pause.is_some()),
            }
        }
        let record = refused(test_collection.acquire("a", 1).await);
        assert_eq!((vec![record.edition], record.holder), (instructed, None));
    }
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_first_pause_and_a_first_bid_do_not_both_win() {
    for _ in 0..20 {
        let test_collection = TestCollection::new().await;
        let (store, name) = (&test_collection.store, &test_collection.name);
        let (bid, first) = (test_collection.bid("a", 1), pause(0));
        let bid = store.acquire(&bid, LIMIT);
        let (paused, bid) = join(store.instruct(name, &first, LIMIT), bid).await;
        let paused = matches!(paused.unwrap(), InstructOutcome::Instructed { .. });
        let won = matches!(bid.unwrap(), AcquireOutcome::Granted { .. });
        assert_ne!(paused, won);
        assert_eq!(test_collection.read().await.pause.is_some(), paused);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_purge_never_deletes_a_lease_that_was_just_granted() {
    let test_collection = TestCollection::new().await;
    let (store, scope) = (&test_collection.store, test_collection.scope());
    let (mut purged, mut last) = (0, 0);
    for round in 0..60 {
        let bid = test_collection.bid("a", round);
        let purge = store.purge(&scope, Duration::ZERO, LIMIT);
        let (granted, deleted) = join(store.acquire(&bid, LIMIT), purge).await;
        purged += deleted.unwrap();
        let AcquireOutcome::Granted { token } = granted.unwrap() else {
            panic!("the lease is free");
        };
        let record = test_collection.read().await;
        assert!(record.is_held(), "{record:?}");
        assert_eq!(record.token, token);
        assert!(token.get() > last);
        last = token.get();
        let attempt = test_collection.attempt(round);
        store.release(&attempt, None, LIMIT).await.unwrap();
    }
    println!("{purged} of 60 were purged");
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn the_history_says_how_and_when_each_acquisition_ended() {
    let test_collection = TestCollection::new().await;
    test_collection.acquire("a", 1).await;
    let claim = test_collection.claim("a", 1);
    let reason = Some(EndReason::Resigned);
    test_collection
        .store
        .release(&claim, reason, LIMIT)
        .await
        .unwrap();
    let record = test_collection.read().await;
    let ended = record.history[0].ended.clone().unwrap();
    assert_eq!(
        (ended.reason, ended.at),
        (EndReason::Resigned, record.touched)
    );
    assert!(ended.at >= record.since);
    assert_eq!(test_collection.acquire("b", 2).await, granted(2));
    let record = test_collection.read().await;
    assert_eq!(record.history[0].ended, Some(ended));
    assert_eq!(record.history[1].ended, None);
    // A record without entries, as an operator may have left it, still takes a release.
    test_collection.set(doc! { "history": [] }).await;
    let claim = test_collection.claim("b", 2);
    test_collection
        .store
        .release(&claim, reason, LIMIT)
        .await
        .unwrap();
    assert_eq!(test_collection.read().await.history.len(), 1);
}
