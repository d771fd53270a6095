use std::sync::Arc;

use mongodb::bson::doc;
use tenure::{
    LeaseStore as _,
    store::{AcquireOutcome, ReleaseOutcome},
};
use tokio::{sync::Barrier, task::JoinSet};

use crate::support::{LIMIT, TestCollection};

fn name_of(test_collection: &Arc<TestCollection>) -> tenure::lease::ResourceName {
    test_collection.name.clone()
}

const TASKS: usize = 32;

/// Tasks of four clients bid for one name in rounds. In the first round, it has no record yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn one_of_many_wins_each_round() {
    let mut places = Vec::new();
    for _ in 0..4 {
        let mut test_collection = TestCollection::new().await;
        if let Some(first) = places.first() {
            test_collection.name = name_of(first);
        }
        places.push(Arc::new(test_collection));
    }
    for round in 0..100_u64 {
        let barrier = Arc::new(Barrier::new(TASKS));
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let (test_collection, barrier) = (Arc::clone(&places[task % 4]), Arc::clone(&barrier));
            tasks.spawn(async move {
                let candidate = format!("task-{task}");
                let bid = test_collection.bid(&candidate, u128::from(round) * 1000 + task as u128);
                barrier.wait().await;
                (candidate, test_collection.acquire_by(&bid).await)
            });
        }
        let outcomes = tasks.join_all().await;
        let won = outcomes
            .iter()
            .filter_map(|(candidate, outcome)| match outcome {
                AcquireOutcome::Granted { token } => Some((candidate.clone(), token.get())),
                _ => None,
            });
        let won: Vec<_> = won.collect();
        let [(winner, token)] = &won[..] else {
            panic!("round {round}: {won:?}");
        };
        assert_eq!(*token, round + 1);
        for (_, outcome) in &outcomes {
            if let AcquireOutcome::Refused(record) = outcome {
                assert_eq!(record.holder.as_ref().unwrap().as_str(), winner);
                assert_eq!(record.token, places[0].token(*token));
            }
        }
        let released = places[0]
            .store
            .release(&places[0].claim(winner, *token), None, LIMIT)
            .await
            .unwrap();
        assert_eq!(released, ReleaseOutcome::Released);
    }
    // Each acquisition and each release is one write; a refusal is none.
    assert_eq!(places[0].document().await.get_i64("version").unwrap(), 200);
    assert_eq!(places[0].writes().await, 200);
}

/// Every race is for a new name, so that the upserts compete.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn one_of_many_creates_the_record() {
    let test_collection = Arc::new(TestCollection::new().await);
    for round in 0..30 {
        let barrier = Arc::new(Barrier::new(TASKS));
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let (test_collection, barrier) = (Arc::clone(&test_collection), Arc::clone(&barrier));
            tasks.spawn(async move {
                let mut bid = test_collection.bid(&format!("task-{task}"), task as u128);
                bid.resource = format!("{}-{round}", test_collection.name)
                    .try_into()
                    .unwrap();
                barrier.wait().await;
                test_collection.acquire_by(&bid).await
            });
        }
        let outcomes = tasks.join_all().await;
        let won = outcomes
            .iter()
            .filter(|o| matches!(o, AcquireOutcome::Granted { .. }));
        assert_eq!(won.count(), 1, "round {round}");
    }
    let made = test_collection
        .collection
        .count_documents(doc! { "scope": test_collection.scope().as_prefix() });
    assert_eq!(made.await.unwrap(), 30);
}
