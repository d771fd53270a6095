mod exchange;
mod request_checks;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt as _};
use rand::RngExt as _;

use super::world::{DriftingClock, SharedWorld};
use crate::{
    clock::Clock as _,
    election::{Call, Reply},
    lease::{
        Bid, EndReason, FencingToken, Instruction, Lease, LeaseRecord, ReleaseTarget, ResourceName,
        Scope,
    },
    simulation::{plan::StoreKind, store::wall},
    store::{
        AcquireOutcome, EvictionMode, InstructOutcome, LeaseStore, Operation, ReleaseOutcome,
        RenewOutcome, StoreError, StoreErrorKind, StoreEvent, failure::Failure,
        observed::ExpiryObserver,
    },
};

/// The connection of one lock to the store. It ignores the time limits of requests, because the lock must not
/// rely on a store that keeps them.
#[derive(Debug)]
pub(super) struct Wire {
    shared: SharedWorld,
    life: usize,
    clock: DriftingClock,
    observer: Arc<ExpiryObserver>,
}

impl Wire {
    pub(super) fn new(shared: SharedWorld, life: usize, clock: DriftingClock) -> Self {
        let observer = Arc::new(ExpiryObserver::new(Arc::new(clock)));
        Self {
            shared,
            life,
            clock,
            observer,
        }
    }

    /// The time of day of this process, for people and for first tokens.
    fn wall(&self) -> SystemTime {
        wall(self.clock.now())
    }

    fn observes(&self) -> bool {
        let kind = self.shared.world().plan.base.store;
        matches!(kind, StoreKind::Observed { .. })
    }
}

fn failed() -> Failure {
    Failure::new(StoreErrorKind::Unsupported, "refused")
}

#[async_trait]
impl LeaseStore for Wire {
    fn kind(&self) -> &'static str {
        "simulated"
    }

    async fn acquire(&self, bid: &Bid, _: Duration) -> Result<AcquireOutcome, StoreError> {
        let sent_at = self.clock.now();
        let request = async {
            if self.observes() {
                let since = SystemTime::UNIX_EPOCH;
                return self.observer.acquire(self, bid, since).await;
            }
            match self.ask(Call::Acquire(bid.clone())).await?.0 {
                Reply::Granted { token } => Ok(AcquireOutcome::Granted { token }),
                Reply::Refused(record) => Ok(AcquireOutcome::Refused(record)),
                _ => Err(failed()),
            }
        };
        let what = format!("a bid, {:?}", bid.attempt);
        let outcome = self.sends(Operation::Acquire, what, request).await?;
        if let AcquireOutcome::Granted { token } = &outcome {
            let world = &mut *self.shared.world();
            let timing = world.timing(self.life);
            let term = world.lives[self.life].term(*token);
            term.granted_at = self.clock.now();
            term.deadline = sent_at + (timing.ttl() - timing.margin());
        }
        Ok(outcome)
    }

    async fn renew(
        &self,
        lease: &Lease,
        ttl: Duration,
        _: Duration,
    ) -> Result<RenewOutcome, StoreError> {
        let sent_at = self.clock.now();
        let token = lease.token;
        self.shared.world().lives[self.life].term(token).unanswered = true;
        let request = async {
            if self.observes() {
                return self.observer.renew(self, lease, ttl).await;
            }
            let lease = lease.clone();
            match self.ask(Call::Renew { lease, ttl }).await?.0 {
                Reply::Renewed { instruction } => Ok(RenewOutcome::Renewed { instruction }),
                Reply::Lost(record) => Ok(RenewOutcome::Lost(record)),
                _ => Err(failed()),
            }
        };
        let what = format!("a renewal of {token}");
        let outcome = self.sends(Operation::Renew, what, request).await?;
        let world = &mut *self.shared.world();
        let timing = world.timing(self.life);
        let term = world.lives[self.life].term(token);
        match &outcome {
            // A reply after the deadline does not extend the term.
            RenewOutcome::Renewed { .. } if self.clock.now() < term.deadline => {
                term.unanswered = false;
                let deadline = sent_at + (timing.ttl() - timing.margin());
                term.deadline = term.deadline.max(deadline);
                world.counts.count("renewed");
            }
            RenewOutcome::Lost(_) => {
                term.refused = true;
                world.counts.count("lost");
            }
            RenewOutcome::Renewed { .. } => {}
        }
        Ok(outcome)
    }

    async fn release(
        &self,
        claim: &ReleaseTarget,
        reason: Option<EndReason>,
        _: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        if let ReleaseTarget::Lease(lease) = claim {
            self.shared.world().check_release(self.life, lease.token);
        }
        let request = async {
            if self.observes() {
                return self
                    .observer
                    .release(self, claim, reason, self.wall())
                    .await;
            }
            match self.ask(Call::Release(claim.clone(), reason)).await? {
                (Reply::Released { was_held: true }, _) => Ok(ReleaseOutcome::Released),
                (Reply::Released { .. }, record) => Ok(ReleaseOutcome::NotHeld(record)),
                _ => Err(failed()),
            }
        };
        let what = format!("a release of {claim:?}");
        let outcome = self.sends(Operation::Release, what, request).await?;
        if outcome == ReleaseOutcome::Released {
            self.shared.world().counts.count("released");
        }
        Ok(outcome)
    }

    async fn read(
        &self,
        resource: &ResourceName,
        _: Duration,
    ) -> Result<Option<LeaseRecord>, StoreError> {
        let request = async {
            if self.observes() {
                return self.observer.read(self, resource).await;
            }
            Ok(self.ask(Call::Read(resource.clone())).await?.1)
        };
        self.sends(Operation::Read, "a read".to_owned(), request)
            .await
    }

    async fn list(&self, _: &Scope, _: Duration) -> Result<Vec<LeaseRecord>, StoreError> {
        unreachable!("no lock lists")
    }

    async fn evict(
        &self,
        _: &ResourceName,
        _: FencingToken,
        _: EvictionMode,
        _: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        unreachable!("no lock evicts")
    }

    async fn instruct(
        &self,
        _: &ResourceName,
        _: &Instruction,
        _: Duration,
    ) -> Result<InstructOutcome, StoreError> {
        unreachable!("no lock instructs")
    }

    async fn purge(&self, _: &Scope, _: Duration, _: Duration) -> Result<u64, StoreError> {
        unreachable!("no lock purges")
    }

    fn watch(&self, _: Duration) -> Option<BoxStream<'static, StoreEvent>> {
        if !self.shared.world().plan.hints {
            return None;
        }
        // At least 3 s apart, so that hints do not exceed the request limit. The stream ends at random.
        let hints = stream::unfold(self.shared.clone(), |shared| async move {
            let time = shared.world().seconds(15.0) + Duration::from_secs(3);
            tokio::time::sleep(time).await;
            let goes_on = shared.world().rng.random_bool(0.8);
            goes_on.then_some((StoreEvent::LookAtAll, shared))
        });
        Some(hints.boxed())
    }
}
