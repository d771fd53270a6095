mod fault;
mod registers;
mod state;

pub use fault::{CallCounts, Fault, WatchFault};

use std::{
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, ready},
    time::Duration,
};

use async_trait::async_trait;
use futures::{
    StreamExt as _,
    future::BoxFuture,
    stream::{BoxStream, poll_fn},
};
use rand::{SeedableRng as _, rngs::SmallRng};

use state::FaultyState;

use super::{
    AcquireOutcome, EvictionMode, InstructOutcome, LeaseStore, Operation, RegisterStore,
    ReleaseOutcome, RenewOutcome, StoreError, StoreErrorKind, StoreEvent,
};
use crate::lease::{
    Bid, EndReason, FencingToken, Instruction, Lease, LeaseRecord, ReleaseTarget, ResourceName,
    Scope,
};

/// A test double that injects faults in front of another store, and counts requests.
///
/// A request takes the next fault of the [script](Self::script). If there is none, it takes a random fault of the
/// [seed](Self::seeded), and otherwise the fault set by [`always`](Self::always). Clones share faults and counts.
#[derive(Clone, Debug)]
pub struct FaultyStore {
    inner: Arc<dyn LeaseStore>,
    /// The same store, if it keeps registers.
    registers: Option<Arc<dyn RegisterStore>>,
    plan: Arc<Mutex<FaultyState>>,
}

impl FaultyStore {
    /// A store that passes every request on until you set a fault. It keeps no registers.
    #[must_use]
    pub fn new(inner: Arc<dyn LeaseStore>) -> Self {
        Self {
            inner,
            registers: None,
            plan: Arc::default(),
        }
    }

    /// The same in front of a store that also keeps registers.
    #[must_use]
    pub fn with_registers<S: LeaseStore + RegisterStore + 'static>(inner: Arc<S>) -> Self {
        Self {
            registers: Some(inner.clone()),
            ..Self::new(inner)
        }
    }

    /// Appends faults for the next requests, one each.
    pub fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        self.plan().script.extend(faults);
    }

    /// Sets the fault of every request that has no other, until you call it again. `None` removes it.
    pub fn always(&self, fault: impl Into<Option<Fault>>) {
        self.plan().always = fault.into();
    }

    /// Gives each request a random fault with this probability. The same seed gives the same faults.
    pub fn seeded(&self, seed: u64, probability: f64) {
        self.plan().seeded = Some((SmallRng::seed_from_u64(seed), probability.clamp(0.0, 1.0)));
    }

    /// Sets what is wrong with the streams of [`watch`](LeaseStore::watch), also with those that are open: they notice
    /// it with their next event.
    pub fn watch_fault(&self, fault: WatchFault) {
        self.plan().watch = fault;
    }

    /// How many requests the store has received so far.
    #[must_use]
    pub fn calls(&self) -> CallCounts {
        self.plan().calls
    }

    fn plan(&self) -> MutexGuard<'_, FaultyState> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request, and draws its fault.
    fn next_fault(&self, operation: Operation) -> Fault {
        let plan = &mut *self.plan();
        let calls = &mut plan.calls;
        match operation {
            Operation::Acquire => calls.acquire += 1,
            Operation::Renew => calls.renew += 1,
            Operation::Release => calls.release += 1,
            Operation::Read => calls.read += 1,
            Operation::List => calls.list += 1,
            Operation::Evict => calls.evict += 1,
            Operation::Instruct => calls.instruct += 1,
            Operation::Purge => calls.purge += 1,
            Operation::Get => calls.get += 1,
            Operation::Put => calls.put += 1,
            Operation::Open | Operation::Prepare | Operation::Confirm => {}
        }
        plan.draw()
    }

    async fn call<T, F>(&self, operation: Operation, apply: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(Arc<dyn LeaseStore>) -> BoxFuture<'static, Result<T, StoreError>>,
    {
        self.call_with(self.next_fault(operation), operation, apply)
            .await
    }

    async fn call_with<T, F>(
        &self,
        fault: Fault,
        operation: Operation,
        apply: F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(Arc<dyn LeaseStore>) -> BoxFuture<'static, Result<T, StoreError>>,
    {
        self.inject(fault, operation, || apply(self.inner.clone()))
            .await
    }

    /// Sends a request as this fault has it.
    async fn inject<T: Send + 'static>(
        &self,
        fault: Fault,
        operation: Operation,
        apply: impl Fn() -> BoxFuture<'static, Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let fail =
            |kind, text: &str| Err(StoreError::new(kind, self.inner.kind(), operation, text));
        match fault {
            Fault::None | Fault::StaleRead => apply().await,
            Fault::Error(kind) => fail(kind, "injected fault"),
            Fault::Delay(time) => {
                tokio::time::sleep(time).await;
                apply().await
            }
            Fault::Hang => pending().await,
            Fault::LostRequest => fail(StoreErrorKind::Unknown, "injected loss of the request"),
            Fault::LostReply | Fault::HalfBatch => {
                apply().await?;
                fail(StoreErrorKind::Unknown, "injected loss of the reply")
            }
            Fault::LateRequest(time) => {
                later(time, apply());
                fail(StoreErrorKind::Unknown, "injected delay of the request")
            }
            Fault::Duplicate => {
                apply().await?;
                apply().await
            }
            Fault::LateDuplicate(time) => {
                later(time, apply());
                apply().await
            }
            Fault::Panic => panic!("injected panic in {operation}"),
        }
    }
}

