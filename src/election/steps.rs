//! What the inputs of an election lead to.

use rand::RngExt as _;

use super::{
    Call, Election, InFlight, Kind, PendingBid, Phase, Reply, Request, RequestId, StepDownOutcome,
    Transition,
    term::{HoldLimits, SteppingDown, Term},
};
use crate::{
    clock::Moment,
    leadership::Reason,
    lease::{AttemptId, Bid, FencingToken, Lease, LeaseRecord, ReleaseTarget},
};

impl Election {
    pub(super) fn contends(&self, now: Moment) -> bool {
        self.eligibility
            .opens_at()
            .is_some_and(|opens| opens <= now)
    }

    /// The next bid; `None` if there is no attempt to be had.
    pub(super) fn bid(&mut self) -> Option<Bid> {
        let pending_bid = match self.pending_bid {
            Some(pending_bid) => pending_bid,
            None => PendingBid {
                attempt: self.draw_attempt()?,
                maybe_granted_since: None,
            },
        };
        self.pending_bid = Some(pending_bid);
        Some(Bid {
            resource: self.config.resource.clone(),
            candidate: self.config.candidate.clone(),
            attempt: pending_bid.attempt,
            ttl: self.config.timing.ttl(),
            metadata: self.config.metadata.clone(),
            reentrant: self.reenters,
        })
    }

    fn draw_attempt(&mut self) -> Option<AttemptId> {
        if mutant!(AttemptFromGenerator) {
            return Some(AttemptId::new(self.rng.random()));
        }
        self.attempts.draw()
    }

    pub(super) fn send(
        &mut self,
        kind: Kind,
        attempt: Option<AttemptId>,
        call: Call,
        sent_at: Moment,
        give_up_at: Moment,
    ) -> Request {
        self.requests += 1;
        self.request_budget.spend(&self.config.timing, sent_at);
        let number = self.requests;
        let id = RequestId { number, attempt };
        self.in_flight = Some(InFlight {
            id,
            sent_at,
            give_up_at,
            kind,
        });
        Request {
            id,
            sent_at,
            give_up_at,
            call,
        }
    }

    /// What every input does first: nothing may come before the deadline.
    pub(super) fn advance(&mut self, now: Moment) {
        self.check_deadline(now);
        if let Some(request) = self.in_flight.take_if(|request| request.give_up_at <= now) {
            let (id, sent_at) = (request.id, request.sent_at);
            self.in_flight = Some(request);
            self.handle_reply(id, sent_at, Reply::Unknown, now);
        }
        self.settle(now);
    }

    pub(super) fn check_deadline(&mut self, now: Moment) {
        if mutant!(DeadlineWaitsForRenewal) && self.in_flight.is_some() {
            return;
        }
        match &mut self.phase {
            Phase::Leading(term) if term.has_lapsed(now) => {
                let renewing =
                    matches!(&self.in_flight, Some(request) if request.kind == Kind::Renew);
                let mut failed = term.failures > 0 || renewing;
                if mutant!(StoreLostCalledExpired) {
                    failed = false;
                }
                if mutant!(ExpiredCalledStoreLost) {
                    failed = true;
                }
                let reason = if term.is_over(now) {
                    Reason::MaxHold
                } else if failed {
                    Reason::StoreLost
                } else {
                    Reason::Expired
                };
                self.yield_term(reason, false, now);
            }
            Phase::Yielding(yielding) => yielding.check(now),
            _ => {}
        }
    }

    pub(super) fn bid_answered(&mut self, sent_at: Moment, reply: Reply, now: Moment) {
        let timing = self.config.timing;
        match reply {
            Reply::Granted { token } => self.granted(token, sent_at, now),
            Reply::Refused(record) => {
                self.bid_schedule.succeeded();
                self.bid_schedule
                    .wait(&timing, &mut self.rng, record.remaining, now);
                self.look_for_own(&record, now);
                // Refused though nobody holds it: this attempt is spent, a new one may be granted.
                self.pending_bid = self.pending_bid.filter(|_| record.is_held());
                if let Some(pending_bid) = &mut self.pending_bid {
                    pending_bid.maybe_granted_since = None;
                }
            }
            Reply::Unknown if mutant!(UnknownTakenForGrant) => {
                let last = self.last_led.map_or(0, FencingToken::get);
                self.granted(FencingToken::new(last + 1), sent_at, now);
            }
            Reply::Unknown => {
                self.bid_schedule.failed(&timing, &mut self.rng, now);
                self.bid_unheard(sent_at, now);
            }
            _ => self.bid_schedule.failed(&timing, &mut self.rng, now),
        }
    }

