use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    time::{Duration, SystemTime},
};

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use super::{counts::Counts, network::Network, node::Node};
use crate::{
    clock::{Clock as _, Moment},
    election::{Call, Reply, Request, RequestId},
    lease::{Claim, FencingToken},
    store::{AcquireOutcome, ReleaseOutcome, RenewOutcome, StoredRecord},
    timing::{POLL_JITTER, Timing},
};

/// Clocks run up to 4.5 % too fast or too slow, so that any two stay within the margin of a tenth.
const DRIFT: f64 = 0.045;

pub(super) enum Event {
    /// A request reaches the store.
    Arrive {
        from: (usize, u32),
        request: Request,
        answer: Option<Duration>,
    },
    /// A reply, or an error of the connection, reaches its sender.
    Answer {
        to: (usize, u32),
        id: RequestId,
        sent_at: Moment,
        reply: Reply,
    },
    Wake {
        node: (usize, u32),
    },
    Acknowledge {
        node: (usize, u32),
        clean: bool,
    },
    Resume {
        node: (usize, u32),
    },
    Start {
        node: (usize, u32),
    },
    StoreUp,
    Nemesis,
    /// Faults stop here.
    Peace,
    /// By here there is one leader.
    Verdict,
    /// And there still is.
    End,
}

pub(super) struct World {
    pub(super) trace: bool,
    pub(super) counts: Counts,
    pub(super) rng: SmallRng,
    pub(super) timing: Timing,
    pub(super) now: u64,
    pub(super) events: BinaryHeap<Reverse<(u64, u64)>>,
    pub(super) details: BTreeMap<u64, Event>,
    pub(super) next_event: u64,
    pub(super) nodes: Vec<Node>,
    pub(super) network: Network,
    pub(super) store: StoredRecord,
    pub(super) store_rate: f64,
    pub(super) store_up: bool,
    pub(super) peace: bool,
    /// Requests of a node while it is paused wait in its sockets.
    pub(super) waiting: Vec<Event>,
    /// The highest token under which anybody was seen to believe that it leads.
    pub(super) highest: FencingToken,
    pub(super) last_elected: FencingToken,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let timing = Timing::builder()
            .ttl(Duration::from_secs(10))
            .build()
            .unwrap();
        let count = rng.random_range(2..=7);
        let mut nodes: Vec<_> = (0..count).map(|i| Node::new(i, DRIFT, &mut rng)).collect();
        if rng.random_bool(0.2) {
            // Two processes that were given the same id by mistake.
            nodes[1].name = nodes[0].name.clone();
        }
        Self {
            trace: false,
            counts: Counts::default(),
            network: Network::new(timing.call_timeout(), &mut rng),
            store_rate: 1.0 + rng.random_range(-DRIFT..=DRIFT),
            rng,
            timing,
            now: 0,
            events: BinaryHeap::new(),
            details: BTreeMap::new(),
            next_event: 0,
            nodes,
            store: StoredRecord::default(),
            store_up: true,
            peace: false,
            waiting: Vec::new(),
            highest: FencingToken::new(0),
            last_elected: FencingToken::new(0),
        }
    }

    /// Ten ttl of trouble, then peace.
    pub(super) fn run(&mut self) {
        for index in 0..self.nodes.len() {
            let start = self.seconds(5.0);
            self.after(start, Event::Start { node: (index, 0) });
        }
        self.after(Duration::ZERO, Event::Nemesis);
        let peace = self.timing.ttl() * 10;
        // The bound of the design, on the slowest clock.
        let Timing { .. } = self.timing;
        let polls = self.timing.poll_every().mul_f64(2.0 * (1.0 + POLL_JITTER));
        let bound = self.timing.ttl() + polls + self.timing.call_timeout() * 2;
        let verdict = peace + bound.mul_f64(1.0 / (1.0 - DRIFT));
        self.after(peace, Event::Peace);
        self.after(verdict, Event::Verdict);
        self.after(verdict + self.timing.ttl() * 2, Event::End);
        while let Some(Reverse((time, key))) = self.events.pop() {
            self.now = time;
            for node in &self.nodes {
                node.set_clock(time);
            }
            self.check();
            let event = self.details.remove(&key).expect("each key has its event");
            if matches!(event, Event::End) {
                self.check_leader();
                return;
            }
            self.handle(event);
            self.check();
        }
    }

    pub(super) fn seconds(&mut self, most: f64) -> Duration {
        Duration::from_secs_f64(self.rng.random_range(0.0..most))
    }

    pub(super) fn after(&mut self, delay: Duration, event: Event) {
        let at = self.now + delay.as_nanos() as u64;
        self.events.push(Reverse((at, self.next_event)));
        self.details.insert(self.next_event, event);
        self.next_event += 1;
    }

    pub(super) fn log(&self, text: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{:9.3} s  {}", self.now as f64 / 1e9, text());
        }
    }

    /// The guarantee: answers of `is_current()` are ordered by token.
    fn check(&mut self) {
        let mut tokens: Vec<_> = self.nodes.iter().flat_map(Node::current_tokens).collect();
        tokens.sort_unstable();
        assert!(tokens.len() <= 1, "two leaders at once: tokens {tokens:?}");
        if let Some(token) = tokens.first() {
            assert!(
                *token >= self.highest,
                "{token} leads after {}",
                self.highest
            );
            self.highest = *token;
        }
    }

    fn check_leader(&self) {
        let leaders = self.nodes.iter().flat_map(Node::current_tokens).count();
        assert_eq!(leaders, 1, "leaders after the faults have stopped");
    }

    pub(super) fn is_void(&self, (node, incarnation): (usize, u32)) -> bool {
        self.nodes[node].incarnation != incarnation
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrive {
                from,
                request,
                answer,
            } => self.arrive(from, &request, answer),
            Event::Answer { to, .. }
            | Event::Wake { node: to }
            | Event::Acknowledge { node: to, .. }
                if self.nodes[to.0].paused && !self.is_void(to) =>
            {
                self.waiting.push(event);
            }
            Event::Answer {
                to,
                id,
                sent_at,
                reply,
            } if !self.is_void(to) => {
                self.log(|| format!("node{} hears {reply:?}", to.0));
                self.note(to.0, id, &reply);
                let node = &mut self.nodes[to.0];
                let now = node.clock.now();
                let election = node.election.as_mut().expect("not void");
                election.handle_reply(id, sent_at, reply, now);
                self.drive(to.0);
            }
            Event::Wake { node } if !self.is_void(node) => {
                let due = self.nodes[node.0].wake_at == Some(self.now);
                let now = self.nodes[node.0].clock.now();
                let election = self.nodes[node.0].election.as_mut().expect("not void");
                election.handle_timeout(now);
                if due {
                    self.nodes[node.0].wake_at = None;
                }
                self.drive(node.0);
            }
            Event::Acknowledge { node, clean } if !self.is_void(node) => {
                self.nodes[node.0].pending -= 1;
                self.nodes[node.0].clean &= clean;
                self.nodes[node.0].report();
                self.drive(node.0);
            }
            Event::Resume { node } if !self.is_void(node) => self.resume(node.0),
            Event::Start { node } if !self.is_void(node) => {
                self.log(|| format!("node{} starts", node.0));
                self.nodes[node.0].start(self.timing, self.now, &mut self.rng);
                self.drive(node.0);
            }
            Event::StoreUp => self.store_up = true,
            Event::Nemesis if !self.peace => self.nemesis(),
            Event::Peace => self.make_peace(),
            Event::Verdict => self.check_leader(),
            _ => {}
        }
    }

    fn note(&mut self, node: usize, id: RequestId, reply: &Reply) {
        let asked = self.nodes[node]
            .election
            .as_ref()
            .and_then(|e| e.in_flight());
        let late = asked.is_none_or(|(asked, _)| asked != id);
        match reply {
            Reply::Granted { .. } if late => self.counts.count("late grant"),
            Reply::Renewed => self.counts.count("renewed"),
            Reply::Lost(_) => self.counts.count("lost"),
            Reply::Released { was_held: true } => self.counts.count("released"),
            _ => {}
        }
    }

    /// Lets a node say and send what it has to, and sets its timer.
    pub(super) fn drive(&mut self, index: usize) {
        let (elected, due) = self.nodes[index].deliver();
        if let Some(token) = elected {
            self.log(|| format!("node{index} leads with token {token}"));
            assert!(
                token > self.last_elected,
                "token {token} after {}",
                self.last_elected
            );
            self.last_elected = token;
            self.counts.count("elected");
        }
        let incarnation = self.nodes[index].incarnation;
        for _ in 0..due {
            let slow = !self.peace && self.rng.random_bool(0.2);
            let delay = if slow {
                self.seconds(25.0)
            } else {
                self.seconds(0.2)
            };
            let clean = self.peace || self.rng.random_bool(0.95);
            if !clean {
                self.counts.count("unclean");
            }
            let node = (index, incarnation);
            self.after(delay, Event::Acknowledge { node, clean });
        }
        if due > 0 {
            self.nodes[index].report();
        }
        let node = &mut self.nodes[index];
        let now = node.clock.now();
        let election = node.election.as_mut().expect("a node that runs");
        let request = election.poll_request(now);
        let next = election
            .poll_timeout()
            .map(|moment| node.global(moment).max(self.now + 1));
        if next.is_some() && next != node.wake_at {
            node.wake_at = next;
            let delay = Duration::from_nanos(next.unwrap_or(0) - self.now);
            // Timers fire late, never early.
            let lateness = if self.rng.random_bool(0.1) {
                self.seconds(0.3)
            } else {
                Duration::ZERO
            };
            if !lateness.is_zero() {
                self.nodes[index].wake_at = None;
            }
            self.after(
                delay + lateness,
                Event::Wake {
                    node: (index, incarnation),
                },
            );
        }
        if let Some(request) = request {
            self.check_release(index, &request);
            self.log(|| format!("node{index} sends {:?}", request.call));
            self.transmit((index, incarnation), request);
        }
    }

    /// Work under a lease has stopped, as far as anybody can know, before it is released.
    fn check_release(&self, index: usize, request: &Request) {
        if let Call::Release(Claim::Lease(lease)) = &request.call {
            let node = &self.nodes[index];
            let told = node
                .leaderships
                .iter()
                .any(|led| led.token() == lease.token);
            assert!(
                !told || node.clean,
                "released though a subscriber has died over it"
            );
            assert!(
                !told || node.pending == 0,
                "released before the acknowledgement"
            );
        }
    }

    fn transmit(&mut self, from: (usize, u32), request: Request) {
        let fate = self.network.fate(self.store_up, &mut self.rng);
        if let Some(error) = fate.error {
            let reply = match fate.applied {
                None if self.rng.random_bool(0.5) => Reply::Failed,
                _ => Reply::Unknown,
            };
            let (id, sent_at) = (request.id, request.sent_at);
            self.after(
                error,
                Event::Answer {
                    to: from,
                    id,
                    sent_at,
                    reply,
                },
            );
        }
        if let Some(again) = fate.again {
            self.counts.count("duplicate");
            let request = request.clone();
            self.after(
                again,
                Event::Arrive {
                    from,
                    request,
                    answer: None,
                },
            );
        }
        match fate.applied {
            Some(delay) => {
                if fate.answered.is_none() {
                    self.counts.count("lost reply");
                }
                self.after(
                    delay,
                    Event::Arrive {
                        from,
                        request,
                        answer: fate.answered,
                    },
                );
            }
            None => self.counts.count("lost request"),
        }
    }

    pub(super) fn store_now(&self) -> Moment {
        Moment::default()
            + Duration::from_secs(3_600)
            + Duration::from_nanos((self.now as f64 * self.store_rate) as u64)
    }

    fn arrive(&mut self, from: (usize, u32), request: &Request, answer: Option<Duration>) {
        let now = self.store_now();
        let reply = match &request.call {
            Call::Acquire(bid) => match self.store.acquire(bid, now, SystemTime::UNIX_EPOCH) {
                AcquireOutcome::Granted { token } => Reply::Granted { token },
                AcquireOutcome::Refused(record) => Reply::Refused(record),
            },
            Call::Renew { lease, ttl } => match self.store.renew(lease, *ttl, now) {
                RenewOutcome::Renewed => Reply::Renewed,
                RenewOutcome::Lost(record) => Reply::Lost(record),
            },
            Call::Release(claim) => {
                let was_held = self.store.release(claim, now) == ReleaseOutcome::Released;
                Reply::Released { was_held }
            }
            Call::Read(_) => Reply::Read,
        };
        self.log(|| format!("store answers node{} {reply:?}", from.0));
        if let Some(delay) = answer {
            let (id, sent_at) = (request.id, request.sent_at);
            self.after(
                delay,
                Event::Answer {
                    to: from,
                    id,
                    sent_at,
                    reply,
                },
            );
        }
    }

    pub(super) fn resume(&mut self, index: usize) {
        self.log(|| format!("node{index} goes on"));
        self.nodes[index].paused = false;
        // What waited comes in any order, and the timers, too.
        while !self.waiting.is_empty() {
            let event = self
                .waiting
                .swap_remove(self.rng.random_range(0..self.waiting.len()));
            self.after(Duration::ZERO, event);
        }
    }
}
