//! The election of one resource as a state machine without I/O.
//!
//! It reads no clock, draws no number of its own and sends nothing: `now`, the generator for jitter and
//! the source of attempts come from outside, requests and transitions are polled. What it assumes and what it guarantees is in
//! the crate's documentation; what each rule is for stands at the test of its name.
//!
//! ```text
//!            Granted                     Lost, deadline, command
//! Following ─────────▶ Leading { term } ─────────────────────────▶ Yielding { term, reason }
//!     ▲                                                                      │
//!     └── subscribers have acknowledged (then release), or yield_for is over ┘
//! ```
//!
//! `Following` is Standby while the [`Eligibility`] is open and Idle while it is closed.

mod attempts;
mod bid_schedule;
mod eligibility;
mod hold_options;
mod release_queue;
mod request;
mod request_budget;
mod state;
mod steps;
mod term;

pub(crate) use attempts::AttemptSource;
#[cfg(test)]
pub(crate) use attempts::SeededAttempts;
pub(crate) use eligibility::SubscriberState;
pub(crate) use hold_options::HoldOptions;
pub(crate) use request::{Call, Reply, Request, RequestId};
pub use state::{ElectionState, IdleReason};

use std::{collections::VecDeque, sync::Arc, time::Duration};

use rand::rngs::SmallRng;

use crate::{
    clock::{Clock, Moment},
    leadership::{Leadership, Reason},
    lease::{AttemptId, CandidateId, FencingToken, Metadata, ResourceName},
    timing::Timing,
};
use bid_schedule::BidSchedule;
use eligibility::Eligibility;
use release_queue::ReleaseQueue;
use request_budget::RequestBudget;
use term::{SteppingDown, Term};

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) resource: ResourceName,
    pub(crate) candidate: CandidateId,
    pub(crate) timing: Timing,
    pub(crate) metadata: Option<Metadata>,
    /// Lent to each [`Leadership`]; the election itself never looks at it.
    pub(crate) clock: Arc<dyn Clock>,
}

/// A change that the subscribers must hear of.
#[derive(Debug)]
pub(crate) enum Transition {
    BecameLeader { leadership: Leadership },
    BecameFollower { token: FencingToken, reason: Reason },
}

/// How a leadership that ended on purpose was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StepDownOutcome {
    /// It did not lead.
    NotLeading,
    /// Every subscriber acknowledged and the store confirmed the release.
    Released,
    /// A subscriber did not acknowledge in time, or the store did not confirm: the lease runs out by
    /// itself.
    LeftToExpire,
}

#[derive(Debug)]
enum Phase {
    Following,
    Leading(Term),
    Yielding(SteppingDown),
}

impl Phase {
    fn term(&mut self) -> Option<&mut Term> {
        match self {
            Self::Leading(term) => Some(term),
            Self::Yielding(yielding) => Some(&mut yielding.term),
            Self::Following => None,
        }
    }

    fn renewing(&mut self) -> Option<&mut Term> {
        match self {
            Self::Leading(term) => Some(term),
            Self::Yielding(yielding) => yielding.renewing(),
            Self::Following => None,
        }
    }
}

/// A bid under way.
#[derive(Clone, Copy, Debug)]
struct PendingBid {
    attempt: AttemptId,
    /// Since when a copy may have been granted without our knowing.
    maybe_granted_since: Option<Moment>,
}

#[derive(Debug)]
struct InFlight {
    id: RequestId,
    sent_at: Moment,
    give_up_at: Moment,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Acquire,
    Renew,
    Release,
    Read,
}

#[derive(Debug)]
pub(crate) struct Election {
    config: Config,
    options: HoldOptions,
    /// For jitter, and for nothing that two processes must not share.
    rng: SmallRng,
    attempts: Box<dyn AttemptSource>,
    phase: Phase,
    eligibility: Eligibility,
    bid_schedule: BidSchedule,
    request_budget: RequestBudget,
    pending_bid: Option<PendingBid>,
    /// The lease was seen to be held under its own id: the next bid is reentrant.
    reenters: bool,
    in_flight: Option<InFlight>,
    releases: ReleaseQueue,
    transitions: VecDeque<Transition>,
    outcome: StepDownOutcome,
    last_led: Option<FencingToken>,
    requests: u64,
}

impl Election {
    pub(crate) fn new(
        config: Config,
        rng: SmallRng,
        attempts: Box<dyn AttemptSource>,
        now: Moment,
    ) -> Self {
        Self {
            bid_schedule: BidSchedule::new(now),
            request_budget: RequestBudget::default(),
            config,
            options: HoldOptions::default(),
            rng,
            attempts,
            phase: Phase::Following,
            eligibility: Eligibility::default(),
            pending_bid: None,
            reenters: false,
            in_flight: None,
            releases: ReleaseQueue::default(),
            transitions: VecDeque::new(),
            outcome: StepDownOutcome::NotLeading,
            last_led: None,
            requests: 0,
        }
    }

