//! The store and the reference in memory give the same answers to the same steps.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tenure::{
    FencingToken, LeaseStore, MemoryStore,
    lease::{CandidateId, EndReason, Lease, LeaseRecord, Note, ResourceName},
    store::{
        AcquireOutcome, AttemptId, Bid, EvictionMode, InstructOutcome, Instruction, ReleaseOutcome,
        ReleaseTarget, RenewOutcome,
    },
    testing::ManualClock,
};

use crate::support::{LIMIT, TTL, TestCollection};

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn random_steps_get_the_same_answers_from_the_store_and_the_reference() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..30 {
        walk(&mut rng).await;
    }
}

async fn walk(rng: &mut StdRng) {
    let test_collection = TestCollection::new().await;
    let clock = Arc::new(ManualClock::new());
    let name = &test_collection.name;
    let mut ours = Side::new(Arc::new(test_collection.store.clone()), name);
    let mut theirs = Side::new(
        Arc::new(MemoryStore::with_clock(Arc::clone(&clock) as _)),
        name,
    );
    for number in 0..60 {
        let step = Step::draw(rng);
        let answers = (ours.take(&step).await, theirs.take(&step).await);
        assert_eq!(answers.0, answers.1, "step {number}: {step:?}");
        if rng.random_bool(0.15) {
            clock.advance(TTL / 2);
            test_collection.advance(TTL / 2).await;
        }
    }
}

/// A request, whose token and edition are counted from those of the record.
#[derive(Debug)]
struct Step {
    choice: u32,
    candidate: CandidateId,
    other: CandidateId,
    attempt: AttemptId,
    reason: Option<EndReason>,
    /// Added to the number that the record has.
    token: i64,
    edition: i64,
    reentrant: bool,
    replaces: bool,
    waited: bool,
    internal: bool,
}

impl Step {
    fn draw(rng: &mut StdRng) -> Self {
        let mut candidate = || CandidateId::new(["a", "b"][rng.random_range(0..2)]).unwrap();
        let (candidate, other) = (candidate(), candidate());
        let mut off = || match rng.random_range(0..10) {
            0 => -1,
            1 => 1,
            _ => 0,
        };
        let (token, edition) = (off(), off());
        let reasons = [None, Some(EndReason::Resigned), Some(EndReason::Paused)];
        Self {
            choice: rng.random_range(0..22),
            candidate,
            other,
            attempt: AttemptId::new(rng.random_range(0..5)),
            reason: reasons[rng.random_range(0..3)],
            token,
            edition,
            reentrant: rng.random_bool(0.2),
            replaces: rng.random_bool(0.3),
            waited: rng.random_bool(0.3),
            internal: rng.random_bool(0.1),
        }
    }
}

/// One of the two stores.
struct Side {
    store: Arc<dyn LeaseStore>,
    name: ResourceName,
    first: Option<u64>,
}

impl Side {
    fn new(store: Arc<dyn LeaseStore>, name: &ResourceName) -> Self {
        let (name, first) = (name.clone(), None);
        Self { store, name, first }
    }

    async fn read(&self) -> Option<LeaseRecord> {
        self.store.read(&self.name, LIMIT).await.unwrap()
    }

