use std::{
    future::{Future, pending},
    panic,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use futures::{
    channel::oneshot,
    future::{Either, select},
    stream::{self, BoxStream, StreamExt as _},
};
use rand::RngExt as _;

use super::world::{OwnClock, Shared, World};
use crate::{
    clock::Clock as _,
    election::{Call, Reply},
    lease::{Bid, FencingToken, Lease, LeaseRecord, ReleaseTarget, ResourceName, Scope},
    simulation::{plan::StoreKind, properties::Property},
    store::{
        AcquireOutcome, EvictionMode, LeaseStore, Operation, ReleaseOutcome, RenewOutcome,
        StoreError, StoreErrorKind,
        failure::{Answer, Failure},
        observed::{Observer, RecordChange, Table, TableRecord, WriteCondition, WriteOutcome},
    },
    timing::Timing,
};

/// The connection of one lock to the store. It keeps no time limit: the lock must not rely on one.
#[derive(Debug)]
pub(super) struct Wire {
    shared: Shared,
    life: usize,
    clock: OwnClock,
    observer: Arc<Observer>,
}

const NOT_APPLIED: [StoreErrorKind; 6] = [
    StoreErrorKind::Unavailable,
    StoreErrorKind::Throttled,
    StoreErrorKind::Denied,
    StoreErrorKind::Misconfigured,
    StoreErrorKind::Corrupt,
    StoreErrorKind::Unsupported,
];

impl Wire {
    pub(super) fn new(shared: Shared, life: usize, clock: OwnClock) -> Self {
        let observer = Arc::new(Observer::new(Arc::new(clock)));
        Self {
            shared,
            life,
            clock,
            observer,
        }
    }

    fn observes(&self) -> bool {
        let kind = self.shared.world().plan.base.store;
        matches!(kind, StoreKind::Observed { .. })
    }

    /// Carries a request to the store and its reply back. Requests and replies arrive also if the caller no
    /// longer waits.
    async fn exchange<T: Send + 'static>(
        &self,
        apply: impl Fn(&mut World) -> T + Clone + Send + Sync + 'static,
    ) -> Answer<T> {
        let (delivery, kind) = {
            let world = &mut *self.shared.world();
            let timing = world.timing(self.life);
            let limit = timing.call_timeout();
            let delivery = world
                .network
                .delivery(limit, world.store.up, &mut world.rng);
            for (what, happened) in [
                ("duplicate", delivery.again.is_some()),
                ("lost request", delivery.arrives.is_none()),
                (
                    "lost reply",
                    delivery.arrives.is_some() && delivery.answered.is_none(),
                ),
            ] {
                if happened {
                    world.counts.count(what);
                }
            }
            let lost = delivery.arrives.is_none() && delivery.again.is_none();
            let kind = if lost && world.rng.random_bool(0.5) {
                NOT_APPLIED[world.rng.random_range(0..NOT_APPLIED.len())]
            } else {
                StoreErrorKind::Unknown
            };
            (delivery, kind)
        };
        let (life, (tell, told)) = (self.life, oneshot::channel());
        if let Some(again) = delivery.again {
            let (shared, apply) = (self.shared.clone(), apply.clone());
            tokio::spawn(async move {
                shared.wait(again).await;
                let _ = carry_out(&shared, life, &apply).await;
            });
        }
        if let Some(arrives) = delivery.arrives {
            let shared = self.shared.clone();
            tokio::spawn(async move {
                shared.wait(arrives).await;
                let answer = carry_out(&shared, life, &apply).await;
                if let (Some(answered), Some(answer)) = (delivery.answered, answer) {
                    shared.wait(answered).await;
                    // The sender may have timed out.
                    let _ = tell.send(answer);
                }
            });
        }
        let answer = async {
            match told.await {
                Ok(answer) => answer,
                Err(_) => pending().await,
            }
        };
        let Some(error) = delivery.error else {
            return Ok(answer.await);
        };
        let error = Box::pin(self.shared.wait(error));
        match select(Box::pin(answer), error).await {
            Either::Left((answer, _)) => Ok(answer),
            Either::Right(_) => Err(Failure::new(kind, "the connection is broken")),
        }
    }

    async fn ask(&self, call: Call) -> Answer<(Reply, Option<LeaseRecord>)> {
        self.exchange(move |world| {
            let now = world.now();
            let reply = world.store.carry_out(&call, now);
            let resource = ResourceName::new("r").expect("a good name");
            let record = world.store.record.seen(&resource, world.store.now(now));
            (reply, record)
        })
        .await
    }

    /// Records a request of the lock, and checks it.
    async fn sends<T>(
        &self,
        operation: Operation,
        what: String,
        request: impl Future<Output = Answer<T>> + Send,
    ) -> Result<T, StoreError>
    where
        T: std::fmt::Debug,
    {
        self.begin(operation, what);
        let answer = request.await;
        self.log(|| format!("receives {answer:?}"));
        answer.map_err(|failure| failure.of("simulated", operation, "r"))
    }

    fn log(&self, text: impl FnOnce() -> String) {
        let mut world = self.shared.world();
        let node = world.lives[self.life].node;
        let life = self.life;
        world.log(|| format!("node{node} (life {life}) {}", text()));
    }

    fn begin(&self, operation: Operation, what: String) {
        self.log(|| format!("sends {what}"));
        let world = &mut *self.shared.world();
        world.check();
        let timing = world.timing(self.life);
        let most = 4.0 * timing.ttl().as_secs_f64();
        let least = timing.poll_every().min(timing.renew_every());
        // One more, because a request need not start at the beginning of a ttl.
        let most = (most / least.as_secs_f64()) as usize + 1;
        let (now, sent) = (self.clock.now(), &mut world.lives[self.life].sent);
        sent.push_back(now);
        while sent.front().is_some_and(|at| *at + timing.ttl() <= now) {
            sent.pop_front();
        }
        let sent = sent.len();
        if sent > most {
            let text = format!("{sent} requests in a ttl, at most {most}");
            world.fail(Property::Rate, text);
        }
        if !world.faults_stopped
            && world.plan.panics > 0.0
            && world.rng.random_bool(world.plan.panics)
        {
            world.counts.count("panic in the store");
            world.log(|| format!("the store panics in {operation}"));
            // Bypasses the panic hook: the panic is planned.
            panic::resume_unwind(Box::new("a panic on purpose"));
        }
    }
}

