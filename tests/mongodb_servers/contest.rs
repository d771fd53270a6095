//! Three candidates, each with its own client, that contend for twenty resources.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, Weak},
    thread,
    time::Duration,
};

use actix::prelude::*;
use tenure::{
    BecameFollower, BecameLeader, Leadership, LeaseStore as _, LockActor, LockHandle, MongoStore,
    Reason, Timing,
    clock::{BootClock, Clock as _, Moment},
    start_actor,
};

use crate::{journal, replica_set::ReplicaSet, terms};

pub(crate) const LOCKS: usize = 20;
const CANDIDATES: usize = 3;

/// A leadership that an actor was notified of.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) leadership: Leadership,
    pub(crate) candidate: String,
    pub(crate) at: Moment,
    /// The last call of `is_current()` that returned true began at or before this moment.
    last_true: Moment,
    pub(crate) followed: Option<(Moment, Reason)>,
}

impl Told {
    pub(crate) fn resource(&self) -> &str {
        self.leadership.resource().as_str()
    }

    pub(crate) fn token(&self) -> u64 {
        self.leadership.token().get()
    }

    fn key(&self) -> journal::Key {
        let resource = self.resource().to_owned();
        (resource, self.token(), self.candidate.clone())
    }

    /// The deadline of the leadership, by the log.
    pub(crate) fn deadline(&self) -> Moment {
        journal::find(self.resource())[&self.key()].deadline
    }
}

type Ledger = Arc<Mutex<Vec<Told>>>;

pub(crate) struct Contest {
    resources: Vec<String>,
    ledger: Ledger,
    locks: Vec<LockHandle>,
    _witnesses: Vec<Addr<Witness>>,
}

impl Contest {
    /// Starts the candidates, and waits until each resource has a leader.
    pub(crate) async fn start(set: &ReplicaSet, timing: Timing) -> Self {
        journal::keep();
        let mut stores = Vec::new();
        for _ in 0..CANDIDATES {
            let collection = set.client().await.database("app").collection("leases");
            stores.push(MongoStore::new(collection).call_limit(timing.call_timeout() * 2 / 3));
        }
        stores[0].prepare().await.unwrap();
        let unique = rand::random::<u64>();
        let mut contest = Self {
            resources: (0..LOCKS)
                .map(|lock| format!("{unique:016x}/{lock}"))
                .collect(),
            ledger: Ledger::default(),
            locks: Vec::new(),
            _witnesses: Vec::new(),
        };
        let ledger = Arc::downgrade(&contest.ledger);
        thread::spawn(move || watch(&ledger));
        for (index, resource) in contest.resources.iter().enumerate() {
            for turn in 0..CANDIDATES {
                // With each resource, another candidate starts first.
                let number = (index + turn) % CANDIDATES;
                let candidate = format!("candidate-{number}");
                let lock = LockActor::builder(resource.as_str(), Arc::new(stores[number].clone()))
                    .candidate(candidate.as_str())
                    .timing(timing)
                    .start()
                    .unwrap();
                let ledger = contest.ledger.clone();
                let witness = start_actor(|_| Witness { candidate, ledger }).unwrap();
                lock.subscribe(&witness);
                contest.locks.push(lock);
                contest._witnesses.push(witness);
            }
        }
        contest.all_lead(Duration::from_secs(30)).await;
        contest
    }

    /// Waits until each resource has a leader, and returns the current leaderships.
    pub(crate) async fn all_lead(&self, within: Duration) -> Vec<Told> {
        let end = BootClock.now() + within;
        loop {
            let mut current = self.told();
            current.retain(|told| told.leadership.is_current());
            let led: BTreeSet<_> = current.iter().map(Told::resource).collect();
            if led.len() == LOCKS {
                assert_eq!(current.len(), LOCKS, "two lead one resource: {current:?}");
                return current;
            }
            let led = led.len();
            assert!(
                BootClock.now() < end,
                "only {led} are led after {within:?}: {:?}",
                self.told()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.ledger.lock().unwrap().clone()
    }

    /// Asserts that these still lead, that no other leadership has begun, and that each was renewed by a request
    /// that was sent after this moment.
    pub(crate) fn assert_nothing_happened(&self, leaders: &[Told], since: Moment) {
        let (told, timing) = (self.told(), self.locks[0].timing());
        assert_eq!(told.len(), leaders.len(), "{told:?}");
        for told in told {
            assert_eq!(told.followed, None, "{told:?}");
            assert!(told.leadership.is_current(), "{told:?}");
            assert!(
                told.deadline() > since + (timing.ttl() - timing.margin()),
                "not renewed since: {told:?}"
            );
        }
    }

    /// Asserts that no two leaderships of a resource were current at once, and that no token was granted twice.
    pub(crate) fn assert_guarantee(&self) {
        let told = self.told();
        for resource in &self.resources {
            let told = told.iter().filter(|told| told.resource() == resource);
            let told: Vec<_> = told.collect();
            let keys: BTreeSet<_> = told.iter().map(|told| told.key()).collect();
            assert_eq!(keys.len(), told.len(), "told twice of one token: {told:?}");
            let logged = journal::find(resource);
            assert!(keys.iter().all(|key| logged.contains_key(key)), "{told:?}");
            let terms = logged.iter().map(|(key, logged)| {
                let told = told.iter().find(|told| told.key() == *key);
                let end = logged.ended.unwrap_or(logged.deadline);
                terms::Term {
                    token: key.1,
                    candidate: key.2.clone(),
                    start: told.map_or(logged.start, |told| told.at.min(logged.start)),
                    end: told.map_or(end, |told| told.last_true.max(end)),
                }
            });
            let faults = terms::faults(&terms.collect::<Vec<_>>());
            assert!(faults.is_empty(), "{resource}: {faults:#?}");
        }
    }
}

/// Polls `is_current()` of all leaderships, on a thread that does not belong to the library.
fn watch(ledger: &Weak<Mutex<Vec<Told>>>) {
    while let Some(ledger) = ledger.upgrade() {
        for told in ledger.lock().unwrap().iter_mut() {
            let begun = BootClock.now();
            if told.leadership.is_current() {
                told.last_true = begun;
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
}

struct Witness {
    candidate: String,
    ledger: Ledger,
}

impl Actor for Witness {
    type Context = Context<Self>;
}

impl Handler<BecameLeader> for Witness {
    type Result = ();

    fn handle(&mut self, BecameLeader { leadership }: BecameLeader, _: &mut Context<Self>) {
        let at = BootClock.now();
        self.ledger.lock().unwrap().push(Told {
            leadership,
            candidate: self.candidate.clone(),
            at,
            last_true: at,
            followed: None,
        });
    }
}

impl Handler<BecameFollower> for Witness {
    type Result = ();

    fn handle(&mut self, message: BecameFollower, _: &mut Context<Self>) {
        let at = BootClock.now();
        let mut ledger = self.ledger.lock().unwrap();
        let mut ours = ledger.iter_mut().rev().filter(|told| {
            told.candidate == self.candidate && told.leadership.resource() == &message.resource
        });
        if let Some(told) = ours.find(|told| Some(told.leadership.token()) == message.token) {
            told.followed = Some((at, message.reason));
        }
    }
}
