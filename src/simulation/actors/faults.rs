//! Applies faults, and sends commands to the locks.

use std::time::Duration;

use super::{
    plan::ActorFault, plan_runner::PlanRunner, subscriber::SubscriberStimulus, world::Command,
};
use crate::{
    clock::Clock as _,
    simulation::{plan::FaultKind, properties::Property},
};

impl PlanRunner {
    /// Sends a command, and checks that it is answered.
    pub(super) fn command(&self, index: usize, what: Option<Command>, hold_off: Duration) {
        let node = &self.nodes[index];
        let (Some(lock), Some(process)) = (node.lock.clone(), &node.process) else {
            return;
        };
        let (shared, life) = (self.shared.clone(), node.life);
        {
            let world = &mut *shared.world();
            world.log(|| format!("node{index} (life {life}) is told to {what:?}"));
            world.counts.count("command");
            world.lives[life].unanswered += 1;
        }
        let command = async move {
            {
                let life = &mut shared.world().lives[life];
                let now = life.clock.now();
                life.commands.extend(what.map(|what| (now, what)));
            }
            let answer = match what {
                Some(Command::StepDown) => lock.step_down_for(hold_off).await.map(drop),
                Some(Command::Pause) => lock.pause().await.map(drop),
                Some(Command::Shutdown) => lock.shutdown().await.map(drop),
                Some(Command::Leave) | None => lock.resume().await,
            };
            let world = &mut *shared.world();
            world.lives[life].unanswered -= 1;
            if answer.is_err() {
                let text = format!("life {life} gave no answer to {what:?}");
                world.fail(Property::Liveness, text);
            }
        };
        process.inside(|| actix::spawn(command));
    }

    pub(super) fn apply_fault(&mut self, trouble: ActorFault) {
        let poke = |node: usize, subscriber: usize, poke| {
            let all = &self.nodes[node].subscribers;
            if let Some(address) = all.get(subscriber % all.len().max(1)) {
                address.do_send(poke);
            }
        };
        match trouble {
            ActorFault::Common(kind) => self.apply_store_fault(kind),
            ActorFault::Stop { node, subscriber } => {
                poke(node, subscriber, SubscriberStimulus::Stop);
            }
            ActorFault::Panic { node, subscriber } => {
                poke(node, subscriber, SubscriberStimulus::Panic);
            }
            ActorFault::Subscribe { node, subscriber } => {
                poke(node, subscriber, SubscriberStimulus::Subscribe);
            }
            ActorFault::Unsubscribe { node, subscriber } => {
                poke(node, subscriber, SubscriberStimulus::Unsubscribe);
            }
            ActorFault::Join { node, plan } => self.join(node, plan),
            ActorFault::Watch { node } => self.watch(node, true),
            ActorFault::ObserverStimulus {
                node,
                observer,
                stimulus,
            } => {
                let all = &self.nodes[node].observers;
                if let Some(address) = all.get(observer % all.len().max(1)) {
                    address.do_send(stimulus);
                }
            }
            ActorFault::Shutdown {
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
                    // Commands in progress hold handles, too, so the shutdown may come later or not at all.
                    life.commands.push((now, Command::Shutdown));
                } else {
                    self.command(node, Some(Command::Shutdown), time);
                }
                self.shared.world().counts.count("shutdown");
                self.end(node, time, new_id);
            }
            ActorFault::Shutdown { .. } => {}
        }
    }

    /// Drops a lock and starts another after a while. Its subscribers stay until then.
    fn end(&mut self, index: usize, time: Duration, new_id: bool) {
        let origin = self.shared.world().origin;
        let node = &mut self.nodes[index];
        node.lock = None;
        node.start_at = Some(origin.elapsed() + time);
        if new_id {
            node.name = format!("node{index}.{}", node.starts);
        }
    }

    /// Freezes the current process of a node, or the last one, which may be shutting down.
    fn freeze(&self, index: usize, time: Duration) {
        let node = &self.nodes[index];
        let world = &mut *self.shared.world();
        if node.process.is_none() || !world.freeze(node.life) {
            return;
        }
        let (life, shared) = (node.life, self.shared.clone());
        world.log(|| format!("node{index} (life {life}) is frozen"));
        world.counts.count("freeze");
        if time > world.timing(node.life).ttl() {
            world.counts.count("freeze beyond the ttl");
        }
        actix::spawn(async move {
            tokio::time::sleep(time).await;
            shared.world().thaw(life);
        });
    }

    fn apply_store_fault(&mut self, fault: FaultKind) {
        match fault {
            FaultKind::Crash { node, time, new_id } if self.nodes[node].lock.is_some() => {
                let life = self.nodes[node].life;
                {
                    let world = &mut *self.shared.world();
                    world.log(|| format!("node{node} (life {life}) crashes"));
                    world.counts.count("crash");
                    world.freeze(life);
                    world.lives[life].crashed = true;
                }
                self.nodes[node].subscribers.clear();
                self.nodes[node].observers.clear();
                return self.end(node, time, new_id);
            }
            FaultKind::Pause { node, time } => return self.freeze(node, time),
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
            FaultKind::Evict if world.taken_at.is_none() => {
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
            FaultKind::NewerLibrary if world.store.record.version > 0 => {
                world.log(|| "a newer library takes the record".to_owned());
                world.counts.count("newer library");
                world.store.take_for_newer();
                world.taken_at = Some(world.store.record.version);
                None
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
}
