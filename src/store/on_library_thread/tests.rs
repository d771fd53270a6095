use std::thread;

use futures::stream;

use super::*;
use crate::{
    store::{
        MemoryStore,
        fixtures::{LIMIT, TTL, bid, claim, granted, lease, refused, resource},
    },
    testing::{Fault, FaultyStore, TokioClock},
};

/// Waits on a runtime without I/O and timers.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(work)
}

fn hosted(inner: impl LeaseStore + 'static) -> OnLibraryThread {
    OnLibraryThread::new(Arc::new(inner), LibraryThread::of_locks().unwrap())
}

#[test]
fn every_request_reaches_the_store_and_its_answer_comes_back() {
    block_on(async {
        // Its first token is 1.
        let store = hosted(MemoryStore::with_clock(Arc::new(TokioClock::new())));
        assert_eq!((store.kind(), store.min_ttl()), ("memory", TTL / 10_000));
        assert!(format!("{store:?}").starts_with("MemoryStore"));
        store.prepare().await.unwrap();
        assert_eq!(
            store.acquire(&bid("a", 1), LIMIT).await.unwrap(),
            granted(1)
        );
        refused(store.acquire(&bid("b", 2), LIMIT).await.unwrap());
        let renewed = store.renew(&lease("a", 1), TTL, LIMIT).await.unwrap();
        assert_eq!(renewed, RenewOutcome::RENEWED);
        let record = store.read(&resource(), LIMIT).await.unwrap();
        assert_eq!(record.unwrap().token.get(), 1);
        assert_eq!(
            store.list(&resource().scope(), LIMIT).await.unwrap().len(),
            1
        );
        let token = FencingToken::new(1);
        let evicted = store
            .evict(&resource(), token, EvictionMode::Close, LIMIT)
            .await;
        assert_eq!(evicted.unwrap(), ReleaseOutcome::Released);
        let leases = [(lease("a", 1), TTL), (lease("b", 1), TTL)];
        for outcome in store.renew_many(&leases, LIMIT).await {
            assert!(matches!(outcome.unwrap(), RenewOutcome::Lost(Some(_))));
        }
        let released = store.release(&claim("a", 1), None, LIMIT).await.unwrap();
        assert_eq!(released, ReleaseOutcome::Released);
        assert!(store.watch(TTL).is_some());
    });
}

#[test]
fn a_panic_in_a_request_is_an_unknown_outcome() {
    let faulty = FaultyStore::new(Arc::new(MemoryStore::new()));
    faulty.always(Fault::Panic);
    let store = hosted(faulty);
    let error = block_on(store.acquire(&bid("a", 1), LIMIT)).unwrap_err();
    let expected = "memory acquire: outcome unknown: the store panicked: injected panic in acquire";
    assert_eq!(error.to_string(), expected);
    let errors = block_on(store.renew_many(&[(lease("a", 1), TTL), (lease("b", 1), TTL)], LIMIT));
    assert_eq!(errors.len(), 2);
    for error in errors {
        assert_eq!(error.unwrap_err().operation(), Operation::Renew);
    }
}

#[test]
fn a_request_to_a_thread_that_has_ended_is_an_error_that_says_so() {
    for (lost, kind) in [
        (TaskLost::Gone, StoreErrorKind::Unavailable),
        (TaskLost::Ended, StoreErrorKind::Unknown),
    ] {
        let error = error(&lost, "mongodb", Operation::Renew);
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().ends_with("open the store again"));
    }
}

/// A store that notes the thread of each request.
#[derive(Debug)]
struct ThreadReportingStore;

fn name_of_thread() -> String {
    thread::current().name().unwrap_or_default().to_owned()
}

