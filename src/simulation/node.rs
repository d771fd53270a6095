use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use futures::future::BoxFuture;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use super::{
    candidate_checks::CandidateChecks,
    plan::NodePlan,
    properties::{Property, Violation},
    table_port::{TablePort, TableReply, TableRequest},
};
use crate::{
    clock::{Clock as _, Moment},
    election::{
        Call, Config, Election, Reply, Request, RequestId, SeededAttempts, SubscriberState,
        Transition,
    },
    leadership::{Leadership, Reason},
    lease::{CandidateId, FencingToken, ResourceName},
    store::{
        AcquireOutcome, ReleaseOutcome, RenewOutcome, StoreErrorKind, failure::RequestResult,
        observed::ExpiryObserver,
    },
    testing::ManualClock,
};

/// One process: an election, its clock, its client of the store, and subscribers that acknowledge at random
/// times.
pub(super) struct Node {
    pub(super) name: CandidateId,
    pub(super) plan: NodePlan,
    pub(super) clock: ManualClock,
    pub(super) election: Option<Election>,
    /// Grows with every start. Events of an earlier start are ignored.
    pub(super) incarnation: u32,
    pub(super) paused: bool,
    /// The leaderships of this incarnation, and whether each was seen to have ended.
    pub(super) leaderships: Vec<(Leadership, bool)>,
    pub(super) delivered_token: Option<FencingToken>,
    /// Deliveries not yet acknowledged.
    pub(super) pending: u32,
    pub(super) clean: bool,
    pub(super) wake_at: Option<u64>,
    /// Since when a leadership has ended whose end the subscribers were not told.
    pub(super) misled_since: Option<u64>,
    /// When it sent the requests of the last ttl, by its own clock.
    pub(super) sent: VecDeque<Moment>,
    pub(super) facts: TermFacts,
    pub(super) duties: CandidateChecks,
    /// Since when there are no faults.
    pub(super) undisturbed_since: Option<Moment>,
    /// The deadline of the last grant.
    pub(super) granted_until: Moment,
    observer: Arc<ExpiryObserver>,
    op: Option<TableOperation>,
    ops: u64,
}

/// What has happened in the current term, to check the reason of its end.
#[derive(Debug, Default)]
pub(super) struct TermFacts {
    pub(super) stepped_down: bool,
    pub(super) paused: bool,
    /// A renewal was sent after the last confirmed one.
    pub(super) unanswered: bool,
    /// The store has refused a renewal.
    pub(super) refused: bool,
    /// The deadline of the term, by the replies so far.
    pub(super) deadline: Moment,
    /// No fault has happened since the request for its grant.
    pub(super) undisturbed: bool,
    /// When its `max_hold` is over.
    pub(super) may_end_at: Option<Moment>,
}

/// An operation of an observing client that is in progress.
struct TableOperation {
    number: u64,
    id: RequestId,
    sent_at: Moment,
    port: Arc<TablePort>,
    answer: BoxFuture<'static, RequestResult<Reply>>,
}

/// The next step of an operation.
pub(super) enum OperationStep {
    TableRequest(u64, TableRequest),
    Done(RequestId, Moment, Reply),
}

impl Node {
    pub(super) fn new(index: usize, plan: &NodePlan) -> Self {
        let clock = ManualClock::new();
        let index = if plan.duplicate_id { 0 } else { index };
        Self {
            name: CandidateId::new(format!("node{index}")).expect("a good name"),
            plan: *plan,
            election: None,
            incarnation: 0,
            paused: false,
            leaderships: Vec::new(),
            delivered_token: None,
            pending: 0,
            clean: true,
            wake_at: None,
            misled_since: None,
            sent: VecDeque::new(),
            facts: TermFacts::default(),
            duties: CandidateChecks::default(),
            undisturbed_since: None,
            granted_until: Moment::default(),
            observer: Arc::new(ExpiryObserver::new(Arc::new(clock.clone()))),
            clock,
            op: None,
            ops: 0,
        }
    }