impl World {
    /// The time until a majority has a write.
    fn lag(&mut self, life: usize) -> Duration {
        let most = if self.faults_stopped {
            // Writes are committed in order.
            let shortest = self.plan.base.shortest(Timing::call_timeout);
            shortest.mul_f64(0.025)
        } else {
            self.timing(life).call_timeout().mul_f64(0.5)
        };
        self.seconds(most.as_secs_f64())
    }
}

/// Applies a request to the store. Returns the reply once a majority has its write.
async fn carry_out<T>(shared: &Shared, life: usize, apply: &impl Fn(&mut World) -> T) -> Option<T> {
    let (answer, commit) = {
        let world = &mut *shared.world();
        let answer = apply(world);
        world.note_holder();
        world.check();
        if world.plan.base.store != StoreKind::Replicated {
            return Some(answer);
        }
        // A refusal waits until the record that it shows is committed.
        let lag = world.lag(life);
        let now = world.now();
        world.last_commit = world.last_commit.max(now + lag.as_nanos() as u64);
        let lag = Duration::from_nanos(world.last_commit - now);
        (answer, (lag, world.store.term, world.store.record.clone()))
    };
    let (lag, term, record) = commit;
    tokio::time::sleep(lag).await;
    let world = &mut *shared.world();
    // A write that a failover has lost gets no reply.
    if world.store.term != term {
        return None;
    }
    world.store.commit(record);
    Some(answer)
}

#[async_trait]
impl Table for Wire {
    async fn write(
        &self,
        _: &ResourceName,
        change: &RecordChange,
        guard: &WriteCondition,
    ) -> Answer<WriteOutcome> {
        let (change, guard) = (change.clone(), guard.clone());
        self.exchange(move |world| world.store.write(&change, &guard))
            .await
    }

    async fn get(&self, _: &ResourceName) -> Answer<Option<TableRecord>> {
        self.exchange(|world| world.store.get()).await
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
                Reply::Renewed => Ok(RenewOutcome::Renewed),
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
            RenewOutcome::Renewed if self.clock.now() < term.deadline => {
                term.unanswered = false;
                let deadline = sent_at + (timing.ttl() - timing.margin());
                term.deadline = term.deadline.max(deadline);
                world.counts.count("renewed");
            }
            RenewOutcome::Lost(_) => {
                term.refused = true;
                world.counts.count("lost");
            }
            RenewOutcome::Renewed => {}
        }
        Ok(outcome)
    }

    async fn release(
        &self,
        claim: &ReleaseTarget,
        _: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        if let ReleaseTarget::Lease(lease) = claim {
            self.shared.world().check_release(self.life, lease.token);
        }
        let request = async {
            if self.observes() {
                return self.observer.release(self, claim).await;
            }
            match self.ask(Call::Release(claim.clone())).await? {
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

    fn watch(&self, _: &ResourceName) -> Option<BoxStream<'static, ()>> {
        if !self.shared.world().plan.hints {
            return None;
        }
        // Rare enough for the request limit. The stream ends from time to time.
        let hints = stream::unfold(self.shared.clone(), |shared| async move {
            let time = shared.world().seconds(15.0) + Duration::from_secs(3);
            tokio::time::sleep(time).await;
            let goes_on = shared.world().rng.random_bool(0.8);
            goes_on.then_some(((), shared))
        });
        Some(hints.boxed())
    }
}

impl World {
    /// Checks that all known work under a lease has stopped before its release, and that the lease is no longer
    /// current.
    fn check_release(&mut self, life: usize, token: FencingToken) {
        if !self.lives[life].term(token).told {
            return;
        }
        if self.lives[life].leads(token) {
            let text = format!("token {token} is released while it is current");
            self.fail(Property::Exclusion, text);
        }
        let unclean = self.lives[life].term(token).unclean;
        let mut seen = self.subscribers.iter().filter(|seen| seen.life == life);
        let works = seen.any(|seen| {
            let told = seen.told == Some(token) && seen.alive;
            told || seen.running.iter().any(|run| run.1 == Some(token))
        });
        if unclean || works {
            let text = format!("token {token} is released while work may run");
            self.fail(Property::Acknowledged, text);
        }
    }
}