fn later<T: Send + 'static>(time: Duration, request: BoxFuture<'static, Result<T, StoreError>>) {
    tokio::spawn(async move {
        tokio::time::sleep(time).await;
        // No caller waits for the answer to a request that arrives late.
        drop(request.await);
    });
}

/// A closure that sends the request again each time it is called.
macro_rules! again {
    ($store:ident, [$($arg:ident),*], $call:expr) => {{
        $(let $arg = $arg.to_owned();)*
        move |$store: Arc<dyn LeaseStore>| {
            $(let $arg = $arg.clone();)*
            Box::pin(async move { $call.await }) as BoxFuture<'static, _>
        }
    }};
}

#[async_trait]
impl LeaseStore for FaultyStore {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn min_ttl(&self) -> Duration {
        self.inner.min_ttl()
    }

    /// Its delays need a runtime.
    fn runs_in_callers_task(&self) -> bool {
        false
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        self.inner.prepare().await
    }

    async fn acquire(&self, bid: &Bid, limit: Duration) -> Result<AcquireOutcome, StoreError> {
        self.call(
            Operation::Acquire,
            again!(store, [bid], store.acquire(&bid, limit)),
        )
        .await
    }

    async fn renew(
        &self,
        lease: &Lease,
        ttl: Duration,
        limit: Duration,
    ) -> Result<RenewOutcome, StoreError> {
        self.call(
            Operation::Renew,
            again!(store, [lease], store.renew(&lease, ttl, limit)),
        )
        .await
    }

    /// One request with one fault.
    async fn renew_many(
        &self,
        leases: &[(Lease, Duration)],
        limit: Duration,
    ) -> Vec<Result<RenewOutcome, StoreError>> {
        let fault = {
            let plan = &mut *self.plan();
            plan.calls.renew_many += 1;
            plan.draw()
        };
        let mut leases = leases.to_vec();
        let count = leases.len();
        if fault == Fault::HalfBatch {
            let mut index = 0;
            leases.retain(|_| {
                index += 1;
                index % 2 == 0
            });
        }
        let renew_many = again!(store, [leases], async {
            Ok(store.renew_many(&leases, limit).await)
        });
        match self.call_with(fault, Operation::Renew, renew_many).await {
            Ok(outcomes) => outcomes,
            Err(error) => {
                let again = || {
                    let text = "injected into the batch";
                    StoreError::new(error.kind(), self.inner.kind(), Operation::Renew, text)
                };
                (0..count).map(|_| Err(again())).collect()
            }
        }
    }

    async fn release(
        &self,
        claim: &ReleaseTarget,
        reason: Option<EndReason>,
        limit: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        self.call(
            Operation::Release,
            again!(store, [claim], store.release(&claim, reason, limit)),
        )
        .await
    }

    async fn read(
        &self,
        resource: &ResourceName,
        limit: Duration,
    ) -> Result<Option<LeaseRecord>, StoreError> {
        let fault = self.next_fault(Operation::Read);
        let read = again!(store, [resource], store.read(&resource, limit));
        let fresh: Option<LeaseRecord> = self.call_with(fault, Operation::Read, read).await?;
        let reads = &mut self.plan().reads;
        Ok(fault.answer_of(reads, resource, fresh))
    }

    async fn list(&self, scope: &Scope, limit: Duration) -> Result<Vec<LeaseRecord>, StoreError> {
        self.call(
            Operation::List,
            again!(store, [scope], store.list(&scope, limit)),
        )
        .await
    }

    async fn evict(
        &self,
        resource: &ResourceName,
        token: FencingToken,
        eviction: EvictionMode,
        limit: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        let evict = again!(
            store,
            [resource],
            store.evict(&resource, token, eviction, limit)
        );
        self.call(Operation::Evict, evict).await
    }

    async fn instruct(
        &self,
        resource: &ResourceName,
        instruction: &Instruction,
        limit: Duration,
    ) -> Result<InstructOutcome, StoreError> {
        let instruct = again!(
            store,
            [resource, instruction],
            store.instruct(&resource, &instruction, limit)
        );
        self.call(Operation::Instruct, instruct).await
    }

    async fn purge(
        &self,
        scope: &Scope,
        untouched_for: Duration,
        limit: Duration,
    ) -> Result<u64, StoreError> {
        let purge = again!(store, [scope], store.purge(&scope, untouched_for, limit));
        self.call(Operation::Purge, purge).await
    }

    fn watch(&self, alive_every: Duration) -> Option<BoxStream<'static, StoreEvent>> {
        self.plan().calls.watch += 1;
        let (mut inner, store) = (self.inner.watch(alive_every)?, self.clone());
        let faulty = poll_fn(move |cx| {
            loop {
                let fault = store.plan().watch;
                let event = match fault {
                    WatchFault::Ended => return Poll::Ready(None),
                    WatchFault::Panic => panic!("injected panic in watch"),
                    _ => ready!(inner.poll_next_unpin(cx)),
                };
                let dropped = match fault {
                    WatchFault::Silent => true,
                    WatchFault::Deaf => !matches!(event, Some(StoreEvent::Alive) | None),
                    _ => false,
                };
                if !dropped {
                    return Poll::Ready(event);
                }
            }
        });
        Some(faulty.boxed())
    }
}

#[cfg(test)]
mod tests;