    pub(super) fn start(&mut self, now: u64, rng: &mut SmallRng) {
        self.stop();
        self.set_clock(now);
        let config = Config {
            resource: ResourceName::new("r").expect("a good name"),
            candidate: self.name.clone(),
            timing: self.plan.timing,
            metadata: None,
            clock: Arc::new(self.clock.clone()),
        };
        let own = rng.random();
        let jitter = SmallRng::seed_from_u64(self.plan.generator.unwrap_or(own));
        let attempts = SeededAttempts::new(rng.random());
        let election = Election::new(config, jitter, attempts, self.clock.now());
        self.election = Some(election.with(self.plan.options));
        self.report();
    }

    /// A crash: the process loses its state.
    pub(super) fn stop(&mut self) {
        self.incarnation += 1;
        self.election = None;
        self.leaderships.clear();
        self.wake_at = None;
        self.paused = false;
        self.delivered_token = None;
        self.pending = 0;
        self.clean = true;
        self.misled_since = None;
        self.sent.clear();
        self.facts = TermFacts::default();
        self.duties = CandidateChecks::default();
        self.observer = Arc::new(ExpiryObserver::new(Arc::new(self.clock.clone())));
        self.op = None;
    }

    /// When the node's clock shows this moment, rounded up.
    pub(super) fn global(&self, moment: Moment) -> u64 {
        let local = (Moment::default() + self.plan.clock.ahead)
            .until(moment)
            .as_nanos() as f64;
        (local / self.plan.clock.rate) as u64 + 2
    }

    pub(super) fn set_clock(&self, now: u64) {
        let own = Duration::from_nanos((now as f64 * self.plan.clock.rate) as u64);
        self.clock
            .advance_to(Moment::default() + self.plan.clock.ahead + own);
    }

    /// The tokens of the leaderships that are current in this process.
    pub(super) fn current(&mut self) -> Result<Vec<FencingToken>, Violation> {
        let mut tokens = Vec::new();
        for (leadership, ended) in &mut self.leaderships {
            if !leadership.is_current() {
                *ended = true;
                continue;
            }
            if *ended {
                let text = format!("token {} is current again", leadership.token());
                return Err(Violation::new(Property::Final, text));
            }
            tokens.push(leadership.token());
        }
        Ok(tokens)
    }

    pub(super) fn leads(&self, token: FencingToken) -> bool {
        let mut given = self.leaderships.iter();
        given.any(|(given, _)| given.token() == token && given.is_current())
    }

    /// Tells the election what the subscribers have acknowledged.
    pub(super) fn report(&mut self) {
        let subscriber_state = SubscriberState {
            present: true,
            acknowledged: self.pending == 0,
            clean: self.clean,
        };
        let now = self.clock.now();
        if let Some(election) = &mut self.election {
            election.subscribers_changed(subscriber_state, now);
        }
    }

    /// Delivers the next transition of the election.
    pub(super) fn deliver(&mut self) -> Result<Option<Transition>, Violation> {
        let Some(transition) = self.election.as_mut().and_then(Election::poll_transition) else {
            return Ok(None);
        };
        let told = |text: &str| Err(Violation::new(Property::Messages, text));
        match &transition {
            Transition::BecameLeader { .. } if self.delivered_token.is_some() => {
                return told("BecameLeader twice");
            }
            Transition::BecameLeader { .. } if self.pending > 0 => {
                let text = "BecameLeader before the last acknowledgement";
                return Err(Violation::new(Property::Acknowledged, text));
            }
            Transition::BecameLeader { leadership } => {
                self.delivered_token = Some(leadership.token());
                self.clean = true;
                self.facts = TermFacts::default();
                let older = self.leaderships.len().saturating_sub(4);
                self.leaderships.drain(..older);
                self.leaderships.push((leadership.clone(), false));
                let keep = self.plan.options.min_hold;
                (self.duties).leads(leadership.token(), keep, self.clock.now())?;
            }
            Transition::BecameFollower { token, .. } => {
                if self.delivered_token.take() != Some(*token) {
                    return told("BecameFollower of what it was not told to lead");
                }
            }
        }
        self.pending += 1;
        Ok(Some(transition))
    }

