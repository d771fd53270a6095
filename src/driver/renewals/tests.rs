//! Many guards of one process on a store that fails on purpose, under paused time.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use crate::{
    Guard, LockManager, MemoryStore, Reason, Timing,
    mutants::{self, Mutant},
    store::{EvictionMode, LeaseStore as _, StoreErrorKind},
    testing::{Fault, FaultyStore, TokioClock, WatchFault},
};

const LIMIT: Duration = Duration::from_secs(1);

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// ttl 3 s, margin 0.3 s: renewals every second, calls limited to 0.6 s.
struct Lab {
    faulty: FaultyStore,
    memory: MemoryStore,
    guards: Vec<Guard>,
}

impl Lab {
    async fn with(count: usize) -> Self {
        let clock = Arc::new(TokioClock::new());
        let memory = MemoryStore::with_clock(clock.clone());
        let faulty = FaultyStore::new(Arc::new(memory.clone()));
        let locks = LockManager::builder(Arc::new(faulty.clone()))
            .owner("me")
            .clock(clock)
            .timing(
                Timing::builder()
                    .ttl(seconds(3.0))
                    .renew_every(seconds(1.0)),
            )
            .build_on_current_runtime()
            .unwrap();
        let mut guards = Vec::new();
        for index in 0..count {
            let mutex = locks.mutex(format!("m/{index}")).unwrap();
            guards.push(mutex.guard().await.unwrap());
        }
        Self {
            faulty,
            memory,
            guards,
        }
    }

    /// The number of guards that are lost.
    fn lost(&self) -> usize {
        let lost = self.guards.iter().filter(|guard| !guard.is_current());
        lost.count()
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_leases_are_renewed_with_at_most_four_requests_a_second() {
    let lab = Lab::with(1000).await;
    let before = lab.faulty.calls();
    sleep(seconds(10.0)).await;
    let sent = lab.faulty.calls().total() - before.total();
    assert!((9..=40).contains(&sent), "{sent} requests in 10 s");
    assert_eq!(lab.lost(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_alone_is_renewed_alone() {
    let lab = Lab::with(1).await;
    sleep(seconds(10.0)).await;
    let calls = lab.faulty.calls();
    assert_eq!(calls.renew_many, 0);
    assert!((9..=12).contains(&calls.renew), "{calls:?}");
}

async fn one_evicted_of_a_batch() -> (usize, Reason) {
    let lab = Lab::with(20).await;
    // Otherwise the lock hears of the eviction, and renews alone.
    lab.faulty.watch_fault(WatchFault::Deaf);
    sleep(seconds(2.0)).await;
    let lease = lab.guards[7].lease().clone();
    let (resource, token) = (&lease.resource, lease.token);
    let evicted = lab
        .memory
        .evict(resource, token, EvictionMode::Close, LIMIT);
    evicted.await.unwrap();
    sleep(seconds(1.5)).await;
    (lab.lost(), lab.guards[7].lost().await)
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_of_a_batch_does_not_hurt_the_others() {
    let (lost, reason) = one_evicted_of_a_batch().await;
    assert_eq!((lost, reason), (1, Reason::Evicted));
}

#[test]
fn the_fault_of_a_loss_that_is_reported_as_a_renewal_is_caught() {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime
            .block_on(async { tokio::time::timeout(seconds(60.0), one_evicted_of_a_batch()).await })
    };
    let found = mutants::with(Some(Mutant::LossInBatchTakenForRenewal), run);
    assert_ne!(found.ok(), Some((1, Reason::Evicted)));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_fails_is_tried_again_within_the_deadlines() {
    for fault in [
        Fault::Error(StoreErrorKind::Unavailable),
        Fault::LostRequest,
        Fault::LostReply,
        Fault::HalfBatch,
        Fault::Hang,
        Fault::Panic,
        Fault::Duplicate,
    ] {
        let lab = Lab::with(50).await;
        sleep(seconds(1.5)).await;
        lab.faulty.always(fault);
        sleep(seconds(1.2)).await;
        lab.faulty.always(None);
        sleep(seconds(5.0)).await;
        assert_eq!(lab.lost(), 0, "{fault:?}");
        let before = lab.faulty.calls().total();
        sleep(seconds(10.0)).await;
        let sent = lab.faulty.calls().total() - before;
        assert!(sent <= 40, "{sent} requests in 10 s after {fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn retries_are_sent_together_too() {
    let lab = Lab::with(200).await;
    sleep(seconds(2.0)).await;
    lab.faulty.always(Fault::Error(StoreErrorKind::Unavailable));
    let before = lab.faulty.calls();
    sleep(seconds(2.0)).await;
    let after = lab.faulty.calls();
    let sent = after.total() - before.total();
    assert!(sent < 100, "{before:?} -> {after:?}");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_counts_from_before_the_batch_is_sent() {
    let lab = Lab::with(20).await;
    sleep(seconds(1.5)).await;
    lab.faulty.always(Fault::Delay(seconds(0.5)));
    for _ in 0..100 {
        sleep(seconds(0.05)).await;
        for guard in &lab.guards {
            // A renewal that takes half a second gives no more than what is left of ttl - margin.
            let renewed_slowly = lab.faulty.calls().renew_many >= 4;
            if renewed_slowly {
                assert!(guard.remaining() <= seconds(2.7 - 0.5) + seconds(0.001));
            }
        }
    }
    assert_eq!(lab.lost(), 0);
}

#[tokio::test(start_paused = true)]
async fn short_locks_leave_no_seats_behind() {
    let clock = Arc::new(TokioClock::new());
    let store: Arc<dyn crate::LeaseStore> = Arc::new(MemoryStore::with_clock(clock.clone()));
    let locks = LockManager::builder(store.clone()).clock(clock);
    let locks = locks.build_on_current_runtime().unwrap();
    let kept = locks.mutex("kept").unwrap().guard().await.unwrap();
    for index in 0..500 {
        let mutex = locks.mutex(format!("m/{index}")).unwrap();
        mutex.guard().await.unwrap().release().await.unwrap();
    }
    let seats = super::Renewals::of(&store).collecting().seats.len();
    assert!(seats < 50, "{seats} seats");
    assert!(kept.is_current());
}
