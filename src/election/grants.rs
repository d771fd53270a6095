use super::{
    Election, Phase, RequestId, StepDownOutcome, Transition, hold_limits::HoldLimits, term::Term,
};
use crate::{
    clock::Moment,
    lease::{FencingToken, Lease, ReleaseTarget},
};

/// Grants: taken, or released.
impl Election {
    pub(super) fn granted(&mut self, token: FencingToken, mut sent_at: Moment, now: Moment) {
        self.bid_schedule.answered(&self.config.timing, Some(true));
        self.own_id.granted(token);
        let granted_bid = self.pending_bid.take();
        if mutant!(AttemptBidAgain) {
            self.pending_bid = granted_bid;
        }
        if mutant!(DeadlineFromReply) {
            sent_at = now;
        }
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
        self.eligibility.term_begins(now);
        self.phase = Phase::Leading(term);
    }

    /// A grant whose request is no longer waited for: releases the lease, which would otherwise stay held for a
    /// ttl. There are two exceptions:
    ///
    /// - The attempt is still pending: its next bid finds this grant.
    /// - This candidate already led with the token: then it has released the lease, or has left it to expire
    ///   because work under it may still run.
    pub(super) fn late_grant(&mut self, id: RequestId, token: FencingToken, now: Moment) {
        self.own_id.granted(token);
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

    /// Releases a grant that was not taken, unless another mutex of the owner shares the lease.
    pub(super) fn give_back(&mut self, claim: ReleaseTarget, now: Moment) {
        if !self.reenters {
            self.releases.add(claim, &self.config.timing, now);
        }
    }
}