    /// Whether the reason fits what has happened in the term, as far as the node knows.
    pub(super) fn explains(&self, reason: &Reason) -> bool {
        let facts = &self.facts;
        match reason {
            Reason::SteppedDown => facts.stepped_down,
            // The world knows the instructions of the operator.
            Reason::Paused | Reason::HandedOver { .. } => true,
            Reason::Expired => facts.refused || !facts.unanswered,
            Reason::Deposed { .. } | Reason::Evicted => facts.refused,
            Reason::StoreLost => facts.unanswered || facts.refused,
            Reason::MaxHold => facts.may_end_at.is_some_and(|at| at <= self.clock.now()),
            Reason::NotElected | Reason::Shutdown | Reason::Resigned => false,
        }
    }

    /// Counts a request, and returns how many were sent in the ttl before now.
    pub(super) fn count_request(&mut self) -> usize {
        let (now, ttl) = (self.clock.now(), self.plan.timing.ttl());
        self.sent.push_back(now);
        while self.sent.front().is_some_and(|at| *at + ttl <= now) {
            self.sent.pop_front();
        }
        self.sent.len()
    }

    /// Starts an operation of an observing client, and drops one in progress.
    pub(super) fn begin(&mut self, request: Request, wall: SystemTime) {
        let (observer, port) = (self.observer.clone(), Arc::new(TablePort::default()));
        let table = port.clone();
        let Request {
            id, sent_at, call, ..
        } = request;
        let answer = async move { operate(&observer, &table, call, wall).await };
        self.ops += 1;
        self.op = Some(TableOperation {
            number: self.ops,
            id,
            sent_at,
            port,
            answer: Box::pin(answer),
        });
    }

    /// Passes a reply of the store to its operation.
    pub(super) fn told(&mut self, number: u64, told: TableReply) {
        if let Some(op) = self.op.as_ref().filter(|op| op.number == number) {
            op.port.tell(told);
        }
    }

    pub(super) fn step(&mut self) -> Option<OperationStep> {
        let op = self.op.as_mut()?;
        match op
            .answer
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Pending => op
                .port
                .asked()
                .map(|ask| OperationStep::TableRequest(op.number, ask)),
            Poll::Ready(answer) => {
                let reply = answer.unwrap_or_else(|failure| match failure.kind {
                    StoreErrorKind::Unknown => Reply::Unknown,
                    _ => Reply::Failed,
                });
                let done = OperationStep::Done(op.id, op.sent_at, reply);
                self.op = None;
                Some(done)
            }
        }
    }
}

async fn operate(
    observer: &ExpiryObserver,
    table: &TablePort,
    call: Call,
    since: SystemTime,
) -> RequestResult<Reply> {
    Ok(match call {
        Call::Acquire(bid) => match observer.acquire(table, &bid, since).await? {
            AcquireOutcome::Granted { token } => Reply::Granted { token },
            AcquireOutcome::Refused(record) => Reply::Refused(record),
        },
        Call::Renew { lease, ttl } => match observer.renew(table, &lease, ttl).await? {
            RenewOutcome::Renewed { instruction } => Reply::Renewed { instruction },
            RenewOutcome::Lost(record) => Reply::Lost(record),
        },
        Call::Release(claim, reason) => {
            let was_held =
                observer.release(table, &claim, reason, since).await? == ReleaseOutcome::Released;
            Reply::Released { was_held }
        }
        Call::Read(resource) => {
            observer.read(table, &resource).await?;
            Reply::Read
        }
    })
}