    /// Whether the lease is held under the candidate's own id. It is asked for as if it were another's
    /// first, so that a lease that was free can be told from one that was taken over: only the former
    /// may be given back when nobody waits for it any more.
    fn look_for_own(&mut self, record: &LeaseRecord, now: Moment) {
        let own = record.is_held() && record.holder.as_ref() == Some(&self.config.candidate);
        let before = std::mem::replace(&mut self.reenters, own && self.options.reentrant);
        if self.reenters && !before {
            self.bid_schedule.next_bid = now;
        }
    }

    /// Gives a grant back that nobody took.
    fn give_back(&mut self, claim: ReleaseTarget, now: Moment) {
        if !self.reenters {
            self.releases.add(claim, &self.config.timing, now);
        }
    }

    /// Asking again with the same attempt finds a grant whose reply was lost; but each copy that
    /// arrives keeps the lease from everybody. A candidate that has heard nothing for a whole ttl gives
    /// the attempt back, and lets everybody else ask once before it bids again.
    fn bid_unheard(&mut self, sent_at: Moment, now: Moment) {
        let Some(pending_bid) = &mut self.pending_bid else {
            return;
        };
        let since = *pending_bid.maybe_granted_since.get_or_insert(sent_at);
        if since + self.config.timing.ttl() <= now {
            self.give_attempt_back(now);
            self.bid_schedule.let_others_try(&self.config.timing, now);
        }
    }

    /// Ends the attempt; a grant that it may have left behind is released.
    fn give_attempt_back(&mut self, now: Moment) {
        if let Some(pending_bid) = self.pending_bid.take()
            && pending_bid.maybe_granted_since.is_some()
        {
            let resource = self.config.resource.clone();
            let attempt = pending_bid.attempt;
            let claim = ReleaseTarget::Attempt { resource, attempt };
            self.give_back(claim, now);
        }
    }

    pub(super) fn granted(&mut self, token: FencingToken, sent_at: Moment, now: Moment) {
        self.bid_schedule.succeeded();
        self.pending_bid = self.pending_bid.filter(|_| mutant!(AttemptBidAgain));
        let sent_at = if mutant!(DeadlineFromReply) {
            now
        } else {
            sent_at
        };
        let timing = &self.config.timing;
        let lease = Lease {
            resource: self.config.resource.clone(),
            holder: self.config.candidate.clone(),
            token,
        };
        let deadline = sent_at + (timing.ttl() - timing.margin());
        let mut too_late = now + timing.margin() > deadline;
        if mutant!(GrantWithinMarginTaken) {
            too_late = false;
        }
        let mut contends = self.contends(now);
        if mutant!(GrantTakenWhilePaused) {
            contends = true;
        }
        if too_late || !contends || !matches!(self.phase, Phase::Following) {
            self.bid_schedule
                .failed(&self.config.timing, &mut self.rng, now);
            self.give_back(ReleaseTarget::Lease(lease), now);
            return;
        }
        let clock = self.config.clock.clone();
        let limits = HoldLimits {
            ends_at: self.options.max_hold.map(|longest| sent_at + longest),
            kept_until: now + self.options.min_hold,
        };
        let term = Term::new(lease, timing, sent_at, limits, clock, &mut self.rng);
        let leadership = term.leadership().clone();
        self.transitions
            .push_back(Transition::BecameLeader { leadership });
        self.outcome = StepDownOutcome::NotLeading;
        self.last_led = Some(token);
        self.phase = Phase::Leading(term);
    }

    /// A grant whose request had been given up. Asking again has found, or will find, the grant of
    /// the attempt still asked for; any other would stand in everybody's way for a ttl. Not so a
    /// token that was led: that lease was given back, or was left to expire because work under it
    /// may still run.
    pub(super) fn late_grant(&mut self, id: RequestId, token: FencingToken, now: Moment) {
        let asked = self
            .pending_bid
            .is_some_and(|pending_bid| Some(pending_bid.attempt) == id.attempt);
        let mut led = self.last_led.is_some_and(|last| token <= last);
        if mutant!(LateGrantOfLedTokenReleased) {
            led = false;
        }
        if mutant!(LateGrantTaken) {
            return self.granted(token, now, now);
        }
        if !asked && !led {
            let lease = Lease {
                resource: self.config.resource.clone(),
                holder: self.config.candidate.clone(),
                token,
            };
            self.give_back(ReleaseTarget::Lease(lease), now);
        }
    }

