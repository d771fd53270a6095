//! Many locks of one process that ask at once, under paused time.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::sleep};

use super::UNDER_WAY;
use crate::{
    Guard, LockManager, MemoryStore, Timing,
    testing::{Fault, FaultyStore, TokioClock},
};

const WAITING: usize = 200;

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// ttl 3 s: renewals every second, calls limited to 0.6 s.
struct Lab {
    faulty: FaultyStore,
    locks: LockManager,
}

impl Lab {
    fn new() -> Self {
        let clock = Arc::new(TokioClock::new());
        let memory = MemoryStore::with_clock(clock.clone());
        let faulty = FaultyStore::new(Arc::new(memory));
        let timing = Timing::builder()
            .ttl(seconds(3.0))
            .renew_every(seconds(1.0));
        let locks = LockManager::builder(Arc::new(faulty.clone()))
            .owner("me")
            .clock(clock)
            .timing(timing)
            .build_on_current_runtime()
            .unwrap();
        Self { faulty, locks }
    }

    /// Asks for many locks, of which the store does not answer the first ones.
    fn ask(&self) -> Vec<JoinHandle<Guard>> {
        self.faulty.script(vec![Fault::Hang; UNDER_WAY]);
        let ask = |index| {
            let mutex = self.locks.mutex(format!("m/{index}")).unwrap();
            tokio::spawn(async move { mutex.guard().await.unwrap() })
        };
        (0..WAITING).map(ask).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn the_bids_of_a_process_do_not_wait_in_the_client_of_the_store() {
    let lab = Lab::new();
    let asking = lab.ask();
    sleep(seconds(0.3)).await;
    let sent = lab.faulty.calls().acquire;
    assert_eq!(sent, UNDER_WAY as u64, "the others wait for their turn");
    let mut guards = Vec::new();
    for asks in asking {
        guards.push(asks.await.unwrap());
    }
    let sent = lab.faulty.calls().acquire;
    let needed = (UNDER_WAY + WAITING) as u64;
    assert_eq!(sent, needed, "each asks once, and once more if it hung");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_does_not_wait_for_bids_that_hang() {
    let lab = Lab::new();
    let held = lab.locks.mutex("held").unwrap().guard().await.unwrap();
    sleep(seconds(0.7)).await;
    let asking = lab.ask();
    sleep(seconds(0.5)).await;
    let calls = lab.faulty.calls();
    assert_eq!(calls.acquire, 1 + UNDER_WAY as u64, "they still hang");
    assert_eq!(calls.renew, 1);
    assert!(held.is_current());
    drop(asking);
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_no_longer_wanted_leaves_its_turn_to_the_others() {
    let lab = Lab::new();
    let asking = lab.ask();
    sleep(seconds(0.3)).await;
    for (index, asks) in asking.iter().enumerate() {
        if index % 2 == 0 {
            asks.abort();
        }
    }
    for (index, asks) in asking.into_iter().enumerate() {
        if index % 2 == 1 {
            assert!(asks.await.unwrap().is_current());
        }
    }
}
