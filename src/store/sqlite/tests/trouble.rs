use std::{
    fs,
    sync::atomic::{AtomicI64, Ordering},
    time::Instant,
};

use futures::{FutureExt as _, future::join_all};

use super::*;
use crate::clock::Moment;

#[cfg(unix)]
#[tokio::test]
async fn every_request_notices_that_the_file_was_deleted() {
    for suffix in ["", "-wal", "-shm"] {
        let test_file = TestFile::new();
        let store = test_file.store();
        store.acquire(&bid("a", 1), LIMIT).await.unwrap();
        fs::remove_file(test_file.companion(suffix)).unwrap();
        for answer in ask_all(&store)
            .await
            .into_iter()
            .chain([store.prepare().await])
        {
            let error = answer.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error}");
            let says = format!("leases.db{suffix} was deleted or replaced");
            assert!(error.to_string().contains(&says), "{error}");
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn two_stores_do_not_lead_on_two_files_of_one_path() {
    let test_file = TestFile::new();
    let old = test_file.store();
    old.acquire(&bid("a", 1), LIMIT).await.unwrap();
    fs::remove_file(test_file.path()).unwrap();
    for suffix in ["-wal", "-shm"] {
        fs::remove_file(test_file.companion(suffix)).unwrap();
    }
    let new = test_file.store();
    new.acquire(&bid("b", 2), LIMIT).await.unwrap();
    let error = old.renew(&lease("a", 1), TTL, LIMIT).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error}");
    let again = test_file.store();
    refused(again.acquire(&bid("a", 3), LIMIT).await.unwrap());
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_that_is_changed_to_another_file_is_noticed() {
    let test_file = TestFile::new();
    drop(test_file.store());
    let other = TestFile::new();
    let link = other.directory.path().join("link");
    std::os::unix::fs::symlink(test_file.path(), &link).unwrap();
    let store = test_file.builder().open(&link).unwrap();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    refused(
        test_file
            .store()
            .acquire(&bid("b", 2), LIMIT)
            .await
            .unwrap(),
    );
    drop(other.store());
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(other.path(), &link).unwrap();
    let error = store.renew(&lease("a", 1), TTL, LIMIT).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error}");
}

#[tokio::test]
async fn a_database_locked_past_the_limit_is_unavailable_and_nothing_is_applied() {
    let test_file = TestFile::new();
    let limit = Duration::from_millis(60);
    let store = test_file
        .builder()
        .busy_limit(limit)
        .open(test_file.path())
        .unwrap();
    let writer = test_file.sql();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = Instant::now();
    let bids: Vec<_> = (0..40).map(|attempt| bid("a", attempt)).collect();
    // One after another, and yet each within its limit.
    let answers = join_all(bids.iter().map(|bid| store.acquire(bid, LIMIT))).await;
    let took = begun.elapsed();
    for answer in answers {
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("past the busy limit"), "{error}");
    }
    assert!(took >= limit && took < 20 * limit, "{took:?}");
    writer.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.read(&resource(), LIMIT).await.unwrap(), None);
    assert_eq!(
        store.acquire(&bid("a", 1), LIMIT).await.unwrap(),
        granted(1)
    );
}

#[tokio::test]
async fn a_request_waits_for_a_file_lock_that_is_released_within_the_limit() {
    let test_file = TestFile::new();
    let store = test_file
        .builder()
        .busy_limit(60 * SECOND)
        .open(test_file.path())
        .unwrap();
    let writer = test_file.sql();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let bid = bid("a", 1);
    let mut asked = store.acquire(&bid, LIMIT);
    assert!(asked.as_mut().now_or_never().is_none());
    writer.execute_batch("COMMIT").unwrap();
    assert_eq!(asked.await.unwrap(), granted(1));
}

