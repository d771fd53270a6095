use std::{fmt, future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{
    StreamExt as _,
    future::{Either, select},
    stream::{BoxStream, poll_fn},
};
use tokio::sync::mpsc;

use super::{
    AcquireOutcome, EvictionMode, InstructOutcome, LeaseStore, Operation, ReleaseOutcome,
    RenewOutcome, StoreError, StoreErrorKind, StoreEvent,
};
use crate::{
    lease::{
        Bid, EndReason, FencingToken, Instruction, Lease, LeaseRecord, ReleaseTarget, ResourceName,
        Scope,
    },
    runtime::{LibraryThread, TaskLost, text_of},
};

/// How many events of a watch wait for their reader.
const EVENTS_BEHIND: usize = 256;

/// A store whose requests all run on one thread of the library.
///
/// A driver's connections are tasks and sockets of the runtime that opened them, and some drivers open them on
/// the runtime that polls the request. If the application blocks that runtime, every request stops with it.
pub(super) struct OnLibraryThread {
    inner: Arc<dyn LeaseStore>,
    thread: LibraryThread,
}

impl OnLibraryThread {
    pub(super) fn new(inner: Arc<dyn LeaseStore>, thread: LibraryThread) -> Self {
        Self { inner, thread }
    }

    /// Runs the request on the thread. Dropping the call drops the request.
    async fn call<T: Send + 'static>(
        &self,
        operation: Operation,
        request: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let done = self.thread.run(request).await;
        done.unwrap_or_else(|lost| Err(error(&lost, self.inner.kind(), operation)))
    }
}

/// The error of the store for a request that was lost on the thread.
pub(super) fn error(lost: &TaskLost, store: &'static str, operation: Operation) -> StoreError {
    let (kind, message) = match lost {
        TaskLost::Gone => (
            StoreErrorKind::Unavailable,
            "the thread that keeps the connections has ended: open the store again".to_owned(),
        ),
        TaskLost::Ended => (
            StoreErrorKind::Unknown,
            "the thread that keeps the connections ended during the request: open the store again"
                .to_owned(),
        ),
        TaskLost::Panicked(panic) => (
            StoreErrorKind::Unknown,
            format!("the store panicked: {}", text_of(&**panic)),
        ),
    };
    StoreError::new(kind, store, operation, message)
}

impl fmt::Debug for OnLibraryThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl LeaseStore for OnLibraryThread {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn min_ttl(&self) -> Duration {
        self.inner.min_ttl()
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        let store = self.inner.clone();
        let request = async move { store.prepare().await };
        self.call(Operation::Prepare, request).await
    }

    async fn acquire(&self, bid: &Bid, limit: Duration) -> Result<AcquireOutcome, StoreError> {
        let (store, bid) = (self.inner.clone(), bid.clone());
        let request = async move { store.acquire(&bid, limit).await };
        self.call(Operation::Acquire, request).await
    }

    async fn renew(
        &self,
        lease: &Lease,
        ttl: Duration,
        limit: Duration,
    ) -> Result<RenewOutcome, StoreError> {
        let (store, lease) = (self.inner.clone(), lease.clone());
        let request = async move { store.renew(&lease, ttl, limit).await };
        self.call(Operation::Renew, request).await
    }

    async fn release(
        &self,
        claim: &ReleaseTarget,
        reason: Option<EndReason>,
        limit: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        let (store, claim) = (self.inner.clone(), claim.clone());
        let request = async move { store.release(&claim, reason, limit).await };
        self.call(Operation::Release, request).await
    }

    async fn read(
        &self,
        resource: &ResourceName,
        limit: Duration,
    ) -> Result<Option<LeaseRecord>, StoreError> {
        let (store, resource) = (self.inner.clone(), resource.clone());
        let request = async move { store.read(&resource, limit).await };
        self.call(Operation::Read, request).await
    }

    async fn list(&self, scope: &Scope, limit: Duration) -> Result<Vec<LeaseRecord>, StoreError> {
        let (store, scope) = (self.inner.clone(), scope.clone());
        let request = async move { store.list(&scope, limit).await };
        self.call(Operation::List, request).await
    }

    async fn evict(
        &self,
        resource: &ResourceName,
        token: FencingToken,
        eviction: EvictionMode,
        limit: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        let (store, resource) = (self.inner.clone(), resource.clone());
        let request = async move { store.evict(&resource, token, eviction, limit).await };
        self.call(Operation::Evict, request).await
    }

    async fn instruct(
        &self,
        resource: &ResourceName,
        instruction: &Instruction,
        limit: Duration,
    ) -> Result<InstructOutcome, StoreError> {
        let (store, resource) = (self.inner.clone(), resource.clone());
        let instruction = instruction.clone();
        let request = async move { store.instruct(&resource, &instruction, limit).await };
        self.call(Operation::Instruct, request).await
    }

    async fn purge(
        &self,
        scope: &Scope,
        untouched_for: Duration,
        limit: Duration,
    ) -> Result<u64, StoreError> {
        let (store, scope) = (self.inner.clone(), scope.clone());
        let request = async move { store.purge(&scope, untouched_for, limit).await };
        self.call(Operation::Purge, request).await
    }

    async fn renew_many(
        &self,
        leases: &[(Lease, Duration)],
        limit: Duration,
    ) -> Vec<Result<RenewOutcome, StoreError>> {
        let (store, count) = (self.inner.clone(), leases.len());
        let leases = leases.to_owned();
        let done = (self.thread).run(async move { store.renew_many(&leases, limit).await });
        match done.await {
            Ok(outcomes) => outcomes,
            Err(lost) => (0..count)
                .map(|_| Err(error(&lost, self.inner.kind(), Operation::Renew)))
                .collect(),
        }
    }

    fn watch(&self, alive_every: Duration) -> Option<BoxStream<'static, StoreEvent>> {
        let mut changes = self.inner.watch(alive_every)?;
        let (notify, mut notices) = mpsc::channel(EVENTS_BEHIND);
        self.thread.spawn(async move {
            while let Either::Left((Some(event), _)) =
                select(changes.next(), std::pin::pin!(notify.closed())).await
            {
                // If the reader is behind, the stream waits: the store then sees a slow reader, as without this
                // thread.
                if notify.send(event).await.is_err() {
                    break;
                }
            }
        });
        Some(poll_fn(move |context| notices.poll_recv(context)).boxed())
    }
}

#[cfg(test)]
mod tests;
