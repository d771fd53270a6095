use std::time::{Duration, Instant};

use async_trait::async_trait;
#[cfg(target_os = "linux")]
use futures::stream::BoxStream;

use super::{KIND, SqliteStore, session::Session};
#[cfg(target_os = "linux")]
use crate::store::StoreEvent;
use crate::{
    lease::{
        Bid, EndReason, FencingToken, Instruction, Lease, LeaseRecord, ReleaseTarget, ResourceName,
        Scope,
    },
    store::{
        AcquireOutcome, EvictionMode, InstructOutcome, LeaseStore, Operation, ReleaseOutcome,
        RenewOutcome, StoreError,
    },
};

/// How many records one transaction of a batch or a purge writes. The requests of other callers and of other
/// processes get their turn between two transactions.
pub(super) const AT_ONCE: usize = 1_000;

#[async_trait]
impl LeaseStore for SqliteStore {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn location(&self) -> String {
        self.path.display().to_string()
    }

    /// 10 ms, because a commit waits for the disk.
    fn min_ttl(&self) -> Duration {
        Duration::from_millis(10)
    }

    /// The requests run on the store's own thread.
    fn runs_in_callers_task(&self) -> bool {
        true
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        self.call(Operation::Prepare, Duration::MAX, Session::prepare)
            .await
    }

    async fn acquire(&self, bid: &Bid, limit: Duration) -> Result<AcquireOutcome, StoreError> {
        let bid = bid.clone();
        self.call(Operation::Acquire, limit, move |session| {
            session.acquire(&bid)
        })
        .await
    }

    async fn renew(
        &self,
        lease: &Lease,
        ttl: Duration,
        limit: Duration,
    ) -> Result<RenewOutcome, StoreError> {
        let lease = lease.clone();
        self.call(Operation::Renew, limit, move |session| {
            session.renew(&lease, ttl)
        })
        .await
    }

    async fn release(
        &self,
        claim: &ReleaseTarget,
        reason: Option<EndReason>,
        limit: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        let claim = claim.clone();
        self.call(Operation::Release, limit, move |session| {
            session.release(&claim, reason)
        })
        .await
    }

    async fn read(
        &self,
        resource: &ResourceName,
        limit: Duration,
    ) -> Result<Option<LeaseRecord>, StoreError> {
        let resource = resource.clone();
        self.call(Operation::Read, limit, move |session| {
            session.read(&resource)
        })
        .await
    }

    async fn list(&self, scope: &Scope, limit: Duration) -> Result<Vec<LeaseRecord>, StoreError> {
        let scope = scope.clone();
        self.call(Operation::List, limit, move |session| session.list(&scope))
            .await
    }

    async fn evict(
        &self,
        resource: &ResourceName,
        token: FencingToken,
        eviction: EvictionMode,
        limit: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        let resource = resource.clone();
        self.call(Operation::Evict, limit, move |session| {
            session.evict(&resource, token, eviction)
        })
        .await
    }

    async fn instruct(
        &self,
        resource: &ResourceName,
        instruction: &Instruction,
        limit: Duration,
    ) -> Result<InstructOutcome, StoreError> {
        let (resource, instruction) = (resource.clone(), instruction.clone());
        self.call(Operation::Instruct, limit, move |session| {
            session.instruct(&resource, &instruction)
        })
        .await
    }

    async fn purge(
        &self,
        scope: &Scope,
        untouched_for: Duration,
        limit: Duration,
    ) -> Result<u64, StoreError> {
        let begun = Instant::now();
        let mut purged = 0;
        loop {
            let scope = scope.clone();
            let left = limit.saturating_sub(begun.elapsed());
            let deleted = self.call(Operation::Purge, left, move |session| {
                session.purge(&scope, untouched_for, AT_ONCE)
            });
            let deleted = deleted.await?;
            purged += deleted as u64;
            if deleted < AT_ONCE {
                return Ok(purged);
            }
        }
    }

    async fn renew_many(
        &self,
        leases: &[(Lease, Duration)],
        limit: Duration,
    ) -> Vec<Result<RenewOutcome, StoreError>> {
        let begun = Instant::now();
        let place = self.location();
        let mut outcomes = Vec::with_capacity(leases.len());
        for part in leases.chunks(AT_ONCE) {
            let asked = part.to_vec();
            let left = limit.saturating_sub(begun.elapsed());
            let renewed = self
                .worker
                .call(left, move |session| session.renew_many(&asked))
                .await;
            let renewed = renewed.unwrap_or_else(|failure| {
                let failure = failure.for_each();
                part.iter().map(|_| Err(failure())).collect()
            });
            outcomes.extend(renewed.into_iter().map(|outcome| {
                outcome.map_err(|failure| failure.of(KIND, Operation::Renew, &place))
            }));
        }
        outcomes
    }

    #[cfg(target_os = "linux")]
    fn watch(&self, alive_every: Duration) -> Option<BoxStream<'static, StoreEvent>> {
        Some(self.listeners.listen(alive_every))
    }
}
