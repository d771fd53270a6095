//! Leases whose expiry is on another clock, so that a store has to observe it.

use super::*;

/// A lease that `a` holds under token 1, and a store for whose clock that lease is foreign.
struct ForeignLease {
    test_file: TestFile,
    /// The store of the holder. It reads the clock of the test file.
    here: SqliteStore,
    there: SqliteStore,
    /// The clock that `there` reads: far ahead, under another identity.
    clock: ManualClock,
}

impl ForeignLease {
    async fn new() -> Self {
        Self::with(&bid("a", 1), Duration::ZERO).await
    }

    /// Acquired with this bid when the holder's clock has reached `started`.
    async fn with(bid: &Bid, started: Duration) -> Self {
        let test_file = TestFile::new();
        test_file.clock.advance(started);
        let here = test_file.store();
        assert_eq!(here.acquire(bid, LIMIT).await.unwrap(), granted(1));
        let clock = ManualClock::new();
        clock.advance(1_000_000 * SECOND);
        let builder = on_clock(clock.clone(), "elsewhere");
        let there = builder.open(test_file.path()).unwrap();
        Self {
            test_file,
            here,
            there,
            clock,
        }
    }

    /// The bid of another candidate, on the foreign clock.
    async fn acquire_there(&self) -> AcquireOutcome {
        self.there.acquire(&bid("b", 2), LIMIT).await.unwrap()
    }

    async fn renew_here(&self) {
        let renewed = self.here.renew(&lease("a", 1), TTL, LIMIT).await;
        assert_eq!(renewed.unwrap(), RenewOutcome::RENEWED);
    }

    async fn list_there(&self) -> Vec<LeaseRecord> {
        let there = self.there.clone();
        there.list(&resource().scope(), LIMIT).await.unwrap()
    }
}

#[tokio::test]
async fn a_foreign_lease_is_free_after_its_whole_ttl_was_observed() {
    let foreign = ForeignLease::new().await;
    let record = refused(foreign.acquire_there().await);
    assert_eq!(record.remaining, TTL, "never free at once");
    foreign.test_file.clock.advance(1_000_000 * SECOND);
    foreign.clock.advance(TTL - Duration::from_nanos(1));
    let record = refused(foreign.acquire_there().await);
    assert_eq!(record.remaining, Duration::from_nanos(1));
    foreign.clock.advance(Duration::from_nanos(1));
    assert_eq!(foreign.acquire_there().await, granted(2));
    // The expiry is on the clock of the new holder now, and foreign to the old one.
    let renewed = foreign.there.renew(&lease("b", 2), TTL, LIMIT).await;
    assert_eq!(renewed.unwrap(), RenewOutcome::RENEWED);
    refused(foreign.here.acquire(&bid("a", 3), LIMIT).await.unwrap());
}

#[tokio::test]
async fn a_clock_behind_does_not_prolong_a_foreign_lease() {
    let foreign = ForeignLease::with(&bid("a", 1), 9_000_000 * SECOND).await;
    refused(foreign.acquire_there().await);
    foreign.clock.advance(TTL);
    assert_eq!(foreign.acquire_there().await, granted(2));
}

#[tokio::test]
async fn a_foreign_lease_is_observed_for_the_ttl_of_its_holder() {
    let mut long = bid("a", 1);
    long.ttl = 6 * TTL;
    let foreign = ForeignLease::with(&long, Duration::ZERO).await;
    refused(foreign.acquire_there().await);
    foreign.clock.advance(6 * TTL - SECOND);
    refused(foreign.acquire_there().await);
    foreign.clock.advance(SECOND);
    assert_eq!(foreign.acquire_there().await, granted(2));
}

#[tokio::test]
async fn an_observation_starts_again_when_the_version_changes() {
    let foreign = ForeignLease::new().await;
    refused(foreign.acquire_there().await);
    foreign.clock.advance(TTL - SECOND);
    foreign.renew_here().await;
    let record = refused(foreign.acquire_there().await);
    assert_eq!(record.remaining, TTL);
    foreign.clock.advance(TTL - SECOND);
    refused(foreign.acquire_there().await);
    foreign.clock.advance(SECOND);
    assert_eq!(foreign.acquire_there().await, granted(2));
}