#[tokio::test]
async fn a_dropped_request_does_not_block_the_thread_and_is_not_started() {
    let test_file = TestFile::new();
    let reads = Arc::new(AtomicI64::new(0));
    let clock = BrittleClock(test_file.clock.clone(), reads.clone());
    let builder = on_clock(clock, "test");
    let store = builder
        .busy_limit(600 * SECOND)
        .open(test_file.path())
        .unwrap();
    let writer = test_file.sql();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = Instant::now();
    let (first, second) = (bid("a", 1), bid("b", 2));
    let mut waiting = store.acquire(&first, LIMIT);
    assert!(waiting.as_mut().now_or_never().is_none());
    while reads.load(Ordering::SeqCst) == 0 {
        assert!(begun.elapsed() < 60 * SECOND);
        std::thread::yield_now();
    }
    // The first request has read and waits for the write lock; the second waits for the first.
    let mut queued = store.acquire(&second, LIMIT);
    assert!(queued.as_mut().now_or_never().is_none());
    drop(queued);
    drop(waiting);
    let name = resource();
    let read = tokio::time::timeout(20 * SECOND, store.read(&name, LIMIT)).await;
    assert_eq!(read.expect("the thread still runs").unwrap(), None);
    assert_eq!(
        reads.load(Ordering::SeqCst),
        -2,
        "the second request was started"
    );
    writer.execute_batch("ROLLBACK").unwrap();
    assert_eq!(
        store.acquire(&bid("c", 3), LIMIT).await.unwrap(),
        granted(1)
    );
}

/// A clock that panics at the reading with which its countdown reaches zero.
#[derive(Clone, Debug)]
struct BrittleClock(ManualClock, Arc<AtomicI64>);

impl Clock for BrittleClock {
    fn now(&self) -> Moment {
        let left = self.1.fetch_sub(1, Ordering::SeqCst);
        assert!(left != 1, "the clock broke");
        self.0.now()
    }
}

#[tokio::test]
async fn a_panic_in_a_request_is_an_error_and_leaves_no_lock() {
    let test_file = TestFile::new();
    let reads = Arc::new(AtomicI64::new(0));
    let clock = BrittleClock(test_file.clock.clone(), reads.clone());
    let builder = on_clock(clock, "test");
    let store = builder.open(test_file.path()).unwrap();
    // The second reading is within the transaction.
    for read in [1, 2] {
        reads.store(read, Ordering::SeqCst);
        let error = store.acquire(&bid("a", 1), LIMIT).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unknown, "{error}");
        assert!(
            error.to_string().ends_with("panicked: the clock broke"),
            "{error}"
        );
        let writer = test_file.sql();
        writer.busy_timeout(Duration::ZERO).unwrap();
        writer.execute_batch("BEGIN IMMEDIATE; ROLLBACK").unwrap();
    }
    assert_eq!(
        store.acquire(&bid("a", 1), LIMIT).await.unwrap(),
        granted(1)
    );
}

#[tokio::test]
async fn the_thread_ends_with_the_last_clone() {
    let test_file = TestFile::new();
    let clock = Arc::new(test_file.clock.clone());
    let builder = SqliteStore::builder().clock(clock.clone(), "test");
    let store = builder.open(test_file.path()).unwrap();
    let clone = store.clone();
    drop(store);
    clone.acquire(&bid("a", 1), LIMIT).await.unwrap();
    drop(clone);
    let begun = Instant::now();
    while Arc::strong_count(&clock) > 1 {
        assert!(begun.elapsed() < 60 * SECOND, "the thread still runs");
        std::thread::yield_now();
    }
    assert!(
        !test_file.companion("-wal").exists(),
        "the file was not closed"
    );
}

#[test]
fn a_store_opens_and_answers_without_a_runtime() {
    let test_file = TestFile::new();
    let store = test_file.store();
    let bid = bid("a", 1);
    let mut asked = store.acquire(&bid, LIMIT);
    let begun = Instant::now();
    let outcome = loop {
        assert!(begun.elapsed() < 60 * SECOND);
        match asked.as_mut().now_or_never() {
            Some(outcome) => break outcome,
            None => std::thread::yield_now(),
        }
    };
    assert_eq!(outcome.unwrap(), granted(1));
}

#[tokio::test]
async fn a_request_whose_limit_passes_in_the_queue_is_unavailable_and_not_applied() {
    let test_file = TestFile::new();
    let store = test_file.store();
    let (finish, finished) = std::sync::mpsc::channel::<()>();
    let (started, is_started) = tokio::sync::oneshot::channel();
    let long = store.worker.call(Duration::MAX, move |_| {
        started.send(()).unwrap();
        // It ends when the sender is dropped.
        let _ = finished.recv();
        Ok(())
    });
    let limit = Duration::from_millis(20);
    let late = async {
        is_started.await.unwrap();
        let bid = bid("a", 1);
        let mut late = store.acquire(&bid, limit);
        assert!((&mut late).now_or_never().is_none());
        tokio::time::sleep(limit * 2).await;
        drop(finish);
        late.await
    };
    let (long, late) = futures::join!(long, late);
    long.unwrap();
    let error = late.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("earlier requests"), "{error}");
    assert_eq!(store.read(&resource(), LIMIT).await.unwrap(), None);
}
