//! What does not fit together is refused when a lock is built, with what, where and what to do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tenure::{
    AcquireOutcome, Bid, Claim, Eviction, FencingToken, Lease, LeaseRecord, LeaseStore, LockActor,
    LockBuilder, MemoryStore, ReleaseOutcome, RenewOutcome, ResourceName, Scope, StartError,
    StoreError, Timing,
};

fn lock(resource: &str) -> LockBuilder {
    LockActor::builder(resource, Arc::new(MemoryStore::new()))
}

fn refused(builder: LockBuilder) -> String {
    match builder.start() {
        Err(error @ (StartError::Name(_) | StartError::Timing(_))) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_that_are_empty_too_long_or_hold_control_characters() {
    assert_eq!(
        refused(lock("")),
        "a resource name is empty: give it 1 to 255 bytes"
    );
    let text = refused(lock(&"x".repeat(256)));
    assert_eq!(
        text,
        "a resource name of 256 bytes is too long: at most 255 bytes are allowed"
    );
    assert!(refused(lock("a\u{1b}[31m")).contains("'\\u{1b}' at byte 1"));
    assert!(refused(lock("r").candidate("")).contains("candidate id"));
    assert!(refused(lock("r").metadata("x".repeat(4097))).contains("4096"));
}

#[test]
fn names_may_be_given_ready_made() {
    let name = ResourceName::new("r").unwrap();
    assert!(
        LockActor::builder(&name, Arc::new(MemoryStore::new()))
            .start()
            .is_ok()
    );
    assert!(
        LockActor::builder(name, Arc::new(MemoryStore::new()))
            .start()
            .is_ok()
    );
}

/// A store that keeps leases in whole seconds, and two of them at the least.
#[derive(Debug)]
struct Slow(MemoryStore);

#[async_trait]
impl LeaseStore for Slow {
    fn kind(&self) -> &'static str {
        "slow"
    }
    fn min_ttl(&self) -> Duration {
        Duration::from_secs(2)
    }
    async fn acquire(&self, bid: &Bid) -> Result<AcquireOutcome, StoreError> {
        self.0.acquire(bid).await
    }
    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<RenewOutcome, StoreError> {
        self.0.renew(lease, ttl).await
    }
    async fn release(&self, claim: &Claim) -> Result<ReleaseOutcome, StoreError> {
        self.0.release(claim).await
    }
    async fn read(&self, resource: &ResourceName) -> Result<Option<LeaseRecord>, StoreError> {
        self.0.read(resource).await
    }
    async fn list(&self, scope: &Scope) -> Result<Vec<LeaseRecord>, StoreError> {
        self.0.list(scope).await
    }
    async fn evict(
        &self,
        resource: &ResourceName,
        token: FencingToken,
        eviction: Eviction,
    ) -> Result<ReleaseOutcome, StoreError> {
        self.0.evict(resource, token, eviction).await
    }
}

#[test]
fn a_ttl_below_the_minimum_of_the_store() {
    let timing = Timing::builder()
        .ttl(Duration::from_millis(1500))
        .build()
        .unwrap();
    let builder = LockActor::builder("r", Arc::new(Slow(MemoryStore::new()))).timing(timing);
    let text = refused(builder);
    assert_eq!(
        text,
        "a ttl of 1.5s is below the minimum of the slow store, 2s: lengthen the ttl"
    );
}

#[test]
fn times_that_do_not_go_together() {
    let second = Duration::from_secs(1);
    let zero = Timing::builder().ttl(Duration::ZERO).build().unwrap_err();
    assert_eq!(zero.to_string(), "ttl is zero: it must be longer");
    let late = Timing::builder()
        .ttl(second)
        .renew_every(second)
        .build()
        .unwrap_err();
    assert!(
        late.to_string()
            .contains("renew_every of 1s plus margin of 100ms"),
        "{late}"
    );
}
