use std::time::Duration;

use actix::{Actor as _, Addr, Supervisor};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use tokio::time::sleep_until;

use super::{
    observer::Observer,
    plan::{Plan, SubscriberPlan},
    process::Process,
    subscriber::Subscriber,
    wire::Wire,
    world::{Command, DriftingClock, LockLife, SharedWorld},
};
use crate::{
    actor::{LockActor, LockHandle},
    election::{SeededAttempts, StepDownOutcome},
    simulation::{
        plan,
        properties::{Property, Violation},
    },
};

/// How often the properties are checked when nothing happens.
const TICK: Duration = Duration::from_millis(100);

/// Starts and ends the processes, subscribers and observers of a run.
pub(super) struct PlanRunner {
    pub(super) shared: SharedWorld,
    pub(super) nodes: Vec<Node>,
}

pub(super) struct Node {
    pub(super) name: String,
    pub(super) starts: u32,
    pub(super) life: usize,
    pub(super) process: Option<Process>,
    pub(super) lock: Option<LockHandle>,
    pub(super) subscribers: Vec<Addr<Subscriber>>,
    pub(super) observers: Vec<Addr<Observer>>,
    /// When the lock starts; `None` once it has.
    pub(super) start_at: Option<Duration>,
}

impl PlanRunner {
    pub(super) fn new(shared: &SharedWorld, plan: &Plan) -> Self {
        let nodes = plan.base.nodes.iter().enumerate().map(|(index, node)| {
            let index = if node.duplicate_id { 0 } else { index };
            Node {
                name: format!("node{index}"),
                starts: 0,
                life: 0,
                process: None,
                lock: None,
                subscribers: Vec::new(),
                observers: Vec::new(),
                start_at: Some(node.starts),
            }
        });
        Self {
            shared: shared.clone(),
            nodes: nodes.collect(),
        }
    }

    pub(super) async fn run(&mut self) -> Result<(), Violation> {
        let (plan, bound) = {
            let world = self.shared.world();
            (world.plan.clone(), world.bound())
        };
        for (at, trouble) in &plan.troubles {
            self.wait_until(*at).await?;
            self.apply_fault(*trouble);
        }
        self.wait_until(plan::Plan::FAULTS_STOP_AT).await?;
        self.stop_faults();
        let verdict = plan::Plan::FAULTS_STOP_AT + bound;
        self.wait_until(verdict).await?;
        self.check_leader();
        let known = verdict + self.shared.world().bound_to_know();
        self.wait_until(known).await?;
        self.check_known();
        let ttl = plan.base.longest(|node| node.timing.ttl());
        self.wait_until(verdict + ttl * 2).await?;
        self.check_leader();
        self.check_known();
        self.check_messages().await;
        self.check_step_down().await;
        self.outcome()
    }

    fn outcome(&self) -> Result<(), Violation> {
        self.shared.world().violation.clone().map_or(Ok(()), Err)
    }

    async fn wait_until(&mut self, at: Duration) -> Result<(), Violation> {
        let origin = self.shared.world().origin;
        loop {
            let now = origin.elapsed();
            for node in 0..self.nodes.len() {
                if self.nodes[node].start_at.is_some_and(|start| start <= now) {
                    self.start(node);
                }
            }
            self.check_alive();
            self.shared.world().check();
            self.outcome()?;
            if now >= at {
                return Ok(());
            }
            let starts = self.nodes.iter().filter_map(|node| node.start_at).min();
            let next = at.min(now + TICK).min(starts.unwrap_or(at));
            sleep_until(origin + next).await;
        }
    }

    fn check_alive(&self) {
        for node in &self.nodes {
            if node
                .lock
                .as_ref()
                .is_some_and(|lock| !lock.address().connected())
            {
                let text = format!("the lock of life {} has died", node.life);
                self.shared.world().fail(Property::NoPanic, text);
            }
        }
    }

    fn start(&mut self, index: usize) {
        let (life, builder, subscribers, observers) = {
            let world = &mut *self.shared.world();
            world.log(|| format!("node{index} starts"));
            let rate = world.plan.base.nodes[index].clock;
            let origin = world.origin;
            let clock = DriftingClock { origin, rate };
            let life = world.lives.len();
            world.lives.push(LockLife::new(index, clock));
            let rng = SmallRng::seed_from_u64(world.rng.random());
            let store = Wire::new(self.shared.clone(), life, clock);
            let builder = LockActor::builder("r", std::sync::Arc::new(store))
                .candidate(self.nodes[index].name.as_str())
                .timing(world.plan.base.nodes[index].timing)
                .clock(std::sync::Arc::new(clock))
                .random(rng, SeededAttempts::new(world.rng.random()))
                .batch_size(world.plan.batch_size);
            let subscribers = world.plan.subscribers[index].clone();
            (
                life,
                builder,
                subscribers,
                world.plan.observers[index].clone(),
            )
        };
        let process = Process::start(&self.shared, life);
        let lock = process.inside(|| builder.start_on_current_runtime());
        let node = &mut self.nodes[index];
        node.lock = Some(lock.expect("all that is given is good"));
        (node.life, node.process, node.start_at) = (life, Some(process), None);
        node.starts += 1;
        node.subscribers.clear();
        node.observers.clear();
        for plan in subscribers {
            self.join(index, plan);
        }
        for supervised in observers {
            self.watch(index, supervised);
        }
    }

