//! A store of the application: another store whose `kind` or `watch` is replaced.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::stream::BoxStream;
use tenure::{
    FencingToken, LeaseStore, StoreError,
    lease::{Lease, LeaseRecord, ResourceName, Scope},
    store::{
        AcquireOutcome, Bid, EndReason, EvictionMode, InstructOutcome, Instruction, Operation,
        ReleaseOutcome, ReleaseTarget, RenewOutcome, StoreEvent,
    },
};

/// What is called before a request is sent to the inner store.
type Before = dyn Fn(Operation) + Send + Sync;
type Kind = dyn Fn() -> &'static str + Send + Sync;
type Watch = dyn Fn(Duration) -> Option<BoxStream<'static, StoreEvent>> + Send + Sync;

pub(crate) struct CustomStore {
    pub(crate) inner: Arc<dyn LeaseStore>,
    pub(crate) kind: Box<Kind>,
    pub(crate) watch: Box<Watch>,
    pub(crate) before: Box<Before>,
    pub(crate) runs_in_callers_task: bool,
}

impl CustomStore {
    pub(crate) fn new(inner: Arc<dyn LeaseStore>) -> Self {
        Self {
            inner,
            kind: Box::new(|| "custom"),
            watch: Box::new(|_| None),
            before: Box::new(|_| {}),
            runs_in_callers_task: false,
        }
    }
}

impl fmt::Debug for CustomStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl LeaseStore for CustomStore {
    fn kind(&self) -> &'static str {
        (self.kind)()
    }

    fn runs_in_callers_task(&self) -> bool {
        self.runs_in_callers_task
    }

    async fn acquire(&self, bid: &Bid, limit: Duration) -> Result<AcquireOutcome, StoreError> {
        (self.before)(Operation::Acquire);
        self.inner.acquire(bid, limit).await
    }

    async fn renew(
        &self,
        lease: &Lease,
        ttl: Duration,
        limit: Duration,
    ) -> Result<RenewOutcome, StoreError> {
        self.inner.renew(lease, ttl, limit).await
    }

    async fn release(
        &self,
        claim: &ReleaseTarget,
        reason: Option<EndReason>,
        limit: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        (self.before)(Operation::Release);
        self.inner.release(claim, reason, limit).await
    }

    async fn read(
        &self,
        resource: &ResourceName,
        limit: Duration,
    ) -> Result<Option<LeaseRecord>, StoreError> {
        self.inner.read(resource, limit).await
    }

    async fn list(&self, scope: &Scope, limit: Duration) -> Result<Vec<LeaseRecord>, StoreError> {
        self.inner.list(scope, limit).await
    }

    async fn evict(
        &self,
        resource: &ResourceName,
        token: FencingToken,
        eviction: EvictionMode,
        limit: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        self.inner.evict(resource, token, eviction, limit).await
    }

    async fn instruct(
        &self,
        resource: &ResourceName,
        instruction: &Instruction,
        limit: Duration,
    ) -> Result<InstructOutcome, StoreError> {
        self.inner.instruct(resource, instruction, limit).await
    }

    async fn purge(
        &self,
        scope: &Scope,
        untouched_for: Duration,
        limit: Duration,
    ) -> Result<u64, StoreError> {
        self.inner.purge(scope, untouched_for, limit).await
    }

    fn watch(&self, alive_every: Duration) -> Option<BoxStream<'static, StoreEvent>> {
        (self.watch)(alive_every)
    }
}
