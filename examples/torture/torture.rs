//! One run: the nodes contend, the nemesis acts, and each fault ends in time.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tenure::clock::{BootClock, Clock as _, Moment};
use tokio::{runtime::Handle, time::timeout};

use crate::{
    disturbances::{Disturbance, Scope},
    failure::Failure,
    intervals::Interval,
    nemesis::{Act, Nemesis, Victim},
    node_id::NodeId,
    operators::Operators,
    process_group::ProcessGroup,
    protocol::{Command, Contest, Fault, Orders},
    proxies::{Proxies, ProxyFault},
    register::Register,
    store_under_test::StoreUnderTest,
};

/// The limit for reading the register, perhaps after an election.
const READ: Duration = Duration::from_secs(20);

/// How often each thing was done.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) kills: usize,
    pub(crate) freezes: usize,
    pub(crate) proxies: usize,
    pub(crate) store: usize,
    pub(crate) step_downs: usize,
    pub(crate) evictions: usize,
    pub(crate) hand_overs: usize,
    pub(crate) pauses: usize,
}

pub(crate) struct Torture {
    pub(crate) under_test: Box<dyn StoreUnderTest>,
    pub(crate) proxies: Option<Proxies>,
    pub(crate) nemesis: Nemesis,
    pub(crate) contests: Vec<Contest>,
    pub(crate) nodes: usize,
    /// Since when no process of a node runs, by the number of the node.
    pub(crate) absent: BTreeMap<usize, Moment>,
    /// The planted fault of node 1.
    pub(crate) fault: Option<Fault>,
    pub(crate) group: ProcessGroup,
    pub(crate) operators: Operators,
    pub(crate) register: Arc<dyn Register>,
    pub(crate) runtime: Handle,
    pub(crate) disturbances: Vec<Disturbance>,
    pub(crate) tally: Tally,
    /// The active faults, and when each ends.
    pub(crate) pending: Vec<(Moment, Pending)>,
    /// What was done and when, for the log.
    pub(crate) diary: Vec<(Moment, String)>,
}

#[derive(Clone, Debug)]
pub(crate) enum Pending {
    Start(usize),
    Thaw(usize),
    Mend(usize, String, Moment),
    Relieve,
}

impl Torture {
    /// Runs the nemesis for this long. Then all faults end, and each resource must have a leader again.
    pub(crate) fn run(&mut self, lasting: Duration) -> Result<(), Failure> {
        self.start(1)?;
        if self.fault.is_some() {
            // It must lead something.
            self.await_leaders("the faulty node to lead all resources")?;
        }
        for number in 2..=self.nodes {
            self.start(number)?;
        }
        self.await_leaders("a leader of each resource at the start")?;
        let end = BootClock.now() + lasting;
        let mut next = BootClock.now();
        while BootClock.now() < end {
            self.group.listen()?;
            self.undo(BootClock.now())?;
            if next <= BootClock.now() {
                let act = self.nemesis.act();
                self.act(act)?;
                next = BootClock.now() + self.nemesis.pause();
            }
        }
        self.undo(Moment::from_nanos(u64::MAX))?;
        self.await_resumptions()?;
        self.await_leaders("a leader of each resource after all faults are over")?;
        let asked = BootClock.now();
        self.note("all are asked to shut down".to_owned());
        let limit = self.longest_ttl() * 4 + Duration::from_secs(20);
        let ended = self.group.end(limit);
        self.disturb("shutdown", Scope::Everybody, asked);
        ended
    }

    /// The tokens of the writes that the register applied, for each resource. Ends a fault of the store first, which
    /// a failed run may have left.
    pub(crate) fn registers(&mut self) -> Result<BTreeMap<String, Vec<u64>>, Failure> {
        self.under_test.relieve()?;
        let read = |contest: &Contest| {
            let history = async { timeout(READ, self.register.history(&contest.resource)).await };
            let history = self.runtime.block_on(history).map_err(Failure::of_store)?;
            let history = history.map_err(Failure::of_store)?;
            Ok((contest.resource.clone(), history))
        };
        self.contests.iter().map(read).collect()
    }

    fn await_leaders(&mut self, what: &str) -> Result<(), Failure> {
        let limit = self.longest_ttl() * 3 + Duration::from_secs(15);
        let contests = self.contests.clone();
        self.group.wait(what, limit, |group| {
            let now = BootClock.now();
            let led = |contest: &Contest| group.history.leader(&contest.resource, now).is_some();
            contests.iter().all(led).then_some(())
        })
    }

    /// An operator that pauses a resource resumes it, once the store lets it.
    fn await_resumptions(&mut self) -> Result<(), Failure> {
        let limit = self.longest_ttl() * 5 + Duration::from_secs(15);
        self.group.wait("all pauses to end", limit, |group| {
            group.paused.is_empty().then_some(())
        })
    }

    fn start(&mut self, number: usize) -> Result<(), Failure> {
        let orders = Orders {
            name: node_name(number),
            url: self.under_test.url_of(number),
            contests: self.contests.clone(),
            fault: self.fault.filter(|_| number == 1),
        };
        let id = self.group.start(number, &orders)?;
        let since = self.absent.remove(&number).unwrap_or_default();
        self.disturb("down", Scope::Absence(number), since);
        self.note(format!("{id} is started"));
        Ok(())
    }