    pub(super) fn renewal_answered(&mut self, sent_at: Moment, reply: Reply, now: Moment) {
        let timing = self.config.timing;
        match reply {
            Reply::Renewed => {
                let sent_at = if mutant!(DeadlineFromReply) {
                    now
                } else {
                    sent_at
                };
                if let Some(term) = self.phase.term() {
                    term.renewed(&timing, sent_at, now, &mut self.rng);
                }
                // A reader may have seen the lapse before this reply came.
                self.check_deadline(now);
            }
            Reply::Lost(record) => match &mut self.phase {
                Phase::Leading(term) => {
                    let reason = term.lose(record.as_ref());
                    self.yield_term(reason, false, now);
                }
                Phase::Yielding(yielding) => yielding.lose(record.as_ref()),
                Phase::Following => {}
            },
            _ if mutant!(FailedRenewalEndsTerm) => {
                self.yield_term(Reason::StoreLost, false, now);
            }
            _ => {
                if let Some(term) = self.phase.term() {
                    term.renewal_failed(&timing, &self.request_budget, now, &mut self.rng);
                }
            }
        }
    }

    pub(super) fn release_answered(&mut self, reply: &Reply, now: Moment) {
        let done = match reply {
            Reply::Released { was_held } => Some(*was_held),
            // Kept for others not to acquire it, and left to run out.
            Reply::Renewed => Some(true),
            Reply::Lost(_) => Some(false),
            _ => None,
        };
        let own = self
            .releases
            .answered(done, &self.config.timing, &mut self.rng, now);
        if let Some(released) = own {
            self.outcome = if released {
                StepDownOutcome::Released
            } else {
                StepDownOutcome::LeftToExpire
            };
        }
    }

    pub(super) fn command(&mut self, reason: Reason, now: Moment) {
        if matches!(self.phase, Phase::Following) {
            self.eligibility.hold_off_has_begun();
            if !self.releases.has_own() {
                self.outcome = StepDownOutcome::NotLeading;
            }
        }
        self.yield_term(reason, true, now);
        self.settle(now);
    }

    /// Leaves leadership: the subscribers are told first, the store later.
    pub(super) fn yield_term(&mut self, reason: Reason, planned: bool, now: Moment) {
        let mut term = match std::mem::replace(&mut self.phase, Phase::Following) {
            Phase::Leading(term) => term,
            other => {
                self.phase = other;
                return;
            }
        };
        let token = term.lease().token;
        term.tell(&reason);
        if !planned {
            term.kill();
        }
        self.transitions
            .push_back(Transition::BecameFollower { token, reason });
        self.eligibility.subscriber_state.acknowledged = false;
        self.outcome = StepDownOutcome::LeftToExpire;
        let until = now + self.config.timing.yield_for();
        self.phase = Phase::Yielding(SteppingDown::new(term, planned, until));
    }

    /// Draws the consequences of an input.
    pub(super) fn settle(&mut self, now: Moment) {
        let mut acknowledged = self.eligibility.subscriber_state.acknowledged;
        if mutant!(ReleasedBeforeAcknowledgement) {
            acknowledged = true;
        }
        if mutant!(LeaderToldBeforeAcknowledgement) {
            acknowledged = true;
        }
        if acknowledged && matches!(self.phase, Phase::Yielding(_)) {
            let phase = std::mem::replace(&mut self.phase, Phase::Following);
            if let Phase::Yielding(yielding) = phase {
                self.give_up(yielding, now);
            }
        }
        // An attempt ends when its candidate stops contending.
        let mut ends = !self.contends(now) && self.in_flight.is_none();
        if mutant!(AttemptKeptWhilePaused) {
            ends = false;
        }
        if ends {
            self.give_attempt_back(now);
        }
        self.releases.expire(now);
    }

    pub(super) fn give_up(&mut self, yielding: SteppingDown, now: Moment) {
        self.eligibility.start_hold_off(now);
        self.bid_schedule
            .after_term(&self.config.timing, &mut self.rng, now);
        if self.reenters {
            return;
        }
        let kept_until = yielding.term.kept_until();
        let mut clean = self.eligibility.subscriber_state.clean;
        if mutant!(ReleasedThoughSubscriberDied) {
            clean = true;
        }
        if mutant!(LeaderToldBeforeAcknowledgement) {
            clean = false;
        }
        if let Some(lease) = yielding.give_up(clean, now) {
            self.releases
                .add_own(lease, kept_until, &self.config.timing, now);
        }
    }
}
