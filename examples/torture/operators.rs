//! Operators, who command the holders of leases through the store: without a proxy, and without contending.

use std::{
    sync::{Arc, mpsc::Sender},
    time::Duration,
};

use tenure::{
    LeaseStore, Operator,
    clock::{BootClock, Clock as _, Moment},
    operator::PauseOutcome,
    store::EvictionMode,
};
use tokio::time::{sleep, timeout};

use crate::{
    disturbances::{Disturbance, Scope},
    intervals::Interval,
    process_group::Message,
};

/// The limit of an eviction, which the store may delay.
const EVICT_LIMIT: Duration = Duration::from_secs(5);

/// How long after an error a resource is asked again to resume.
const RESUME_AGAIN: Duration = Duration::from_millis(50);

/// A command, from the moment at which it was given until it was answered or abandoned.
#[derive(Debug)]
pub(crate) enum Commanded {
    Evicted {
        resource: String,
        during: Interval,
    },
    HandedOver {
        resource: String,
        during: Interval,
        /// Whether the answer was that the candidate that was named leads.
        done: bool,
    },
    Paused(Pause),
}

/// A pause, from the command until the answer to its resumption.
#[derive(Clone, Debug)]
pub(crate) struct Pause {
    pub(crate) resource: String,
    pub(crate) during: Interval,
    /// From the answer that nobody holds the lease until the resumption was sent, if there was such an answer.
    pub(crate) confirmed: Option<Interval>,
}

impl Commanded {
    /// What it may cost a lease.
    pub(crate) fn disturbance(&self) -> Disturbance {
        let (what, scope, during) = match self {
            Self::Evicted { resource, during } => {
                ("eviction", Scope::Resource(resource.clone()), during)
            }
            Self::HandedOver {
                resource, during, ..
            } => ("hand-over", Scope::HandOver(resource.clone()), during),
            Self::Paused(pause) => ("pause", Scope::Pause(pause.resource.clone()), &pause.during),
        };
        Disturbance::new(what, scope, during.start, during.end)
    }
}

/// Gives commands, and reports each when it is over.
#[derive(Clone)]
pub(crate) struct Operators {
    store: Arc<dyn LeaseStore>,
    tell: Sender<Message>,
}

impl Operators {
    pub(crate) fn new(store: Arc<dyn LeaseStore>, tell: Sender<Message>) -> Self {
        Self { store, tell }
    }

    pub(crate) async fn evict(self, resource: String) {
        let start = BootClock.now();
        let evict = async {
            let name = resource.parse().ok()?;
            let record = self.store.read(&name, EVICT_LIMIT).await.ok().flatten()?;
            self.store
                .evict(&name, record.token, EvictionMode::Close, EVICT_LIMIT)
                .await
                .ok()
        };
        // An eviction without an answer may have been applied.
        let _ = timeout(EVICT_LIMIT, evict).await;
        let during = since(start);
        self.report(Commanded::Evicted { resource, during });
    }

    /// Asks the leader to hand over, and waits for two ttls.
    pub(crate) async fn hand_over(self, resource: String, to: String, ttl: Duration) {
        let start = BootClock.now();
        let operator = self.operator(ttl);
        let outcome = operator.hand_over(resource.as_str(), to).await;
        // A command without an answer may have been applied.
        let done = outcome.is_ok_and(|outcome| outcome.is_done());
        let during = since(start);
        self.report(Commanded::HandedOver {
            resource,
            during,
            done,
        });
    }

    /// Pauses a resource, waits for two ttls until nobody holds it, and resumes it after `lasting`.
    pub(crate) async fn pause(self, resource: String, ttl: Duration, lasting: Duration) {
        let start = BootClock.now();
        let operator = self.operator(ttl);
        let paused = operator.pause(resource.as_str(), "torture").await;
        let answered = BootClock.now();
        sleep(lasting).await;
        let confirmed = matches!(paused, Ok(PauseOutcome::Paused { .. })).then(|| since(answered));
        while operator.resume(resource.as_str()).await.is_err() {
            sleep(RESUME_AGAIN).await;
        }
        self.report(Commanded::Paused(Pause {
            resource,
            during: since(start),
            confirmed,
        }));
    }

    fn operator(&self, ttl: Duration) -> Operator {
        Operator::new(Arc::clone(&self.store))
            .call_timeout(ttl / 5)
            .poll_every(ttl / 20)
            .wait_for(ttl * 2)
    }

    fn report(&self, commanded: Commanded) {
        // If the receiver is gone, the program is ending.
        let _ = self.tell.send(Message::Commanded(commanded));
    }
}

fn since(start: Moment) -> Interval {
    let end = BootClock.now();
    Interval { start, end }
}
