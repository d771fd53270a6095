use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Duration,
};

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use tokio::{sync::Notify, time::Instant};

use super::plan::{Plan, Style};
use crate::{
    clock::{Clock, Moment},
    leadership::Leadership,
    lease::{CandidateId, FencingToken},
    simulation::{
        counts::Counts,
        network::Network,
        plan::{ClockDrift, NodePlan},
        properties::{Property, Violation},
        store::Store,
    },
    timing::{POLL_JITTER, Timing},
};

/// What the actors of a run share. They run on one thread.
#[derive(Clone)]
pub(super) struct SharedWorld(Arc<Mutex<World>>, Arc<Notify>);

/// A clock with its own rate over the paused time of the runtime.
#[derive(Clone, Copy, Debug)]
pub(super) struct DriftingClock {
    pub(super) origin: Instant,
    pub(super) rate: ClockDrift,
}

impl Clock for DriftingClock {
    fn now(&self) -> Moment {
        let own = self.origin.elapsed().as_nanos() as f64 * self.rate.rate;
        Moment::default() + self.rate.ahead + Duration::from_nanos(own as u64)
    }
}

pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) trace: Option<Vec<String>>,
    pub(super) counts: Counts,
    pub(super) rng: SmallRng,
    pub(super) origin: Instant,
    pub(super) network: Network,
    pub(super) store: Store,
    pub(super) last_commit: u64,
    pub(super) faults_stopped: bool,
    pub(super) lives: Vec<LockLife>,
    pub(super) subscribers: Vec<SubscriberLog>,
    pub(super) observers: Vec<ObserverState>,
    /// The first violation.
    pub(super) violation: Option<Violation>,
    /// The highest token that was seen current.
    highest: FencingToken,
    pub(super) acquired: BTreeMap<u64, BTreeSet<CandidateId>>,
    pub(super) evicted: BTreeSet<FencingToken>,
    pub(super) forgot: bool,
    /// The version of the record when a newer version of the library wrote it.
    pub(super) taken_at: Option<u64>,
    stop_waiting: Arc<Notify>,
}

/// One lock from its start to its end.
pub(super) struct LockLife {
    pub(super) node: usize,
    pub(super) clock: DriftingClock,
    pub(super) gate: FreezeState,
    /// It has crashed: it is never resumed.
    pub(super) crashed: bool,
    /// Commands not yet answered.
    pub(super) unanswered: u64,
    pub(super) leaderships: Vec<(Leadership, bool)>,
    /// Its terms by token.
    pub(super) terms: BTreeMap<u64, TermFacts>,
    /// When each command was sent, and when subscribers have unsubscribed.
    pub(super) commands: Vec<(Moment, Command)>,
    pub(super) sent: VecDeque<Moment>,
}

/// Whether a process is frozen.
#[derive(Debug, Default)]
pub(super) struct FreezeState {
    pub(super) frozen: bool,
    /// When it last resumed, by its own clock.
    pub(super) thawed_at: Moment,
    pub(super) waker: Option<Waker>,
}