    fn act(&mut self, act: Act) -> Result<(), Failure> {
        let now = BootClock.now();
        match act {
            Act::Kill { node, down } => {
                let Some(id) = self.victim(node) else {
                    return Ok(());
                };
                self.tally.kills += 1;
                self.note(format!("SIGKILL to {id}"));
                self.absent.insert(id.number, now);
                self.group.kill(id.number)?;
                self.later(now + down, Pending::Start(id.number));
            }
            Act::Freeze { node, lasting } => {
                let Some(id) = self.victim(node) else {
                    return Ok(());
                };
                self.tally.freezes += 1;
                self.note(format!("SIGSTOP to {id} for {lasting:.2?}"));
                self.group.freeze(id.number)?;
                self.later(now + lasting, Pending::Thaw(id.number));
            }
            Act::Connection {
                node,
                fault,
                lasting,
            } => self.fault(node, fault, now, lasting),
            Act::Store { choice, lasting } => {
                let struck = |(_, pending): &(_, Pending)| matches!(pending, Pending::Relieve);
                if self.pending.iter().any(struck) {
                    return Ok(());
                }
                if let Some(what) = self.under_test.strike(choice)? {
                    self.tally.store += 1;
                    self.note(format!("{what} for {lasting:.2?}"));
                    self.later(now + lasting, Pending::Relieve);
                }
            }
            Act::StepDown { resource } => {
                let resource = self.contests[resource].resource.clone();
                if let Some(id) = self.leader(&resource) {
                    self.tally.step_downs += 1;
                    self.note(format!("{id} is asked to step down from {resource}"));
                    let scope = Scope::Lease(id, resource.clone());
                    self.group.command(id, &Command::StepDown { resource })?;
                    self.disturb("step-down", scope, now);
                }
            }
            Act::Evict { resource } => {
                let Contest { resource, .. } = self.contests[resource].clone();
                self.tally.evictions += 1;
                self.note(format!("the leader of {resource} is evicted"));
                self.runtime.spawn(self.operators.clone().evict(resource));
            }
            Act::HandOver { resource, to } => {
                let Contest { resource, ttl } = self.contests[resource].clone();
                self.tally.hand_overs += 1;
                self.note(format!("{resource} is to be handed over to node {to}"));
                let operators = self.operators.clone();
                self.runtime
                    .spawn(operators.hand_over(resource, node_name(to), ttl));
            }
            Act::Pause { resource, lasting } => {
                let Contest { resource, ttl } = self.contests[resource].clone();
                if !self.group.paused.insert(resource.clone()) {
                    return Ok(());
                }
                self.tally.pauses += 1;
                self.note(format!("{resource} is paused for {lasting:.2?}"));
                let operators = self.operators.clone();
                self.runtime.spawn(operators.pause(resource, ttl, lasting));
            }
        }
        Ok(())
    }

    fn fault(&mut self, node: Victim, fault: ProxyFault, now: Moment, lasting: Duration) {
        let number = match node {
            Victim::Node(number) => Some(number),
            Victim::LeaderOf(resource) => {
                let resource = self.contests[resource].resource.clone();
                self.leader(&resource).map(|id| id.number)
            }
        };
        let (Some(number), Some(proxies)) = (number, &self.proxies) else {
            return;
        };
        let harmed = |(_, pending): &(_, Pending)| matches!(pending, Pending::Mend(other, ..) if *other == number);
        if self.pending.iter().any(harmed) {
            return;
        }
        proxies.fault(number, fault);
        self.tally.proxies += 1;
        let what = format!("connections of node {number}: {fault:?}").to_lowercase();
        self.note(format!("{what} for {lasting:.2?}"));
        self.later(now + lasting, Pending::Mend(number, what, now));
    }

    /// Ends the faults that are due by then.
    fn undo(&mut self, due: Moment) -> Result<(), Failure> {
        while let Some(index) = self.pending.iter().position(|(at, _)| *at <= due) {
            let (_, pending) = self.pending.swap_remove(index);
            match pending {
                Pending::Start(number) => self.start(number)?,
                Pending::Thaw(number) => {
                    if let Some((id, Interval { start, .. })) = self.group.thaw(number)? {
                        self.note(format!("SIGCONT to {id}"));
                        self.disturb("SIGSTOP", Scope::Process(id), start);
                    }
                }
                Pending::Mend(number, what, since) => {
                    if let Some(proxies) = &self.proxies {
                        proxies.fault(number, ProxyFault::None);
                    }
                    self.note(format!("connections of node {number} are normal again"));
                    self.disturb(&what, Scope::Proxies(number), since);
                }
                Pending::Relieve => {
                    self.note("the fault of the store is over".to_owned());
                    self.under_test.relieve()?;
                }
            }
        }
        Ok(())
    }

    /// The process to disturb, unless it is disturbed already.
    fn victim(&self, victim: Victim) -> Option<NodeId> {
        match victim {
            Victim::Node(number) => self.group.running(number),
            Victim::LeaderOf(resource) => self.leader(&self.contests[resource].resource),
        }
    }

    fn leader(&self, resource: &str) -> Option<NodeId> {
        let leader = self.group.history.leader(resource, BootClock.now())?.node;
        self.group.running(leader.number).filter(|id| *id == leader)
    }

    fn later(&mut self, at: Moment, pending: Pending) {
        self.pending.push((at, pending));
    }

    fn disturb(&mut self, what: &str, scope: Scope, start: Moment) {
        let disturbance = Disturbance::new(what, scope, start, BootClock.now());
        self.disturbances.push(disturbance);
    }

    fn note(&mut self, what: String) {
        self.diary.push((BootClock.now(), what));
    }

    fn longest_ttl(&self) -> Duration {
        let ttls = self.contests.iter().map(|contest| contest.ttl);
        ttls.max().unwrap_or_default()
    }
}

/// The candidate of this node, in each of its runs.
fn node_name(number: usize) -> String {
    format!("node-{number}")
}
