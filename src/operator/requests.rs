use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt as _;
use tokio::time::{sleep, timeout};

use super::OperatorError;
use crate::{
    lease::{FencingToken, Instruction, LeaseRecord, ResourceName, Scope},
    runtime::text_of,
    store::{
        EvictionMode, InstructOutcome, LeaseStore, Operation, ReleaseOutcome, StoreError,
        StoreErrorKind,
    },
};

/// How often a request is sent before its error is returned.
const TRIES: u32 = 3;
/// How often a command begins again because others have changed the record.
const CHANGES: u32 = 8;

/// The requests of an operator to the store, each with a time limit.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    store: Arc<dyn LeaseStore>,
    pub(super) call_timeout: Duration,
    pub(super) poll_every: Duration,
    pub(super) wait_for: Duration,
}

impl Requests {
    pub(super) fn new(store: Arc<dyn LeaseStore>) -> Self {
        Self {
            store,
            call_timeout: Duration::from_secs(2),
            poll_every: Duration::from_millis(250),
            wait_for: Duration::from_secs(60),
        }
    }

    pub(super) async fn read(
        &self,
        resource: &ResourceName,
    ) -> Result<Option<LeaseRecord>, Arc<StoreError>> {
        self.repeated(Operation::Read, |store, limit| async move {
            store.read(resource, limit).await
        })
        .await
    }

    /// The record of a resource that takes commands.
    pub(super) async fn read_for_command(
        &self,
        resource: &ResourceName,
    ) -> Result<Option<LeaseRecord>, OperatorError> {
        let record = self.read(resource).await?;
        if record.as_ref().is_some_and(|record| record.internal) {
            let resource = resource.clone();
            return Err(OperatorError::Internal { resource });
        }
        Ok(record)
    }

    pub(super) async fn list(&self, scope: &Scope) -> Result<Vec<LeaseRecord>, Arc<StoreError>> {
        self.repeated(Operation::List, |store, limit| async move {
            store.list(scope, limit).await
        })
        .await
    }

    pub(super) async fn purge(
        &self,
        scope: &Scope,
        untouched_for: Duration,
    ) -> Result<u64, Arc<StoreError>> {
        self.repeated(Operation::Purge, |store, limit| async move {
            store.purge(scope, untouched_for, limit).await
        })
        .await
    }

    /// Sends an instruction once. The caller reads the record again before it repeats it.
    pub(super) async fn instruct(
        &self,
        resource: &ResourceName,
        instruction: &Instruction,
    ) -> Result<InstructOutcome, StoreError> {
        self.once(Operation::Instruct, |store, limit| async move {
            store.instruct(resource, instruction, limit).await
        })
        .await
    }

    /// Sends an eviction once, as [`instruct`](Self::instruct) does.
    pub(super) async fn evict_token(
        &self,
        resource: &ResourceName,
        token: FencingToken,
        mode: EvictionMode,
    ) -> Result<ReleaseOutcome, StoreError> {
        self.once(Operation::Evict, |store, limit| async move {
            store.evict(resource, token, mode, limit).await
        })
        .await
    }

    /// Sends a request until it is answered, at most three times.
    async fn repeated<T, F>(
        &self,
        operation: Operation,
        request: impl Fn(Arc<dyn LeaseStore>, Duration) -> F,
    ) -> Result<T, Arc<StoreError>>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut retries = Retries::default();
        loop {
            match self.once(operation, &request).await {
                Ok(answer) => return Ok(answer),
                Err(error) => retries.after_error(error, self).await?,
            }
        }
    }

    /// Sends a request once. A panic in the store is returned as an error.
    async fn once<T, F>(
        &self,
        operation: Operation,
        request: impl FnOnce(Arc<dyn LeaseStore>, Duration) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        // A tenth shorter, so that the store's own error, which names the cause, comes before the caller gives up.
        let limit = self.call_timeout - self.call_timeout / 10;
        let store = self.store.clone();
        let answer = AssertUnwindSafe(async move { request(store, limit).await }).catch_unwind();
        let unknown = |text: String| {
            StoreError::new(StoreErrorKind::Unknown, self.store.kind(), operation, text)
        };
        match timeout(self.call_timeout, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(panic)) => Err(unknown(format!("the store panicked: {}", text_of(&*panic)))),
            Err(_) => Err(unknown("no answer within the time limit".to_owned())),
        }
    }
}

/// How often a command was tried again.
#[derive(Debug, Default)]
pub(super) struct Retries {
    errors: u32,
    changes: u32,
}

impl Retries {
    /// Waits before the next try, or returns the error if a retry does not fix it or there were too many.
    pub(super) async fn after_error(
        &mut self,
        error: StoreError,
        requests: &Requests,
    ) -> Result<(), Arc<StoreError>> {
        self.errors += 1;
        let may_pass = matches!(
            error.kind(),
            StoreErrorKind::Unavailable | StoreErrorKind::Unknown | StoreErrorKind::Throttled
        );
        if !may_pass || self.errors >= TRIES {
            return Err(Arc::new(error));
        }
        sleep(requests.poll_every).await;
        Ok(())
    }

    /// Fails if others have changed the record too often.
    pub(super) fn after_change(&mut self, resource: &ResourceName) -> Result<(), OperatorError> {
        self.changes += 1;
        if self.changes < CHANGES {
            return Ok(());
        }
        let resource = resource.clone();
        Err(OperatorError::Contended { resource })
    }
}
