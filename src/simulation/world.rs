use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    time::{Duration, SystemTime},
};

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use super::{
    counts::Counts,
    network::Network,
    node::Node,
    operators::Operator,
    plan::{Clocks, FaultKind, NodePlan, Plan, StoreKind},
    properties::{Property, Violation},
    store::{Store, wall, wall_of},
    table_port::{TableReply, TableRequest},
};
use crate::{
    clock::{Clock as _, Moment},
    election::{Call, Reply, RequestId},
    lease::{CandidateId, FencingToken, Instruction},
    store::StoredRecord,
    timing::POLL_JITTER,
};

/// A process and the number of its start. Events of an earlier start are ignored.
pub(super) type Incarnation = (usize, u32);

#[derive(Debug)]
pub(super) enum Event {
    /// A request reaches a store with a clock.
    Arrive {
        from: Incarnation,
        id: RequestId,
        sent_at: Moment,
        call: Call,
        answer: Option<Duration>,
    },
    /// A majority has the write of a request, so it is confirmed.
    Commit {
        to: Incarnation,
        id: RequestId,
        sent_at: Moment,
        reply: Reply,
        answer: Option<Duration>,
        term: u32,
        record: StoredRecord,
    },
    /// A reply or a connection error reaches its sender.
    Answer {
        to: Incarnation,
        id: RequestId,
        sent_at: Moment,
        reply: Reply,
    },
    /// A request of an observing client reaches the store.
    TableRequest {
        from: Incarnation,
        op: u64,
        ask: TableRequest,
        answer: Option<Duration>,
    },
    TableReply {
        to: Incarnation,
        op: u64,
        told: TableReply,
    },
    Wake(Incarnation),
    Acknowledge {
        node: Incarnation,
        clean: bool,
    },
    /// A leader sends a write that carries its token.
    Work(Incarnation, FencingToken),
    /// That write reaches the register.
    Register(Incarnation, FencingToken),
    Resume(Incarnation),
    Start(Incarnation),
    StoreUp,
    Fault(FaultKind),
    /// An operator's instruction reaches the store. It answers the wish of this number.
    Instruct {
        instruction: Instruction,
        answers: Option<u64>,
        /// When it was sent, as [`World::now`].
        sent_at: u64,
    },
    /// The operator has had no answer to the wish of this number.
    AskAgain(u64),
    /// Faults stop here.
    FaultsStop,
    /// From here on there must be one leader.
    CheckLeader,
    /// The run ends; there must still be one leader.
    End,
}

pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) clocks: Clocks,
    /// The timeline, if it is recorded.
    pub(super) trace: Option<Vec<String>>,
    pub(super) counts: Counts,
    pub(super) rng: SmallRng,
    pub(super) now: u64,
    pub(super) queue: BinaryHeap<Reverse<(u64, u64)>>,
    pub(super) events: BTreeMap<u64, Event>,
    next_event: u64,
    pub(super) nodes: Vec<Node>,
    pub(super) network: Network,
    pub(super) store: Store,
    pub(super) last_commit: u64,
    pub(super) faults_stopped: bool,
    /// The events of frozen nodes, which are handled when the node resumes.
    pub(super) waiting: Vec<Event>,
    /// The highest token that was seen current.
    highest: FencingToken,
    pub(super) last_elected: FencingToken,
    /// The holder that wrote each token into the record.
    pub(super) acquired: BTreeMap<u64, BTreeSet<CandidateId>>,
    pub(super) evicted: BTreeSet<FencingToken>,
    /// Whether a failover has lost writes.
    pub(super) forgot: bool,
    /// The version of the record when a newer version of the library wrote it.
    pub(super) taken_at: Option<u64>,
    pub(super) register: Option<(FencingToken, Incarnation)>,
    pub(super) overlaps: u64,
    pub(super) operator: Operator,
    /// What was violated while an event was handled.
    pub(super) violation: Option<Violation>,
}

