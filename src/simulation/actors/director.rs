use std::time::Duration;

use actix::{Actor as _, Addr, Supervisor};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use tokio::time::sleep_until;

use super::{
    plan::{Plan, SubscriberPlan, Trouble},
    subscriber::{Poke, Subscriber},
    wire::Wire,
    world::{Command, Life, OwnClock, Shared},
};
use crate::{
    actor::{LockActor, LockHandle},
    clock::Clock as _,
    simulation::{
        plan::{self, FaultKind},
        properties::{Property, Violation},
    },
};

/// How often the properties are looked at when nothing happens.
const TICK: Duration = Duration::from_millis(100);

/// Starts and ends what a run consists of.
pub(super) struct Director {
    shared: Shared,
    nodes: Vec<Node>,
}

struct Node {
    name: String,
    starts: u32,
    life: usize,
    lock: Option<LockHandle>,
    subscribers: Vec<Addr<Subscriber>>,
    /// What is to be started when; `None` once it has been.
    start_at: Option<Duration>,
}

impl Director {
    pub(super) fn new(shared: &Shared, plan: &Plan) -> Self {
        let nodes = plan.base.nodes.iter().enumerate().map(|(index, node)| {
            let index = if node.impostor { 0 } else { index };
            Node {
                name: format!("node{index}"),
                starts: 0,
                life: 0,
                lock: None,
                subscribers: Vec::new(),
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
            self.strike(*trouble);
        }
        self.wait_until(plan::Plan::PEACE).await?;
        self.make_peace();
        let verdict = plan::Plan::PEACE + bound;
        self.wait_until(verdict).await?;
        self.check_leader();
        self.wait_until(verdict + plan.base.timing.ttl() * 2)
            .await?;
        self.check_leader();
        self.check_told().await;
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
        let (life, builder, subscribers) = {
            let world = &mut *self.shared.world();
            world.log(|| format!("node{index} starts"));
            let rate = world.plan.base.nodes[index].clock;
            let origin = world.origin;
            let clock = OwnClock { origin, rate };
            let life = world.lives.len();
            world.lives.push(Life::new(index, clock));
            let rng = SmallRng::seed_from_u64(world.rng.random());
            let store = Wire::new(self.shared.clone(), life, clock);
            let builder = LockActor::builder("r", std::sync::Arc::new(store))
                .candidate(self.nodes[index].name.as_str())
                .timing(world.plan.base.timing)
                .clock(std::sync::Arc::new(clock))
                .rng(rng);
            (life, builder, world.plan.subscribers[index].clone())
        };
        let lock = builder.start_here().expect("all that is given is good");
        let node = &mut self.nodes[index];
        (node.life, node.lock, node.start_at) = (life, Some(lock), None);
        node.starts += 1;
        node.subscribers.clear();
        for plan in subscribers {
            self.join(index, plan);
        }
    }

    fn join(&mut self, index: usize, plan: SubscriberPlan) {
        let node = &mut self.nodes[index];
        let Some(lock) = &node.lock else {
            return;
        };
        let subscriber = Subscriber::new(&self.shared, node.life, lock.address(), plan);
        node.subscribers.push(match plan.supervised {
            true => Supervisor::start(|_| subscriber),
            false => subscriber.start(),
        });
    }

    /// Has a command done, and sees to it that it is answered.
    fn command(&self, index: usize, what: Option<Command>, hold_off: Duration) {
        let node = &self.nodes[index];
        let Some(lock) = node.lock.clone() else {
            return;
        };
        let (shared, life) = (self.shared.clone(), node.life);
        {
            let world = &mut *shared.world();
            world.log(|| format!("node{index} (life {life}) is told to {what:?}"));
            world.counts.count("command");
            world.unanswered += 1;
            let life = &mut world.lives[life];
            let now = life.clock.now();
            life.commands.extend(what.map(|what| (now, what)));
        }
        actix::spawn(async move {
            let answer = match what {
                Some(Command::StepDown) => lock.step_down_for(hold_off).await.map(drop),
                Some(Command::Pause) => lock.pause().await.map(drop),
                Some(Command::Shutdown) => lock.shutdown().await.map(drop),
                Some(Command::Leave) | None => lock.resume().await,
            };
            let world = &mut *shared.world();
            world.unanswered -= 1;
            let crashed = world.lives[life].crashed;
            if answer.is_err() && !crashed {
                let text = format!("life {life} gave no answer to {what:?}");
                world.fail(Property::Liveness, text);
            }
        });
    }

    fn strike(&mut self, trouble: Trouble) {
        let poke = |node: usize, subscriber: usize, poke| {
            let all = &self.nodes[node].subscribers;
            if let Some(address) = all.get(subscriber % all.len().max(1)) {
                address.do_send(poke);
            }
        };
        match trouble {
            Trouble::Common(kind) => self.strike_store(kind),
            Trouble::Stop { node, subscriber } => poke(node, subscriber, Poke::Stop),
            Trouble::Panic { node, subscriber } => poke(node, subscriber, Poke::Panic),
            Trouble::Subscribe { node, subscriber } => poke(node, subscriber, Poke::Subscribe),
            Trouble::Unsubscribe { node, subscriber } => poke(node, subscriber, Poke::Unsubscribe),
            Trouble::Join { node, plan } => self.join(node, plan),
            Trouble::Shutdown {
                node,
                by_drop,
                time,
                new_id,
            } if self.nodes[node].lock.is_some() => {
                if by_drop {
                    let world = &mut *self.shared.world();
                    world.log(|| format!("the last handle of node{node} is dropped"));
                    let life = &mut world.lives[self.nodes[node].life];
                    let now = life.clock.now();
                    // Commands under way hold handles, too: it may come later, or not at all.
                    life.commands.push((now, Command::Shutdown));
                } else {
                    self.command(node, Some(Command::Shutdown), time);
                }
                self.shared.world().counts.count("shutdown");
                self.end(node, time, new_id);
            }
            Trouble::Shutdown { .. } => {}
        }
    }

    /// The director lets go of a lock, and starts another after a while. Its subscribers stay until
    /// then.
    fn end(&mut self, index: usize, time: Duration, new_id: bool) {
        let origin = self.shared.world().origin;
        let node = &mut self.nodes[index];
        node.lock = None;
        node.start_at = Some(origin.elapsed() + time);
        if new_id {
            node.name = format!("node{index}.{}", node.starts);
        }
    }

    fn strike_store(&mut self, fault: FaultKind) {
        match fault {
            FaultKind::Crash { node, time, new_id } if self.nodes[node].lock.is_some() => {
                let life = self.nodes[node].life;
                {
                    let world = &mut *self.shared.world();
                    world.log(|| format!("node{node} (life {life}) crashes"));
                    world.counts.count("crash");
                    // It asks nothing more, and nobody asks it.
                    world.lives[life].crashed = true;
                }
                self.nodes[node].subscribers.clear();
                return self.end(node, time, new_id);
            }
            FaultKind::StepDown { node, hold_off } => {
                return self.command(node, Some(Command::StepDown), hold_off);
            }
            FaultKind::PauseLock { node } => {
                return self.command(node, Some(Command::Pause), Duration::ZERO);
            }
            FaultKind::ResumeLock { node } => return self.command(node, None, Duration::ZERO),
            _ => {}
        }
        let world = &mut *self.shared.world();
        let now = world.now();
        let down = match fault {
            FaultKind::StoreDown { time } => {
                world.counts.count("store down");
                Some(time)
            }
            FaultKind::Evict => {
                if let Some(token) = world.store.evict(now) {
                    world.log(|| format!("an operator evicts token {token}"));
                    world.counts.count("eviction");
                    world.evicted.insert(token);
                }
                None
            }
            FaultKind::Failover { to, lost, time } => {
                world.log(|| format!("member {to} is primary; lost: {lost}"));
                world.counts.count("failover");
                world.forgot |= lost;
                world.store.fail_over(to, lost);
                world.last_commit = now;
                Some(time)
            }
            FaultKind::ClockStep { ahead } => {
                world.log(|| format!("the store's clock is {ahead:?} ahead"));
                world.counts.count("clock step");
                world.store.step_clock(ahead);
                None
            }
            _ => None,
        };
        if let Some(time) = down {
            world.log(|| format!("the store is down for {time:?}"));
            world.store.up = false;
            let shared = self.shared.clone();
            actix::spawn(async move {
                tokio::time::sleep(time).await;
                shared.world().store.up = true;
            });
        }
    }

    fn make_peace(&mut self) {
        self.shared.world().make_peace();
        for index in 0..self.nodes.len() {
            if self.nodes[index].lock.is_none() {
                self.start(index);
            }
            self.join(index, SubscriberPlan::PROMPT);
            self.command(index, None, Duration::ZERO);
        }
    }

    /// What holds when the faults have stopped for long enough.
    fn check_leader(&self) {
        let world = &mut *self.shared.world();
        let leaders = world.leaders();
        if leaders.len() != 1 {
            let text = format!("{leaders:?} lead after the faults have stopped");
            world.fail(Property::Liveness, text);
        }
        if world.unanswered > 0 {
            let text = format!("{} commands were not answered", world.unanswered);
            world.fail(Property::Liveness, text);
        }
    }

    /// Nobody has missed a message.
    async fn check_told(&self) {
        for node in &self.nodes {
            let lock = node.lock.clone().expect("all run in peace");
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
                let text = format!("subscriber {index} believes {:?}, not {leads:?}", seen.told);
                world.fail(Property::Told, text);
            }
        }
    }
}
