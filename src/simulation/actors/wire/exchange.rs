use std::{future::pending, time::Duration};

use async_trait::async_trait;
use futures::{
    channel::oneshot,
    future::{Either, select},
};
use rand::RngExt as _;

use super::Wire;
use crate::{
    election::{Call, Reply},
    lease::{LeaseRecord, ResourceName},
    simulation::{
        actors::world::{SharedWorld, World},
        plan::StoreKind,
    },
    store::{
        StoreErrorKind,
        failure::{Failure, RequestResult},
        observed::{RecordChange, Table, TableRecord, WriteCondition, WriteOutcome},
    },
    timing::Timing,
};

const NOT_APPLIED: [StoreErrorKind; 6] = [
    StoreErrorKind::Unavailable,
    StoreErrorKind::Throttled,
    StoreErrorKind::Denied,
    StoreErrorKind::Misconfigured,
    StoreErrorKind::Corrupt,
    StoreErrorKind::Unsupported,
];

impl Wire {
    /// Delivers a request to the store and its reply to the caller. Both are delivered even if the caller no
    /// longer waits.
    async fn exchange<T: Send + 'static>(
        &self,
        apply: impl Fn(&mut World) -> T + Clone + Send + Sync + 'static,
    ) -> RequestResult<T> {
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

    pub(super) async fn ask(&self, call: Call) -> RequestResult<(Reply, Option<LeaseRecord>)> {
        self.exchange(move |world| {
            let now = world.now();
            let reply = world.store.carry_out(&call, now);
            let resource = ResourceName::new("r").expect("a good name");
            let record = world.store.record.seen(&resource, world.store.now(now));
            (reply, record)
        })
        .await
    }
}

#[async_trait]
impl Table for Wire {
    async fn write(
        &self,
        _: &ResourceName,
        change: &RecordChange,
        guard: &WriteCondition,
    ) -> RequestResult<WriteOutcome> {
        let (change, guard) = (change.clone(), guard.clone());
        self.exchange(move |world| world.store.write(&change, &guard))
            .await
    }

    async fn get(&self, _: &ResourceName) -> RequestResult<Option<TableRecord>> {
        self.exchange(|world| world.store.get()).await
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
async fn carry_out<T>(
    shared: &SharedWorld,
    life: usize,
    apply: &impl Fn(&mut World) -> T,
) -> Option<T> {
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