/// What one observer has received.
pub(super) struct ObserverState {
    pub(super) life: usize,
    pub(super) alive: bool,
    /// How many times it may be sent a change again: once each time that it asks to observe.
    pub(super) asked: u64,
    pub(super) last: Option<(FencingToken, Option<CandidateId>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    StepDown,
    Pause,
    Shutdown,
    /// A subscriber unsubscribes. This is no command to the lock.
    Leave,
}

/// What has happened under one token, to check the reason of its end.
#[derive(Debug, Default)]
pub(super) struct TermFacts {
    pub(super) granted_at: Moment,
    pub(super) deadline: Moment,
    pub(super) unanswered: bool,
    pub(super) refused: bool,
    /// Its first `BecameLeader` has been handled.
    pub(super) told: bool,
    /// A subscriber has gone without acknowledging its end.
    pub(super) unclean: bool,
}

/// What one subscriber has received.
pub(super) struct SubscriberLog {
    pub(super) life: usize,
    pub(super) style: Style,
    pub(super) told: Option<FencingToken>,
    pub(super) messages: u64,
    /// Handlers in progress: number, token, start.
    pub(super) running: Vec<(u64, Option<FencingToken>, u64)>,
    pub(super) alive: bool,
    pub(super) subscribed: bool,
    /// It has subscribed more than once.
    pub(super) again: bool,
    /// It has unsubscribed; messages sent before may still arrive.
    pub(super) loose: bool,
    pub(super) misled_since: Option<u64>,
}

impl SubscriberLog {
    fn is_busy(&self) -> bool {
        self.style == Style::Slow && !self.running.is_empty()
    }
}

impl fmt::Debug for SharedWorld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

impl SharedWorld {
    pub(super) fn new(plan: &Plan, traced: bool) -> Self {
        // `Notify` wakes in a fixed order; a watch channel does not.
        let stop_waiting = Arc::new(Notify::new());
        let world = World {
            trace: traced.then(Vec::new),
            counts: Counts::default(),
            rng: SmallRng::seed_from_u64(!plan.base.seed),
            origin: Instant::now(),
            network: plan.base.network,
            store: Store::new(&plan.base),
            last_commit: 0,
            faults_stopped: false,
            lives: Vec::new(),
            subscribers: Vec::new(),
            observers: Vec::new(),
            violation: None,
            highest: FencingToken::new(0),
            acquired: BTreeMap::new(),
            evicted: BTreeSet::new(),
            forgot: false,
            taken_at: None,
            stop_waiting: stop_waiting.clone(),
            plan: plan.clone(),
        };
        Self(Arc::new(Mutex::new(world)), stop_waiting)
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, but not for long once the faults have stopped.
    pub(super) async fn wait(&self, time: Duration) {
        let stop_waiting = self.1.notified();
        if !self.world().faults_stopped {
            tokio::select! {
                biased;
                () = tokio::time::sleep(time) => return,
                () = stop_waiting => {}
            }
        }
        tokio::time::sleep(time.min(Duration::from_millis(100))).await;
    }
}

impl World {
    /// The times of the lock of a life.
    pub(super) fn timing(&self, life: usize) -> Timing {
        self.plan.base.nodes[self.lives[life].node].timing
    }

    pub(super) fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    pub(super) fn log(&mut self, text: impl FnOnce() -> String) {
        let now = self.now() as f64 / 1e9;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{now:9.3} s  {}", text()));
        }
    }

    pub(super) fn seconds(&mut self, most: f64) -> Duration {
        Duration::from_secs_f64(self.rng.random_range(0.0..most))
    }

    pub(super) fn fail(&mut self, property: Property, text: impl Into<String>) {
        let violation = Violation::new(property, text);
        self.log(|| format!("VIOLATION {violation}"));
        self.violation.get_or_insert(violation);
    }

    pub(super) fn stop_faults(&mut self) {
        self.log(|| "faults stop".to_owned());
        self.faults_stopped = true;
        self.store.up = true;
        self.network = self.network.mended(self.plan.base.store);
        self.stop_waiting.notify_waiters();
    }

    /// The longest time from the end of the faults until there is a leader. All on the slowest clock, it is the
    /// sum of:
    ///
    /// - two checks for subscribers that died without acknowledging, within three `poll_every`;
    /// - the rest of the last lease, or a whole ttl for observing clients;
    /// - two polls, each with its jitter and a call: one to see the expiry, one to acquire.
    pub(super) fn bound(&self) -> Duration {
        let looks = |node: &NodePlan| {
            let poll = node.timing.poll_every();
            let bid = poll.mul_f64(1.0 + POLL_JITTER) + node.timing.call_timeout();
            bid * 2 + poll * 3
        };
        let plan = &self.plan.base;
        let ttl = plan.longest(|node| node.timing.ttl());
        plan.on_the_slowest_clock(ttl + plan.longest(looks))
    }

