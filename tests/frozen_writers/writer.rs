//! A writer process: it writes until a write is refused.

use std::{
    env,
    io::{self, Read as _, Write as _},
    process, thread,
    time::Duration,
};

use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use tenure::{
    LeaseStore,
    lease::{CandidateId, Lease, ResourceName},
    store::{AcquireOutcome, AttemptId, Bid, RenewOutcome},
};
use tokio::time::sleep;

use crate::ledger::{self, ContestStore, Guard, Ledger, Outcome, ROWS};

const VARIABLE: &str = "TENURE_TEST_WRITER";
pub(crate) const TTL: Duration = Duration::from_millis(400);
/// The time limit of a call.
const LIMIT: Duration = TTL;
/// The pause between two writes, so that there are many freezes in a thousand writes.
const PAUSE: Duration = Duration::from_millis(3);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) name: String,
    pub(crate) guard: Guard,
    pub(crate) contest_store: ContestStore,
}

impl Orders {
    pub(crate) fn given() -> Option<Self> {
        let orders = env::var(VARIABLE).ok()?;
        Some(serde_json::from_str(&orders).unwrap())
    }

    pub(crate) fn give(&self, command: &mut process::Command) {
        command.env(VARIABLE, serde_json::to_string(self).unwrap());
    }
}

/// What a writer reports.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Event {
    Leads(u64),
    Wrote(u64, Outcome),
}

impl Event {
    fn say(&self) {
        let line = serde_json::to_string(self).unwrap() + "\n";
        io::stdout().write_all(line.as_bytes()).unwrap();
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn run(orders: &Orders) {
    // The writer ends when the process that started it dies.
    thread::spawn(|| {
        let _ = io::stdin().read(&mut [0]);
        process::exit(0);
    });
    let ledger = ledger::open(&orders.contest_store).await;
    let store = ledger.leases();
    loop {
        let bid = Bid {
            resource: ResourceName::new(orders.contest_store.run.as_str()).unwrap(),
            candidate: CandidateId::new(orders.name.as_str()).unwrap(),
            attempt: AttemptId::generate().unwrap(),
            ttl: TTL,
            metadata: None,
            reentrant: false,
            replaces: None,
            waited: None,
            internal: false,
        };
        if let Ok(AcquireOutcome::Granted { token }) = store.acquire(&bid, LIMIT).await {
            let (resource, holder) = (bid.resource, bid.candidate);
            let lease = Lease {
                resource,
                holder,
                token,
            };
            lead(&*ledger, orders.guard, &lease).await;
        }
        sleep(TTL.mul_f64(rand::rng().random_range(0.1..0.3))).await;
    }
}

/// Writes until a write is refused. Without a guard none is, so it stops when a renewal is refused.
async fn lead(ledger: &dyn Ledger, guard: Guard, lease: &Lease) {
    let token = lease.token.get();
    Event::Leads(token).say();
    let mut renewals = tokio::spawn(renew(ledger.leases(), lease.clone()));
    while guard != Guard::None || !renewals.is_finished() {
        let row = rand::rng().random_range(0..ROWS);
        let outcome = ledger.write(guard, lease, row).await;
        let refused = outcome == Outcome::Refused;
        Event::Wrote(token, outcome).say();
        if refused {
            break;
        }
        sleep(PAUSE).await;
    }
    renewals.abort();
    let _ = (&mut renewals).await;
}

/// Renews the lease until it is lost.
async fn renew(store: std::sync::Arc<dyn LeaseStore>, lease: Lease) {
    loop {
        sleep(TTL / 3).await;
        if let Ok(RenewOutcome::Lost(_)) = store.renew(&lease, TTL, LIMIT).await {
            return;
        }
    }
}
