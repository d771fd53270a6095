use super::term::Term;
use crate::{
    clock::Moment,
    lease::{EndReason, Lease, LeaseRecord},
};

/// A term that has ended for its subscribers, until they have acknowledged.
#[derive(Debug)]
pub(super) struct SteppingDown {
    pub(super) term: Term,
    /// Why it has ended, for the history of the record.
    pub(super) reason: Option<EndReason>,
    /// Whether the lease is kept renewed.
    renews: bool,
    /// Until when the subscribers may acknowledge.
    until: Moment,
    /// That time is over: the lease is left to expire, and a caller that waits for the outcome gets it.
    pub(super) is_over: bool,
}

impl SteppingDown {
    pub(super) fn new(term: Term, reason: Option<EndReason>, planned: bool, until: Moment) -> Self {
        Self {
            term,
            reason,
            renews: planned,
            until,
            is_over: false,
        }
    }

    pub(super) fn renewing(&mut self) -> Option<&mut Term> {
        self.renews.then_some(&mut self.term)
    }

    pub(super) fn renewed_term(&self) -> Option<&Term> {
        self.renews.then_some(&self.term)
    }

    /// Stops renewing when the deadline has passed, or the time to acknowledge is over.
    pub(super) fn check(&mut self, now: Moment) {
        self.is_over |= self.until <= now;
        self.renews &= !self.is_over && !self.term.has_lapsed(now);
    }

    /// The store no longer renews the lease.
    pub(super) fn lose(&mut self, record: Option<&LeaseRecord>) {
        self.term.lose(record);
        self.renews = false;
    }

    pub(super) fn next(&self, idle: bool) -> Option<Moment> {
        let renewal = self.renews.then(|| self.term.next(idle));
        let over = (!self.is_over).then_some(self.until);
        renewal.into_iter().chain(over).min()
    }

    /// The lease to release, if the store may still have it as this candidate's. The leadership ends first, so
    /// that `is_current` is false before the lease is free. Without a release the leadership lasts until its
    /// deadline.
    pub(super) fn give_up(self, clean: bool, now: Moment) -> Option<Lease> {
        if !self.is_over && clean && self.term.may_be_ours(now) {
            let lease = self.term.lease().clone();
            if mutant!(ReleasedWhileCurrent) {
                self.term.let_expire();
                return Some(lease);
            }
            self.term.revoke();
            return Some(lease);
        }
        self.term.let_expire();
        None
    }
}
