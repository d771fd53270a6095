//! The store and the reference in memory give the same answers to the same steps.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tenure::{
    FencingToken, LeaseStore, MemoryStore,
    lease::LeaseRecord,
    store::{AcquireOutcome, EvictionMode, ReleaseOutcome, RenewOutcome},
    testing::ManualClock,
};

use crate::support::{LIMIT, TTL, TestCollection};

/// The parts that must be the same: all but the moments.
fn timeless(mut record: LeaseRecord) -> (LeaseRecord, u64) {
    // Time passes in steps of half a ttl; the test itself takes far less.
    let quarters = record.remaining.as_secs_f64() / TTL.as_secs_f64() * 4.0;
    record.remaining = Duration::ZERO;
    record.since = SystemTime::UNIX_EPOCH;
    for acquisition in &mut record.history {
        acquisition.since = SystemTime::UNIX_EPOCH;
    }
    (record, quarters.round() as u64)
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn random_steps_get_the_same_answers_from_the_store_and_the_reference() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..20 {
        walk(&mut rng).await;
    }
}

async fn walk(rng: &mut StdRng) {
    let test_collection = TestCollection::new().await;
    let clock = Arc::new(ManualClock::new());
    let reference = MemoryStore::with_clock(Arc::clone(&clock) as _);
    let candidates = ["a", "b"];
    for step in 0..60 {
        let candidate = candidates[rng.random_range(0..2)];
        let token = FencingToken::new(rng.random_range(0..6));
        let last = reference.read(&test_collection.name, LIMIT).await.unwrap();
        let token = if rng.random_bool(0.7) {
            last.map_or(token, |record| record.token)
        } else {
            token
        };
        let lease = test_collection.lease(candidate, token.get());
        let bid = {
            let mut bid = test_collection.bid(candidate, rng.random_range(0..5));
            bid.reentrant = rng.random_bool(0.2);
            bid
        };
        let (ours, theirs): (&dyn LeaseStore, &dyn LeaseStore) =
            (&test_collection.store, &reference);
        let (mut answers, mut asked) = (Vec::new(), String::new());
        let choice = rng.random_range(0..13);
        for store in [ours, theirs] {
            let (what, answer) = match choice {
                0..4 => {
                    let outcome = store.acquire(&bid, LIMIT).await.unwrap();
                    (
                        format!("{bid:?}"),
                        match outcome {
                            AcquireOutcome::Granted { token } => (true, Some(token), None),
                            AcquireOutcome::Refused(record) => (false, None, Some(record)),
                        },
                    )
                }
                4..6 => {
                    let outcome = store.renew(&lease, TTL, LIMIT).await.unwrap();
                    (
                        format!("renew {lease:?}"),
                        match outcome {
                            RenewOutcome::Renewed { .. } => (true, None, None),
                            RenewOutcome::Lost(record) => (false, None, record),
                        },
                    )
                }
                6..11 => {
                    let outcome = match choice {
                        6 => {
                            store
                                .release(
                                    &test_collection.claim(candidate, token.get()),
                                    None,
                                    LIMIT,
                                )
                                .await
                        }
                        7 => {
                            store
                                .release(&test_collection.attempt(bid.attempt.get()), None, LIMIT)
                                .await
                        }
                        8 => {
                            store
                                .release(&test_collection.owner(candidate), None, LIMIT)
                                .await
                        }
                        9 => {
                            store
                                .evict(&test_collection.name, token, EvictionMode::Close, LIMIT)
                                .await
                        }
                        _ => {
                            store
                                .evict(&test_collection.name, token, EvictionMode::Force, LIMIT)
                                .await
                        }
                    };
                    (
                        format!("{choice} {lease:?}"),
                        match outcome.unwrap() {
                            ReleaseOutcome::Released => (true, None, None),
                            ReleaseOutcome::NotHeld(record) => (false, None, record),
                        },
                    )
                }
                _ => ("time passes".to_owned(), (true, None, None)),
            };
            asked = what;
            let record = store.read(&test_collection.name, LIMIT).await.unwrap();
            answers.push((
                answer.0,
                answer.1,
                answer.2.map(timeless),
                record.map(timeless),
            ));
        }
        assert_eq!(answers[0], answers[1], "step {step}: {asked}");
        if choice >= 11 {
            clock.advance(TTL / 2);
            test_collection.advance(TTL / 2).await;
        }
    }
}
