//! One watch for all locks of a store, under paused time.

use std::future::poll_fn;

use super::*;
use crate::{
    election::RecordEvent,
    store::{MemoryStore, fixtures},
    testing::{FaultyStore, WatchFault},
};

const LIMIT: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_secs(2);

fn name(index: usize) -> ResourceName {
    ResourceName::new(format!("r/{index}")).unwrap()
}

struct Lab {
    faulty: FaultyStore,
    store: Arc<dyn LeaseStore>,
}

impl Lab {
    fn new() -> Self {
        let faulty = FaultyStore::new(Arc::new(MemoryStore::new()));
        let store: Arc<dyn LeaseStore> = Arc::new(faulty.clone());
        Self { faulty, store }
    }

    fn join(&self, index: usize) -> StoreWatch {
        let mut watch = StoreWatch::default();
        watch.join(&self.store, &name(index), POLL);
        watch
    }

    async fn acquire(&self, index: usize) {
        let mut bid = fixtures::bid("a", 1);
        bid.resource = name(index);
        self.store.acquire(&bid, LIMIT).await.unwrap();
    }

    async fn release(&self, index: usize) {
        let record = self.store.read(&name(index), LIMIT).await.unwrap().unwrap();
        let lease = crate::lease::Lease {
            resource: name(index),
            holder: record.holder.unwrap(),
            token: record.token,
        };
        let claim = crate::store::ReleaseTarget::Lease(lease);
        self.store.release(&claim, None, LIMIT).await.unwrap();
    }
}

async fn next(watch: &mut StoreWatch) -> WatchNews {
    poll_fn(|cx| watch.poll(cx)).await
}

async fn is_quiet(watch: &mut StoreWatch, time: Duration) -> bool {
    timeout(time, next(watch)).await.is_err()
}

/// The news of a stream that has come: events before it may be lost.
const COME: WatchNews = WatchNews {
    event: Some(RecordEvent::Lost),
    pushed: Some(true),
};

const GONE: WatchNews = WatchNews {
    event: None,
    pushed: Some(false),
};

fn event(event: RecordEvent) -> WatchNews {
    WatchNews {
        event: Some(event),
        pushed: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_locks_share_one_stream_and_each_event_reaches_those_of_its_resource() {
    let lab = Lab::new();
    let mut watches: Vec<StoreWatch> = (0..1000).map(|index| lab.join(index)).collect();
    let mut twin = lab.join(7);
    for watch in watches.iter_mut().chain([&mut twin]) {
        assert_eq!(next(watch).await, COME);
    }
    lab.acquire(7).await;
    let acquired = event(RecordEvent::Acquired { ttl: fixtures::TTL });
    assert_eq!(next(&mut watches[7]).await, acquired);
    assert_eq!(next(&mut twin).await, acquired);
    lab.release(7).await;
    assert_eq!(next(&mut watches[7]).await, event(RecordEvent::Changed));
    assert!(is_quiet(&mut watches[8], POLL * 3).await);
    assert_eq!(lab.faulty.calls().watch, 1);
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_joins_later_looks_once() {
    let lab = Lab::new();
    let mut first = lab.join(1);
    assert_eq!(next(&mut first).await, COME);
    assert_eq!(next(&mut lab.join(1)).await, COME);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_falls_silent_is_given_up_within_half_a_poll_and_comes_back() {
    let lab = Lab::new();
    let mut watch = lab.join(1);
    assert_eq!(next(&mut watch).await, COME);
    lab.faulty.watch_fault(WatchFault::Silent);
    let news = timeout(POLL / 2 + Duration::from_millis(1), next(&mut watch)).await;
    assert_eq!(news.unwrap(), GONE);
    lab.faulty.watch_fault(WatchFault::None);
    assert_eq!(next(&mut watch).await, COME);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_is_opened_again_with_backoff() {
    let lab = Lab::new();
    let mut watch = lab.join(1);
    assert_eq!(next(&mut watch).await, COME);
    lab.faulty.watch_fault(WatchFault::Ended);
    assert_eq!(next(&mut watch).await, GONE);
    tokio::time::sleep(Duration::from_secs(600)).await;
    let opened = lab.faulty.calls().watch;
    assert!((15..60).contains(&opened), "opened {opened} times");
    lab.faulty.watch_fault(WatchFault::None);
    assert_eq!(next(&mut watch).await, COME);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_panics_is_never_opened_again() {
    let lab = Lab::new();
    let mut watch = lab.join(1);
    assert_eq!(next(&mut watch).await, COME);
    lab.faulty.watch_fault(WatchFault::Panic);
    assert_eq!(next(&mut watch).await, GONE);
    lab.faulty.watch_fault(WatchFault::None);
    assert!(is_quiet(&mut watch, Duration::from_secs(600)).await);
    assert_eq!(lab.faulty.calls().watch, 1);
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_with_its_last_lock_and_the_next_lock_opens_another() {
    let lab = Lab::new();
    let mut watch = lab.join(1);
    assert_eq!(next(&mut watch).await, COME);
    watch.leave();
    assert_eq!(next(&mut lab.join(1)).await, COME);
    assert_eq!(lab.faulty.calls().watch, 2);
    tokio::time::sleep(POLL).await;
    assert_eq!(Arc::strong_count(&lab.store), 1, "no task keeps the store");
}

#[tokio::test(start_paused = true)]
async fn a_more_impatient_lock_gets_a_stream_that_is_alive_more_often() {
    let lab = Lab::new();
    let mut watch = lab.join(1);
    assert_eq!(next(&mut watch).await, COME);
    let mut impatient = StoreWatch::default();
    impatient.join(&lab.store, &name(2), POLL / 10);
    tokio::time::sleep(POLL).await;
    lab.faulty.watch_fault(WatchFault::Silent);
    next(&mut impatient).await;
    let gone = timeout(POLL / 10, async {
        while next(&mut impatient).await.pushed != Some(false) {}
    });
    assert!(gone.await.is_ok());
}