    pub(super) fn join(&mut self, index: usize, plan: SubscriberPlan) {
        let node = &mut self.nodes[index];
        let (Some(lock), Some(process)) = (&node.lock, &node.process) else {
            return;
        };
        let subscriber = Subscriber::new(&self.shared, node.life, lock.address(), plan);
        node.subscribers.push(process.inside(|| {
            if plan.supervised {
                Supervisor::start(|_| subscriber)
            } else {
                subscriber.start()
            }
        }));
    }

    pub(super) fn watch(&mut self, index: usize, supervised: bool) {
        let node = &mut self.nodes[index];
        let (Some(lock), Some(process)) = (&node.lock, &node.process) else {
            return;
        };
        let observer = Observer::new(&self.shared, node.life, lock.address(), supervised);
        node.observers.push(process.inside(|| {
            if supervised {
                Supervisor::start(|_| observer)
            } else {
                observer.start()
            }
        }));
    }

    fn stop_faults(&mut self) {
        {
            let world = &mut *self.shared.world();
            world.stop_faults();
            for life in 0..world.lives.len() {
                world.thaw(life);
            }
        }
        for index in 0..self.nodes.len() {
            if self.nodes[index].lock.is_none() {
                self.start(index);
            }
            // A node that only observes does not start to contend.
            if !self.shared.world().plan.subscribers[index].is_empty() {
                self.join(index, SubscriberPlan::PROMPT);
            }
            self.watch(index, true);
            self.command(index, None, Duration::ZERO);
        }
    }

    /// Checks the properties that hold some time after the faults have stopped.
    fn check_leader(&self) {
        let world = &mut *self.shared.world();
        let leaders = world.leaders();
        if let Some(before) = world.taken_at {
            let version = world.store.record.version;
            if version != before || !leaders.is_empty() {
                let text = format!("version {version} after {before}, leaders: {leaders:?}");
                world.fail(Property::NewerRecords, text);
            }
        } else if leaders.len() != 1 {
            let text = format!("{leaders:?} lead after the faults have stopped");
            world.fail(Property::Liveness, text);
        }
        let lives = world.lives.iter().filter(|life| !life.crashed);
        let unanswered: u64 = lives.map(|life| life.unanswered).sum();
        if unanswered > 0 {
            let text = format!("{unanswered} commands were not answered");
            world.fail(Property::Liveness, text);
        }
    }

    fn check_known(&self) {
        let lives: Vec<_> = self.nodes.iter().map(|node| node.life).collect();
        self.shared.world().check_known(&lives);
    }

    /// Without faults, a step-down releases the lease, also after unclean terms.
    async fn check_step_down(&self) {
        let Some((life, token)) = self.shared.world().command_leader(Command::StepDown) else {
            return;
        };
        let mut nodes = self.nodes.iter().filter(|node| node.life == life);
        let Some(lock) = nodes.next().and_then(|node| node.lock.clone()) else {
            return;
        };
        let outcome = lock.step_down().await;
        let world = &mut *self.shared.world();
        let clean = !world.lives[life].term(token).unclean;
        if clean && !matches!(outcome, Ok(StepDownOutcome::Released)) {
            let text = format!("token {token}, a clean planned end: {outcome:?}");
            world.fail(Property::ReleasedWhenUnneeded, text);
        }
    }

    /// Checks that no subscriber has missed a message.
    async fn check_messages(&self) {
        for node in &self.nodes {
            let lock = node
                .lock
                .clone()
                .expect("every lock runs after the faults have stopped");
            let status = lock.status().await;
            let world = &mut *self.shared.world();
            let Ok(status) = status else {
                return world.fail(Property::NoPanic, "a lock has ended");
            };
            for _ in 0..status.restarts {
                world.counts.count("restart");
            }
            if status.unacknowledged > 0 {
                let text = format!("life {} lacks acknowledgements", node.life);
                world.fail(Property::Acknowledged, text);
            }
            let leads = status.leadership.map(|leadership| leadership.token());
            let all = world.subscribers.iter();
            let wrong = all.enumerate().find(|(_, seen)| {
                let follows = seen.life == node.life && seen.alive && seen.subscribed;
                follows && (seen.told != leads || seen.messages == 0)
            });
            if let Some((index, seen)) = wrong {
                let text = format!("subscriber {index} was told {:?}, not {leads:?}", seen.told);
                world.fail(Property::Messages, text);
            }
        }
    }
}
