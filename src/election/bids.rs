use rand::RngExt as _;

use super::{Election, Reply};
use crate::{
    clock::Moment,
    lease::{AttemptId, Bid, FencingToken, LeaseRecord, ReleaseTarget},
};

/// An attempt to acquire the lease, with all its retries.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingBid {
    pub(super) attempt: AttemptId,
    /// When the first request was sent that may have been granted without an answer.
    maybe_granted_since: Option<Moment>,
}

/// Bids and the answers to them.
impl Election {
    /// Whether the candidate may acquire the lease now.
    pub(super) fn contends(&self, now: Moment) -> bool {
        self.eligibility
            .opens_at()
            .is_some_and(|opens| opens <= now)
    }

    /// The next bid; `None` if the source has no attempt now.
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
            replaces: None,
            waited: self.waited,
            internal: false,
        })
    }

    fn draw_attempt(&mut self) -> Option<AttemptId> {
        if mutant!(AttemptFromGenerator) {
            return Some(AttemptId::new(self.rng.random()));
        }
        self.attempts.draw()
    }

    pub(super) fn bid_answered(&mut self, sent_at: Moment, reply: Reply, now: Moment) {
        let timing = self.config.timing;
        match reply {
            Reply::Granted { token } => self.granted(token, sent_at, now),
            Reply::Refused(record) => {
                if !self.options.is_mutex {
                    let own = &self.config.candidate;
                    self.own_id.refused(&record, own, &timing, now);
                }
                let lost = record.is_held().then_some(false);
                self.bid_schedule.answered(&timing, lost);
                let next = record.hand_over.as_ref() == Some(&self.config.candidate);
                self.bid_schedule.set_next(next && record.pause.is_none());
                if record.pause.is_some() {
                    return self.refused_by_pause(&record, now);
                }
                self.bid_schedule
                    .wait(&timing, &mut self.rng, record.remaining, now);
                self.let_handed_over_bid_first(&record, now);
                self.detect_reentry(&record, now);
                // The lease is free, so the store refused only this attempt. It may grant a new one.
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
                self.own_id.unanswered(&timing, now);
                self.bid_schedule.failed(&timing, &mut self.rng, now);
                self.bid_unanswered(sent_at, now);
            }
            _ => self.bid_schedule.failed(&timing, &mut self.rng, now),
        }
    }

    /// A pause also refuses the attempt that holds the lease. Gives that back, so that the lease is free when the
    /// resource is resumed, and asks again after a `poll_every`.
    fn refused_by_pause(&mut self, record: &LeaseRecord, now: Moment) {
        let timing = self.config.timing;
        self.bid_schedule
            .wait(&timing, &mut self.rng, timing.poll_every(), now);
        let mine = record.holder.as_ref() == Some(&self.config.candidate);
        if let Some(pending_bid) = &mut self.pending_bid
            && mine
        {
            pending_bid.maybe_granted_since.get_or_insert(now);
        }
        self.abandon_attempt(now);
    }

    /// If the free lease was handed over to another candidate, lets that one bid first. If it does not come, the next
    /// bid says that this one has waited.
    fn let_handed_over_bid_first(&mut self, record: &LeaseRecord, now: Moment) {
        let to_another = (record.hand_over.as_ref()).is_some_and(|to| *to != self.config.candidate);
        if to_another && !record.is_held() && self.waited != Some(record.token) {
            self.waited = Some(record.token);
            self.bid_schedule.let_others_try(&self.config.timing, now);
        }
    }

    /// Makes the next bid reentrant if the candidate's own id holds the lease.
    ///
    /// The first bid is never reentrant. So the election knows whether a granted lease was free before or is
    /// shared with another mutex of the owner. Only a lease that was free may be released if its caller no
    /// longer waits.
    fn detect_reentry(&mut self, record: &LeaseRecord, now: Moment) {
        let own = record.is_held() && record.holder.as_ref() == Some(&self.config.candidate);
        let before = std::mem::replace(&mut self.reenters, own && self.options.reentrant);
        if self.reenters && !before {
            self.bid_schedule.next_bid = now;
        }
    }

    /// Ends the attempt if no bid with it was answered for a ttl, and waits until every other candidate could
    /// bid once.
    ///
    /// A retry with the same attempt finds a grant whose reply was lost. But a store that applies the requests
    /// and loses the replies would grant every retry, and no candidate could lead.
    fn bid_unanswered(&mut self, sent_at: Moment, now: Moment) {
        let Some(pending_bid) = &mut self.pending_bid else {
            return;
        };
        let since = *pending_bid.maybe_granted_since.get_or_insert(sent_at);
        if since + self.config.timing.ttl() <= now {
            self.abandon_attempt(now);
            self.bid_schedule.let_others_try(&self.config.timing, now);
        }
    }

    /// Ends the attempt, and releases the lease if the attempt may have been granted.
    pub(super) fn abandon_attempt(&mut self, now: Moment) {
        if let Some(pending_bid) = self.pending_bid.take()
            && pending_bid.maybe_granted_since.is_some()
        {
            let resource = self.config.resource.clone();
            let attempt = pending_bid.attempt;
            let claim = ReleaseTarget::Attempt { resource, attempt };
            self.give_back(claim, now);
        }
    }
}