    /// The answer, and the record after it, without what differs between two stores.
    async fn take(&mut self, step: &Step) -> (String, String) {
        let before = self.read().await;
        let token = before.as_ref().map_or(0, |record| record.token.get());
        let token = FencingToken::new(token.saturating_add_signed(step.token));
        let edition = before.map_or(0, |record| record.edition);
        let edition = edition.saturating_add_signed(step.edition);
        let (store, resource) = (&self.store, &self.name);
        let lease = Lease {
            resource: resource.clone(),
            holder: step.candidate.clone(),
            token,
        };
        let answer = match step.choice {
            0..5 => {
                let bid = Bid {
                    resource: resource.clone(),
                    candidate: step.candidate.clone(),
                    attempt: step.attempt,
                    ttl: TTL,
                    metadata: None,
                    reentrant: step.reentrant,
                    replaces: step.replaces.then_some(token),
                    waited: step.waited.then_some(token),
                    internal: step.internal,
                };
                match store.acquire(&bid, LIMIT).await.unwrap() {
                    AcquireOutcome::Refused(record) => ("refused".to_owned(), Some(record)),
                    granted => (format!("{granted:?}"), None),
                }
            }
            5..8 => renewed(store.renew(&lease, TTL, LIMIT).await.unwrap()),
            8..10 => {
                // Beside one that is not there, so that it is a batch.
                let mut absent = lease.clone();
                absent.resource = ResourceName::new(format!("{resource}-absent")).unwrap();
                let batch = [(lease, TTL), (absent, TTL)];
                let mut outcomes = store.renew_many(&batch, LIMIT).await;
                assert_eq!(outcomes.pop().unwrap().unwrap(), RenewOutcome::Lost(None));
                renewed(outcomes.pop().unwrap().unwrap())
            }
            10..13 => {
                let claim = match step.choice {
                    10 => ReleaseTarget::Lease(lease),
                    11 => ReleaseTarget::Attempt {
                        resource: resource.clone(),
                        attempt: step.attempt,
                    },
                    _ => ReleaseTarget::Holder {
                        resource: resource.clone(),
                        holder: step.candidate.clone(),
                    },
                };
                ended(store.release(&claim, step.reason, LIMIT).await.unwrap())
            }
            13 => ended(
                store
                    .evict(resource, token, EvictionMode::Close, LIMIT)
                    .await
                    .unwrap(),
            ),
            14 => ended(
                store
                    .evict(resource, token, EvictionMode::Force, LIMIT)
                    .await
                    .unwrap(),
            ),
            15 => {
                let purged = store.purge(&resource.scope(), Duration::ZERO, LIMIT).await;
                (format!("purged {}", purged.unwrap()), None)
            }
            choice => {
                let note = Note::new(format!("by $$NOW {edition}")).unwrap();
                let instruction = match choice {
                    16 | 17 => Instruction::Pause { note, edition },
                    18 | 19 => Instruction::Resume { edition },
                    _ => Instruction::HandOver {
                        token,
                        to: step.other.clone(),
                    },
                };
                match store.instruct(resource, &instruction, LIMIT).await.unwrap() {
                    InstructOutcome::Refused(record) => ("refused".to_owned(), record),
                    instructed => (format!("{instructed:?}"), None),
                }
            }
        };
        let after = self.read().await;
        if after.is_none() {
            self.first = None;
        }
        if let Some(record) = &after {
            self.first.get_or_insert(record.token.get());
        }
        let (answer, shown) = answer;
        let answer = format!("{answer} {:?}", shown.map(timeless));
        let after = format!("{:?}", after.map(timeless));
        (self.comparable(&answer), self.comparable(&after))
    }

    /// Counts the tokens of this store from 1.
    fn comparable(&self, text: &str) -> String {
        let Some(first) = self.first else {
            return text.to_owned();
        };
        let mut text = text.to_owned();
        for number in (0..80).rev() {
            text = text.replace(&(first + number).to_string(), &format!("#{}", number + 1));
        }
        text
    }
}

/// An outcome, and the record in it.
type Answer = (String, Option<LeaseRecord>);

fn renewed(outcome: RenewOutcome) -> Answer {
    match outcome {
        RenewOutcome::Lost(record) => ("lost".to_owned(), record),
        renewed => (format!("{renewed:?}"), None),
    }
}

fn ended(outcome: ReleaseOutcome) -> Answer {
    match outcome {
        ReleaseOutcome::NotHeld(record) => ("not held".to_owned(), record),
        released => (format!("{released:?}"), None),
    }
}

/// All but the moments, which differ between two stores.
fn timeless(mut record: LeaseRecord) -> (LeaseRecord, u64) {
    // Time passes in steps of half a ttl; the test itself takes far less.
    let quarters = record.remaining.as_secs_f64() / TTL.as_secs_f64() * 4.0;
    record.remaining = Duration::ZERO;
    record.since = SystemTime::UNIX_EPOCH;
    record.touched = SystemTime::UNIX_EPOCH;
    if let Some(pause) = &mut record.pause {
        pause.since = SystemTime::UNIX_EPOCH;
    }
    for acquisition in &mut record.history {
        acquisition.since = SystemTime::UNIX_EPOCH;
        if let Some(ended) = &mut acquisition.ended {
            ended.at = SystemTime::UNIX_EPOCH;
        }
    }
    (record, quarters.round() as u64)
}