    /// What a lock without subscribers asks for besides.
    pub(crate) fn with(mut self, options: HoldOptions) -> Self {
        self.options = options;
        self
    }

    // Outputs.

    /// The next change that the subscribers must hear of. After delivering it the driver says so by
    /// [`subscribers_changed`](Self::subscribers_changed).
    pub(crate) fn poll_transition(&mut self) -> Option<Transition> {
        self.transitions.pop_front()
    }

    /// The request to send now, if any. At most one is in flight.
    pub(crate) fn poll_request(&mut self, now: Moment) -> Option<Request> {
        self.advance(now);
        if self.in_flight.is_some() {
            return None;
        }
        let timing = self.config.timing;
        let limit = now + timing.call_timeout();
        let renewal = self
            .phase
            .renewing()
            .and_then(|term| term.renewal(&timing, now));
        if let Some((lease, give_up_at)) = renewal {
            let ttl = timing.ttl();
            let call = Call::Renew { lease, ttl };
            return Some(self.send(Kind::Renew, None, call, now, give_up_at));
        }
        if self.request_budget.release_at(&timing) <= now
            && let Some(call) = self.releases.due(self.options.min_ttl, now)
        {
            return Some(self.send(Kind::Release, None, call, now, limit));
        }
        let may_ask = self.request_budget.bid_at(&timing) <= now;
        let following = matches!(self.phase, Phase::Following);
        let may_bid = following && may_ask && self.releases.is_empty();
        if may_bid && self.contends(now) && self.bid_schedule.next_bid <= now {
            if let Some(bid) = self.bid() {
                let attempt = Some(bid.attempt);
                self.bid_schedule.bid(&timing, now);
                return Some(self.send(Kind::Acquire, attempt, Call::Acquire(bid), now, limit));
            }
            self.bid_schedule.failed(&timing, &mut self.rng, now);
        }
        let leading = matches!(self.phase, Phase::Leading(_));
        if self.eligibility.observed && !leading && may_ask && self.bid_schedule.next_read <= now {
            self.bid_schedule.read(&timing, &mut self.rng, now);
            let call = Call::Read(self.config.resource.clone());
            return Some(self.send(Kind::Read, None, call, now, limit));
        }
        None
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) and
    /// [`poll_request`](Self::poll_request) again, if nothing happens before.
    pub(crate) fn poll_timeout(&self) -> Option<Moment> {
        let idle = self.in_flight.is_none();
        let reply = self.in_flight.as_ref().map(|request| request.give_up_at);
        let timing = &self.config.timing;
        let may_ask = self.request_budget.bid_at(timing);
        let read =
            (idle && self.eligibility.observed).then_some(self.bid_schedule.next_read.max(may_ask));
        let phase = match &self.phase {
            Phase::Leading(term) => Some(term.next(idle)),
            Phase::Yielding(yielding) => yielding.next(idle).into_iter().chain(read).min(),
            Phase::Following => {
                let opens_at = self.eligibility.opens_at().filter(|_| idle);
                let bid = opens_at.map(|opens| opens.max(self.bid_schedule.next_bid).max(may_ask));
                let bid = bid.filter(|_| self.releases.is_empty());
                bid.into_iter().chain(read).min()
            }
        };
        let release = self.releases.next().filter(|_| idle);
        let release = release.map(|next| next.max(self.request_budget.release_at(timing)));
        reply.into_iter().chain(phase).chain(release).min()
    }

    // Inputs.

    /// The answer to a request, however late.
    pub(crate) fn handle_reply(
        &mut self,
        id: RequestId,
        sent_at: Moment,
        reply: Reply,
        now: Moment,
    ) {
        self.check_deadline(now);
        let answered = self.in_flight.take_if(|request| request.id == id);
        match answered {
            Some(request) => match request.kind {
                Kind::Acquire => self.bid_answered(sent_at, reply, now),
                Kind::Renew => self.renewal_answered(sent_at, reply, now),
                Kind::Release => self.release_answered(&reply, now),
                Kind::Read => {}
            },
            None => {
                if let Reply::Granted { token } = reply {
                    self.late_grant(id, token, now);
                }
            }
        }
        self.settle(now);
    }

    /// Time has passed. Calling it too often is harmless.
    pub(crate) fn handle_timeout(&mut self, now: Moment) {
        self.advance(now);
    }

    /// The store says that something changed: look soon. A leader does not, for it may hear of its own
    /// renewals; the next one tells it what there is to know.
    pub(crate) fn handle_store_changed(&mut self, now: Moment) {
        self.advance(now);
        self.bid_schedule
            .hurry(&self.config.timing, &mut self.rng, now);
    }