#[tokio::test]
async fn a_renewal_just_before_the_takeover_prevents_it() {
    let foreign = ForeignLease::new().await;
    refused(foreign.acquire_there().await);
    foreign.clock.advance(TTL);
    foreign.renew_here().await;
    refused(foreign.acquire_there().await);
}

#[tokio::test]
async fn a_foreign_holder_that_keeps_renewing_is_never_taken_over() {
    let foreign = ForeignLease::new().await;
    for _ in 0..40 {
        for _ in 0..3 {
            refused(foreign.acquire_there().await);
            foreign.clock.advance(TTL / 3);
            foreign.test_file.clock.advance(TTL / 3);
        }
        let now = foreign.test_file.clock.now();
        foreign.test_file.clock.advance_to(now);
        foreign.renew_here().await;
    }
}

#[tokio::test]
async fn clones_of_a_store_share_observations_across_requests() {
    let foreign = ForeignLease::new().await;
    let record = foreign.there.read(&resource(), LIMIT).await.unwrap();
    assert_eq!(record.unwrap().remaining, TTL);
    foreign.clock.advance(TTL / 2);
    assert_eq!(foreign.list_there().await[0].remaining, TTL / 2);
    foreign.clock.advance(TTL / 2);
    assert_eq!(foreign.acquire_there().await, granted(2));
}

#[tokio::test]
async fn a_list_begins_an_observation() {
    let foreign = ForeignLease::new().await;
    assert_eq!(foreign.list_there().await[0].remaining, TTL);
    foreign.clock.advance(TTL);
    assert_eq!(foreign.list_there().await[0].remaining, Duration::ZERO);
    assert_eq!(foreign.acquire_there().await, granted(2));
}

#[tokio::test]
async fn a_foreign_lease_is_not_renewed_but_may_be_released() {
    let foreign = ForeignLease::new().await;
    let before = foreign.test_file.row();
    let lost = foreign.there.renew(&lease("a", 1), TTL, LIMIT).await;
    let lost = lost.unwrap();
    assert!(matches!(lost, RenewOutcome::Lost(Some(_))), "{lost:?}");
    assert_eq!(foreign.test_file.row(), before);
    let released = foreign.there.release(&claim("a", 1), None, LIMIT).await;
    assert_eq!(released.unwrap(), ReleaseOutcome::Released);
    assert_eq!(foreign.acquire_there().await, granted(2));
}

#[tokio::test]
async fn an_attempt_under_a_foreign_clock_does_not_get_its_token_back() {
    let foreign = ForeignLease::new().await;
    let again = bid("a", 1);
    refused(foreign.there.acquire(&again, LIMIT).await.unwrap());
    foreign.clock.advance(TTL);
    let acquired = foreign.there.acquire(&again, LIMIT).await;
    assert_eq!(acquired.unwrap(), granted(2));
}

#[tokio::test]
async fn an_eviction_does_not_change_a_foreign_expiry() {
    let foreign = ForeignLease::new().await;
    let stamp = || -> (i64, String) {
        let row = foreign.test_file.sql();
        let stamp = "SELECT expires_at, clock FROM tenure_leases";
        row.query_row(stamp, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
    };
    let before = stamp();
    let evicted = evict(&foreign.there, 1, EvictionMode::Close).await;
    assert_eq!(evicted, ReleaseOutcome::Released);
    assert_eq!(stamp(), before);
    foreign.test_file.clock.advance(TTL);
    let acquired = foreign.here.acquire(&bid("c", 3), LIMIT).await;
    assert_eq!(acquired.unwrap(), granted(2));
}

#[tokio::test]
async fn a_clock_that_was_set_back_under_its_own_identity_is_foreign() {
    let test_file = TestFile::new();
    let ahead = ManualClock::new();
    ahead.advance(1_000 * SECOND);
    let builder = on_clock(ahead, "test");
    let before = builder.open(test_file.path()).unwrap();
    before.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let store = test_file.store();
    let record = refused(store.acquire(&bid("b", 2), LIMIT).await.unwrap());
    assert_eq!(record.remaining, TTL);
    test_file.clock.advance(TTL);
    let acquired = store.acquire(&bid("b", 2), LIMIT).await;
    assert_eq!(acquired.unwrap(), granted(2));
}