    /// Checks the properties that hold at every moment.
    pub(super) fn check(&mut self) {
        let mut tokens = Vec::new();
        let (mut again, mut long) = (None, None);
        // Calling `is_current` ends an expired leadership, and a frozen process makes no calls.
        for life in self.lives.iter_mut().filter(|life| !life.gate.frozen) {
            for (leadership, ended) in &mut life.leaderships {
                let token = leadership.token();
                let term = life.terms.get(&token.get());
                let until = term.map_or(Moment::default(), |term| term.deadline);
                let left = leadership.remaining();
                if left > life.clock.now().until(until) {
                    long = Some(token);
                }
                if left.is_zero() {
                    *ended = true;
                } else if *ended {
                    again = Some(token);
                } else {
                    tokens.push(token);
                }
            }
        }
        if let Some(token) = long {
            let text = format!("token {token} is believed in for longer than was confirmed");
            self.fail(Property::Deadline, text);
        }
        if let Some(token) = again {
            self.fail(Property::Final, format!("token {token} is current again"));
        }
        tokens.sort_unstable();
        if tokens.len() > 1 {
            let text = format!("two leaders at once: tokens {tokens:?}");
            self.fail(Property::Exclusion, text);
        }
        match tokens.first() {
            Some(token) if *token < self.highest => {
                let text = format!("{token} leads after {}", self.highest);
                self.fail(Property::Exclusion, text);
            }
            _ => self.highest = self.highest.max(tokens.pop().unwrap_or(self.highest)),
        }
        self.check_ends();
    }

    /// Checks that subscribers are told of an end in time. A timer on a fast clock fires late by the
    /// time that the clock gains.
    fn check_ends(&mut self) {
        const LATE: u64 = 400_000_000;
        let now = self.now();
        let mut late = None;
        for (index, seen) in self.subscribers.iter_mut().enumerate() {
            let life = &self.lives[seen.life];
            let misled = seen.told.is_some_and(|token| !life.leads(token));
            let misled = misled && seen.alive && !seen.is_busy() && !life.gate.frozen;
            seen.misled_since = misled.then(|| seen.misled_since.unwrap_or(now));
            if seen.misled_since.is_some_and(|since| now - since > LATE) {
                late = Some((index, seen.told));
            }
        }
        if let Some((index, token)) = late {
            let text = format!("subscriber {index} was not told that {token:?} has ended");
            self.fail(Property::EndToldOnTime, text);
        }
    }

    /// The locks whose leadership is current.
    pub(super) fn leaders(&self) -> Vec<(usize, FencingToken)> {
        let lives = self.lives.iter().enumerate();
        let lives = lives.filter(|(_, life)| !life.gate.frozen);
        lives
            .flat_map(|(index, life)| {
                let given = life.leaderships.iter();
                let current = given.filter(|(given, _)| given.is_current());
                current.map(move |(given, _)| (index, given.token()))
            })
            .collect()
    }

    /// Records a command to the leader. Returns its index and its token.
    pub(super) fn command_leader(&mut self, command: Command) -> Option<(usize, FencingToken)> {
        let (life, token) = self.leaders().pop()?;
        self.log(|| format!("life {life} is told to {command:?}"));
        let LockLife {
            clock, commands, ..
        } = &mut self.lives[life];
        commands.push((clock.now(), command));
        Some((life, token))
    }

    pub(super) fn note_holder(&mut self) {
        let record = &self.store.record;
        if let Some(holder) = &record.holder {
            let holders = self.acquired.entry(record.token.get()).or_default();
            holders.insert(holder.clone());
        }
    }
}

impl LockLife {
    pub(super) fn new(node: usize, clock: DriftingClock) -> Self {
        Self {
            node,
            clock,
            gate: FreezeState::default(),
            crashed: false,
            unanswered: 0,
            leaderships: Vec::new(),
            terms: BTreeMap::new(),
            commands: Vec::new(),
            sent: VecDeque::new(),
        }
    }

    pub(super) fn leads(&self, token: FencingToken) -> bool {
        let mut given = self.leaderships.iter();
        given.any(|(given, _)| given.token() == token && given.is_current())
    }

    pub(super) fn term(&mut self, token: FencingToken) -> &mut TermFacts {
        self.terms.entry(token.get()).or_default()
    }

    pub(super) fn was_commanded(&self, command: Command, since: Moment) -> bool {
        let mut told = self.commands.iter();
        told.any(|(at, what)| *what == command && *at >= since)
    }
}