    /// Stop leading, and do not contend until `hold_off` after the lease was given up.
    pub(crate) fn step_down(&mut self, hold_off: Duration, now: Moment) {
        self.check_deadline(now);
        self.eligibility.hold_off(hold_off, now);
        self.command(Reason::SteppedDown, now);
    }

    /// Stop leading, and do not contend until [`resume`](Self::resume).
    pub(crate) fn pause(&mut self, now: Moment) {
        self.check_deadline(now);
        self.eligibility.paused = true;
        self.command(Reason::Paused, now);
    }

    /// Contend again, also after a step-down.
    pub(crate) fn resume(&mut self, now: Moment) {
        self.check_deadline(now);
        self.eligibility.resume();
        self.settle(now);
    }

    /// Stop leading for good.
    pub(crate) fn shutdown(&mut self, now: Moment) {
        self.check_deadline(now);
        self.eligibility.shut_down = true;
        self.command(Reason::Shutdown, now);
    }

    /// Nobody has worked under the present leadership: others need not be kept from the lease.
    pub(crate) fn forgo(&mut self) {
        if let Some(term) = self.phase.term() {
            term.forgo();
        }
    }

    /// Who is subscribed, and whether all have acknowledged what they were told.
    pub(crate) fn subscribers_changed(&mut self, subscriber_state: SubscriberState, now: Moment) {
        self.check_deadline(now);
        self.eligibility.subscriber_state = subscriber_state;
        // It was spoken before what is still to be delivered.
        let mut stands = self.transitions.is_empty();
        if mutant!(EarlyAcknowledgementCounts) {
            stands = true;
        }
        self.eligibility.subscriber_state.acknowledged &= stands;
        if !subscriber_state.present {
            // Nobody is left to do the work.
            self.yield_term(Reason::SteppedDown, true, now);
        }
        self.settle(now);
    }

    /// Whether somebody wants to know of leaders without contending.
    pub(crate) fn observe(&mut self, observed: bool) {
        self.eligibility.observed = observed;
    }

    // Views.

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn state(&self, now: Moment) -> ElectionState {
        match &self.phase {
            Phase::Leading(_) => ElectionState::Leading,
            // The lease is left to expire, and only the acknowledgement is waited for.
            Phase::Yielding(_) if self.has_given_up() => {
                let reason = self.eligibility.idle_reason(now);
                ElectionState::Idle(reason.unwrap_or(IdleReason::AwaitingAcknowledgement))
            }
            Phase::Yielding(_) => ElectionState::Yielding,
            Phase::Following => match self.eligibility.idle_reason(now) {
                Some(reason) => ElectionState::Idle(reason),
                None => ElectionState::Standby,
            },
        }
    }

    /// The leadership of the present term, if it leads.
    pub(crate) fn leadership(&self) -> Option<&Leadership> {
        match &self.phase {
            Phase::Leading(term) => Some(term.leadership()),
            _ => None,
        }
    }

    /// The term whose lease is held, also while it yields, and its deadline.
    pub(crate) fn term(&self) -> Option<(&Leadership, Moment)> {
        let term = match &self.phase {
            Phase::Leading(term) => term,
            Phase::Yielding(yielding) => &yielding.term,
            Phase::Following => return None,
        };
        Some((term.leadership(), term.deadline()?))
    }

    /// When the last confirmed grant or renewal of the present term was sent.
    pub(crate) fn confirmed_at(&self) -> Option<Moment> {
        match &self.phase {
            Phase::Leading(term) => Some(term.confirmed_at),
            _ => None,
        }
    }

    /// Whether the next bid is one for a lease that its own id holds.
    pub(crate) fn reenters(&self) -> bool {
        self.reenters
    }

    pub(crate) fn in_flight(&self) -> Option<(RequestId, Moment)> {
        self.in_flight
            .as_ref()
            .map(|request| (request.id, request.sent_at))
    }

    /// Whether nothing that a command began is still under way.
    pub(crate) fn is_settled(&self) -> bool {
        let busy = (self.in_flight.as_ref()).is_some_and(|request| request.kind != Kind::Read);
        let leading = match &self.phase {
            Phase::Following => false,
            Phase::Leading(_) => true,
            Phase::Yielding(yielding) => !yielding.is_over,
        };
        !leading && self.releases.is_empty() && !busy
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        self.eligibility.shut_down && self.is_settled()
    }

    /// Whether the time for the subscribers to acknowledge the end of a leadership is over, and they have
    /// not.
    pub(crate) fn has_given_up(&self) -> bool {
        matches!(&self.phase, Phase::Yielding(yielding) if yielding.is_over)
    }

    pub(crate) fn has_transitions(&self) -> bool {
        !self.transitions.is_empty()
    }

    /// How the last leadership ended on purpose; meaningful once [settled](Self::is_settled).
    pub(crate) fn outcome(&self) -> StepDownOutcome {
        self.outcome
    }
}

#[cfg(test)]
mod tests;