#[async_trait]
impl LeaseStore for ThreadReportingStore {
    fn kind(&self) -> &'static str {
        "watched"
    }
    async fn prepare(&self) -> Result<(), StoreError> {
        // Needs the runtime of the thread.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let (kind, name) = (StoreErrorKind::Unsupported, name_of_thread());
        Err(StoreError::new(kind, "watched", Operation::Prepare, name))
    }
    async fn acquire(&self, _: &Bid, _: Duration) -> Result<AcquireOutcome, StoreError> {
        unreachable!("the test sends no bid")
    }
    async fn renew(&self, _: &Lease, _: Duration, _: Duration) -> Result<RenewOutcome, StoreError> {
        unreachable!("the test sends no renewal")
    }
    async fn release(
        &self,
        _: &ReleaseTarget,
        _: Option<EndReason>,
        _: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        unreachable!("the test sends no release")
    }
    async fn read(&self, _: &ResourceName, _: Duration) -> Result<Option<LeaseRecord>, StoreError> {
        unreachable!("the test sends no read")
    }
    async fn list(&self, _: &Scope, _: Duration) -> Result<Vec<LeaseRecord>, StoreError> {
        unreachable!("the test sends no list")
    }
    async fn evict(
        &self,
        _: &ResourceName,
        _: FencingToken,
        _: EvictionMode,
        _: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        unreachable!("the test sends no eviction")
    }
    async fn instruct(
        &self,
        _: &ResourceName,
        _: &Instruction,
        _: Duration,
    ) -> Result<InstructOutcome, StoreError> {
        unreachable!("the test sends no instruction")
    }
    async fn purge(&self, _: &Scope, _: Duration, _: Duration) -> Result<u64, StoreError> {
        unreachable!("the test sends no purge")
    }
    fn watch(&self, _: Duration) -> Option<BoxStream<'static, StoreEvent>> {
        // Yields two events, if it is polled on the right thread.
        let right = || name_of_thread() == "tenure-locks";
        let events = [StoreEvent::Changed(resource()), StoreEvent::LookAtAll];
        let changes = stream::iter(events).take_while(move |_| futures::future::ready(right()));
        Some(changes.boxed())
    }
}

#[test]
fn requests_run_on_the_thread_of_the_locks() {
    let error = block_on(hosted(ThreadReportingStore).prepare()).unwrap_err();
    assert!(error.to_string().ends_with("tenure-locks"), "{error}");
}

#[test]
fn changes_are_passed_on_until_there_are_no_more() {
    let changes = hosted(ThreadReportingStore).watch(TTL).unwrap();
    let events: Vec<_> = block_on(changes.collect());
    let sent = [StoreEvent::Changed(resource()), StoreEvent::LookAtAll];
    assert_eq!(events, sent);
}

/// Runs the whole contract through the thread.
#[cfg(feature = "conformance")]
mod contract {
    use super::*;
    use crate::{
        conformance::{Capabilities, Subject, not_applicable},
        testing::ManualClock,
    };

    struct MemoryOnLibraryThread {
        store: Arc<OnLibraryThread>,
        clock: ManualClock,
    }

    impl MemoryOnLibraryThread {
        fn new() -> Self {
            let clock = ManualClock::new();
            let memory = MemoryStore::with_clock(Arc::new(clock.clone()));
            let store = Arc::new(hosted(memory));
            Self { store, clock }
        }
    }

    #[async_trait]
    impl Subject for MemoryOnLibraryThread {
        fn capabilities(&self) -> Capabilities {
            let mut capabilities = Capabilities::new(Duration::from_secs(10));
            capabilities.can_watch = true;
            capabilities.watch_tells_acquisitions = true;
            capabilities
        }

        async fn client(&self) -> Arc<dyn LeaseStore> {
            self.store.clone()
        }

        async fn pass(&self, time: Duration) {
            self.clock.advance(time);
        }
    }

    crate::conformance!(MemoryOnLibraryThread::new());

    #[test]
    fn the_cases_that_do_not_apply_are_known() {
        let mut capabilities = MemoryOnLibraryThread::new().capabilities();
        // It passes no registers on yet.
        capabilities.registers = true;
        assert_eq!(
            not_applicable(&capabilities),
            [
                "unknown_fields_are_kept",
                "a_record_of_a_newer_format_is_not_written",
                "a_write_that_gets_no_answer_fails_within_its_limit",
                "a_put_that_gets_no_answer_fails_within_its_limit",
            ]
        );
    }
}
