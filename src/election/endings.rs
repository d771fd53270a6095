use super::{
    Election, Phase, Reply, StepDownOutcome, Transition, in_flight::Kind,
    stepping_down::SteppingDown,
};
use crate::{
    clock::Moment,
    leadership::Reason,
    lease::{EndReason, StandingInstruction},
};

/// How a term is renewed, ends and is released.
impl Election {
    /// Ends the term if its deadline has passed.
    pub(super) fn check_deadline(&mut self, now: Moment) {
        if self.deadline_waits_for_renewal() {
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
                let reason = if term.is_given_up() {
                    Reason::Shutdown
                } else if term.is_over(now) {
                    Reason::MaxHold
                } else if failed {
                    Reason::StoreLost
                } else {
                    Reason::Expired
                };
                self.yield_term(reason, false, now);
            }
            Phase::Yielding(yielding) => {
                // Another candidate may lead already.
                if !yielding.is_over && !yielding.term.may_be_ours(now) {
                    self.outcome = StepDownOutcome::NotLeading;
                }
                yielding.check(now);
            }
            _ => {}
        }
    }

    /// The fault of that name.
    fn deadline_waits_for_renewal(&self) -> bool {
        if mutant!(DeadlineWaitsForRenewal) {
            return self.in_flight.is_some();
        }
        false
    }

    pub(super) fn renewal_answered(&mut self, mut sent_at: Moment, reply: Reply, now: Moment) {
        let timing = self.config.timing;
        match reply {
            Reply::Renewed { instruction } => {
                if mutant!(DeadlineFromReply) {
                    sent_at = now;
                }
                if let Some(term) = self.phase.term() {
                    term.renewed(&timing, sent_at, now, &mut self.rng);
                }
                // A reader may have seen the deadline pass before this reply arrived.
                self.check_deadline(now);
                if let Some(instruction) = instruction {
                    self.obey(instruction, now);
                }
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
                    term.renewal_failed(&timing, &self.request_budget, sent_at, now, &mut self.rng);
                }
            }
        }
    }

    /// Does what an operator asks of the leader, in the usual order: the subscribers stop and acknowledge, then the
    /// lease is released.
    fn obey(&mut self, instruction: StandingInstruction, now: Moment) {
        if self.options.is_mutex {
            return;
        }
        match instruction {
            // Nothing to do: it leads already.
            StandingInstruction::HandOver { to } if to == self.config.candidate => {}
            StandingInstruction::HandOver { to } => {
                self.yield_term(Reason::HandedOver { to }, true, now);
            }
            StandingInstruction::Pause { .. } => self.yield_term(Reason::Paused, true, now),
        }
        if mutant!(InstructionObeyedBeforeAcknowledgement) {
            self.eligibility.subscriber_state.acknowledged = true;
        }
    }

    pub(super) fn release_answered(&mut self, reply: &Reply, now: Moment) {
        let done = match reply {
            Reply::Released { was_held } => Some(*was_held),
            // Renewed for the rest of `min_hold` instead of released. It expires on its own.
            Reply::Renewed { .. } => Some(true),
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

    /// Stops leading: tells the subscribers now, and the store when they have acknowledged.
    pub(super) fn yield_term(&mut self, reason: Reason, planned: bool, now: Moment) {
        let mut term = match std::mem::replace(&mut self.phase, Phase::Following) {
            Phase::Leading(term) => term,
            other => {
                self.phase = other;
                return;
            }
        };
        self.eligibility.term_ends(self.config.timing.ttl(), now);
        let token = term.lease().token;
        let for_history = match reason.for_history() {
            Some(EndReason::Shutdown) if self.options.is_mutex => Some(EndReason::Unlocked),
            reason => reason,
        };
        term.notify_lost(&reason);
        if !planned {
            term.revoke();
        }
        self.transitions
            .push_back(Transition::BecameFollower { token, reason });
        self.eligibility.subscriber_state.acknowledged = false;
        self.outcome = StepDownOutcome::LeftToExpire;
        let until = now + self.config.timing.yield_for();
        self.phase = Phase::Yielding(SteppingDown::new(term, for_history, planned, until));
    }

    /// Does what follows from an input: releases the lease of a term that all have acknowledged, and ends the
    /// attempt of a candidate that no longer contends.
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
        let mut ends = !self.contends(now) && self.in_flight.is_none();
        if mutant!(AttemptKeptWhilePaused) {
            ends = false;
        }
        if ends {
            self.abandon_attempt(now);
        }
        self.releases.expire(now);
    }

    /// Gives up the lease of a term whose end was acknowledged.
    fn give_up(&mut self, yielding: SteppingDown, now: Moment) {
        self.eligibility.start_hold_off(now);
        self.bid_schedule
            .after_term(&self.config.timing, &mut self.rng, now);
        if yielding.reason == Some(EndReason::HandedOver) {
            self.bid_schedule.let_others_try(&self.config.timing, now);
        }
        if self.reenters {
            return;
        }
        let kept_until = yielding.term.kept_until();
        let reason = yielding.reason;
        let mut clean = self.eligibility.subscriber_state.clean;
        if mutant!(ReleasedThoughSubscriberDied) {
            clean = true;
        }
        if mutant!(LeaderToldBeforeAcknowledgement) {
            clean = false;
        }
        if let Some(lease) = yielding.give_up(clean, now) {
            self.releases
                .add_own(lease, reason, kept_until, &self.config.timing, now);
        }
    }
}