impl World {
    pub(super) fn new(plan: &Plan, clocks: Clocks) -> Self {
        let nodes = plan.nodes.iter().enumerate();
        Self {
            clocks,
            trace: None,
            counts: Counts::default(),
            // A separate generator, so that shrinking the plan does not change it.
            rng: SmallRng::seed_from_u64(!plan.seed),
            now: 0,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            next_event: 0,
            nodes: nodes.map(|(index, node)| Node::new(index, node)).collect(),
            network: plan.network,
            store: Store::new(plan),
            last_commit: 0,
            faults_stopped: false,
            waiting: Vec::new(),
            highest: FencingToken::new(0),
            last_elected: FencingToken::new(0),
            acquired: BTreeMap::new(),
            evicted: BTreeSet::new(),
            forgot: false,
            taken_at: None,
            register: None,
            overlaps: 0,
            operator: Operator::default(),
            violation: None,
            plan: plan.clone(),
        }
    }

    /// The longest time from the end of the faults until there is a leader. For the slowest candidate, on the
    /// slowest clock, it is the sum of:
    ///
    /// - the rest of the last lease: a whole ttl for observing clients, or the rest of `min_hold`;
    /// - two polls, each with its jitter, a late timer and a call: one to see the expiry, one to acquire.
    pub(super) fn bound(&self) -> Duration {
        let lease = |node: &NodePlan| node.timing.ttl().max(node.options.min_hold);
        let looks = |node: &NodePlan| {
            let poll = node.timing.poll_every().mul_f64(1.0 + POLL_JITTER);
            (poll + node.timer_lateness(true) + node.timing.call_timeout()) * 2
        };
        let bound = self.plan.longest(lease) + self.plan.longest(looks);
        self.plan.on_the_slowest_clock(bound)
    }

    pub(super) fn run(&mut self) -> Result<(), Violation> {
        for index in 0..self.nodes.len() {
            let start = Event::Start((index, 0));
            self.after(self.plan.nodes[index].starts, start);
        }
        for fault in self.plan.faults.clone() {
            self.after(fault.at, Event::Fault(fault.kind));
        }
        let verdict = Plan::FAULTS_STOP_AT + self.bound();
        self.after(Plan::FAULTS_STOP_AT, Event::FaultsStop);
        self.after(verdict, Event::CheckLeader);
        let ttl = self.plan.longest(|node| node.timing.ttl());
        self.after(verdict + ttl * 2, Event::End);
        while let Some(Reverse((time, key))) = self.queue.pop() {
            self.now = time;
            for node in &self.nodes {
                node.set_clock(time);
            }
            self.check()?;
            let event = self.events.remove(&key).expect("each key has its event");
            let end = matches!(event, Event::End);
            self.handle(event)?;
            if end {
                return Ok(());
            }
            self.check()?;
        }
        Ok(())
    }

    pub(super) fn seconds(&mut self, most: f64) -> Duration {
        Duration::from_secs_f64(self.rng.random_range(0.0..most))
    }

    pub(super) fn after(&mut self, delay: Duration, event: Event) {
        let at = self.now + delay.as_nanos() as u64;
        self.queue.push(Reverse((at, self.next_event)));
        self.events.insert(self.next_event, event);
        self.next_event += 1;
    }

    pub(super) fn log(&mut self, text: impl FnOnce() -> String) {
        let now = self.now as f64 / 1e9;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{now:9.3} s  {}", text()));
        }
    }

    /// Checks the properties that hold at every moment.
    fn check(&mut self) -> Result<(), Violation> {
        if let Some(violation) = self.violation.take() {
            return Err(violation);
        }
        let mut tokens = Vec::new();
        for node in &mut self.nodes {
            let current = node.current()?;
            let end = node.facts.may_end_at.filter(|_| !current.is_empty());
            if end.is_some_and(|end| end < node.clock.now()) {
                let text = format!("{} is led for longer than it may be", current[0]);
                return Err(Violation::new(Property::Deadline, text));
            }
            tokens.extend(current);
        }
        tokens.sort_unstable();
        let overlap = tokens.len() > 1;
        let stale = tokens.first().is_some_and(|token| *token < self.highest);
        if (overlap || stale) && self.clocks == Clocks::Wild {
            self.overlaps += 1;
        } else if overlap {
            let text = format!("two leaders at once: tokens {tokens:?}");
            return Err(Violation::new(Property::Exclusion, text));
        } else if stale {
            let text = format!("{} leads after {}", tokens[0], self.highest);
            return Err(Violation::new(Property::Exclusion, text));
        }
        self.highest = self
            .highest
            .max(tokens.last().copied().unwrap_or(self.highest));
        self.check_ends()
    }

    /// Checks that subscribers are told of an end in time. Timers may fire late, so ends may be told as late.
    fn check_ends(&mut self) -> Result<(), Violation> {
        const AT_ONCE: Duration = Duration::from_millis(50);
        for index in 0..self.nodes.len() {
            let now = self.now;
            let node = &mut self.nodes[index];
            let late = node.plan.timer_lateness(false) + AT_ONCE;
            let misled = node
                .delivered_token
                .filter(|token| !node.paused && !node.leads(*token));
            node.misled_since = misled.map(|_| node.misled_since.unwrap_or(now));
            if let (Some(token), Some(since)) = (misled, node.misled_since)
                && now - since > late.as_nanos() as u64
            {
                let text = format!("node{index} was not told that token {token} has ended");
                return Err(Violation::new(Property::EndToldOnTime, text));
            }
        }
        Ok(())
    }

    /// Checks the properties that hold some time after the faults have stopped.
    pub(super) fn check_leader(&mut self) -> Result<(), Violation> {
        let mut leaders = 0;
        for node in &mut self.nodes {
            leaders += node.current()?.len();
        }
        if let Some(version) = self.taken_at {
            let now = self.store.record.version;
            if now != version {
                let text = format!("version {now} of a record that was version {version}");
                return Err(Violation::new(Property::NewerRecords, text));
            }
        } else if leaders == 0 && self.some_hold_ends() {
            // The last holder has released the lease, and the next has not acquired it yet.
            self.counts.count("no leader after a longest hold");
        } else if leaders != 1 && self.clocks == Clocks::WithinMargin {
            let text = format!("{leaders} leaders after the faults have stopped");
            return Err(Violation::new(Property::Liveness, text));
        }
        Ok(())
    }

    /// Whether a candidate releases the lease from time to time (`max_hold`).
    fn some_hold_ends(&self) -> bool {
        let mut nodes = self.plan.nodes.iter();
        nodes.any(|node| node.options.max_hold.is_some())
    }

    /// The time of day of the store, and of the candidates, if they have no drift.
    pub(super) fn store_wall(&self) -> SystemTime {
        match self.plan.store {
            StoreKind::Observed { .. } => wall_of(self.now),
            _ => wall(self.store.now(self.now)),
        }
    }

    pub(super) fn is_void(&self, (node, incarnation): Incarnation) -> bool {
        self.nodes[node].incarnation != incarnation
    }

    pub(super) fn observes(&self) -> bool {
        matches!(self.plan.store, StoreKind::Observed { .. })
    }

    /// A write of a leader reaches the register, which keeps the highest token that it has seen.
    pub(super) fn register(
        &mut self,
        by: Incarnation,
        token: FencingToken,
    ) -> Result<(), Violation> {
        let any = crate::mutants::is_on(crate::mutants::Mutant::StaleTokenWritten);
        match self.register {
            Some((newest, _)) if token < newest && !any => {
                self.counts.count("stale write refused");
                return Ok(());
            }
            Some((newest, _)) if token < newest => {
                let text = format!("a write with token {token} after one with {newest}");
                return Err(Violation::new(Property::StaleWrites, text));
            }
            Some((newest, other)) if token == newest && by != other => {
                let text = format!("token {token} of node{} and of node{}", other.0, by.0);
                return Err(Violation::new(Property::Tokens, text));
            }
            _ => self.counts.count("guarded write"),
        }
        self.register = Some((token, by));
        Ok(())
    }
}
