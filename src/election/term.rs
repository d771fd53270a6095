use std::{sync::Arc, time::Duration};

use rand::{RngExt as _, rngs::SmallRng};

use super::request_budget::RequestBudget;
use crate::{
    clock::{Clock, Moment},
    leadership::{Hold, Leadership, Reason},
    lease::{Lease, LeaseRecord},
    timing::Timing,
};

/// One acquisition while it is led.
#[derive(Debug)]
pub(super) struct Term {
    hold: Hold,
    /// When the last confirmed grant or renewal was sent.
    pub(super) confirmed_at: Moment,
    /// Failed renewals since then.
    pub(super) failures: u32,
    renew_at: Moment,
    /// Until when the lease can be ours in the store, by the last request sent, answered or not.
    ours_until: Moment,
    limits: HoldLimits,
}

/// How long an acquisition may last and shall last, whatever the renewals say.
#[derive(Clone, Copy, Debug)]
pub(super) struct HoldLimits {
    /// When its holder stops believing in it at the latest.
    pub(super) ends_at: Option<Moment>,
    /// Until when others shall not have it.
    pub(super) kept_until: Moment,
}

impl HoldLimits {
    /// The deadline that a request sent at this moment gives.
    fn deadline(&self, timing: &Timing, sent_at: Moment) -> Moment {
        let deadline = deadline(timing, sent_at);
        self.ends_at
            .filter(|_| !mutant!(MaxHoldIgnored))
            .map_or(deadline, |ends_at| ends_at.min(deadline))
    }
}

impl Term {
    pub(super) fn new(
        lease: Lease,
        timing: &Timing,
        sent_at: Moment,
        limits: HoldLimits,
        clock: Arc<dyn Clock>,
        rng: &mut SmallRng,
    ) -> Self {
        Self {
            hold: Hold::new(lease, limits.deadline(timing, sent_at), clock),
            confirmed_at: sent_at,
            failures: 0,
            renew_at: renewal_after(timing, sent_at, rng),
            ours_until: sent_at + timing.ttl() + timing.call_timeout(),
            limits,
        }
    }

    pub(super) fn lease(&self) -> &Lease {
        self.hold.lease()
    }

    pub(super) fn leadership(&self) -> &Leadership {
        self.hold.leadership()
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        self.hold.deadline()
    }

    /// Whether the deadline has passed, or a reader of the leadership has seen it pass.
    pub(super) fn has_lapsed(&self, now: Moment) -> bool {
        self.hold.deadline().is_none_or(|deadline| deadline <= now)
    }

    pub(super) fn may_be_ours(&self, now: Moment) -> bool {
        now < self.ours_until
    }

    /// Whether it has lasted for as long as it may.
    pub(super) fn is_over(&self, now: Moment) -> bool {
        self.limits.ends_at.is_some_and(|ends_at| ends_at <= now)
    }

    pub(super) fn kept_until(&self) -> Moment {
        self.limits.kept_until
    }

    pub(super) fn forgo(&mut self) {
        self.limits.kept_until = Moment::default();
    }

    /// The renewal that is due, and when to give it up.
    pub(super) fn renewal(&mut self, timing: &Timing, now: Moment) -> Option<(Lease, Moment)> {
        let left = now.until(self.hold.deadline()?);
        if now < self.renew_at || left.is_zero() {
            return None;
        }
        self.ours_until = now + timing.ttl() + timing.call_timeout();
        // After a failure no try may use up what is left: a store that hangs until shortly before
        // the deadline is asked once more when it answers again.
        let limit = match self.failures {
            0 => left,
            _ => (left / 2).max(shortest(timing)).min(left),
        };
        Some((self.lease().clone(), now + limit.min(timing.call_timeout())))
    }

    pub(super) fn renewed(
        &mut self,
        timing: &Timing,
        sent_at: Moment,
        now: Moment,
        rng: &mut SmallRng,
    ) {
        let deadline = self.limits.deadline(timing, sent_at);
        if self.hold.extend(deadline, now) {
            self.confirmed_at = sent_at;
            self.failures = 0;
            self.renew_at = match self.limits.ends_at {
                // It reaches as far as it may: there is nothing to renew it for.
                Some(ends_at) if ends_at <= deadline => ends_at,
                _ => renewal_after(timing, sent_at, rng),
            };
        }
    }

    /// Tries again soon: within the deadline, each time a little later, but never so late that no
    /// further try is left. The first tries follow each other quickly, if the budget has room for steady
    /// ones up to the deadline besides; otherwise those that it has room for are spread over what is left.
    pub(super) fn renewal_failed(
        &mut self,
        timing: &Timing,
        request_budget: &RequestBudget,
        now: Moment,
        rng: &mut SmallRng,
    ) {
        let left = self
            .hold
            .deadline()
            .map_or(Duration::ZERO, |deadline| now.until(deadline));
        let backoff = timing.call_timeout() / 16 * 2u32.pow(self.failures.min(3));
        let backoff = backoff.mul_f64(rng.random_range(0.5..=1.0));
        let room = u32::try_from(request_budget.room(timing, now)).unwrap_or(u32::MAX);
        let steady = timing.poll_every().min(timing.renew_every()) / 4;
        // With times that leave hardly any room after a renewal, a single error still ends no term.
        let pause = if self.failures == 0 {
            shortest(timing).min(left / 2)
        } else {
            shortest(timing)
        };
        let quick = self.failures < QUICK_TRIES && left < steady.saturating_mul(room);
        let least = if quick {
            pause
        } else {
            let spread = left / room.max(1).saturating_add(1);
            spread.max(steady.min(left / 2)).max(pause)
        };
        self.renew_at = now + backoff.min(left / 4).max(least);
        // The first try after an error is never held up.
        if self.failures > 0 {
            self.renew_at = self.renew_at.max(request_budget.retry_at(timing));
        }
        self.failures = self.failures.saturating_add(1);
        if mutant!(NoBackoffOfRenewals) {
            self.renew_at = now + shortest(timing) / 100;
        }
    }

    /// When something is due, `idle` telling that a request could be sent.
    pub(super) fn next(&self, idle: bool) -> Moment {
        // A lapse that a reader saw is due at once.
        let deadline = self.hold.deadline().unwrap_or_default();
        if idle {
            return deadline.min(self.renew_at);
        }
        if mutant!(DeadlineWaitsForRenewal) {
            return deadline + Duration::from_secs(60);
        }
        deadline
    }

    /// Why the store does not renew the lease.
    pub(super) fn lose(&mut self, record: Option<&LeaseRecord>) -> Reason {
        let reason = self.reason_of_loss(record);
        if reason != Reason::Evicted {
            self.ours_until = Moment::default();
        }
        self.kill();
        reason
    }

    fn reason_of_loss(&self, record: Option<&LeaseRecord>) -> Reason {
        let token = self.lease().token;
        match record {
            Some(record) if record.token > token => {
                let last = record.history.last().map(|last| &last.holder);
                match record.holder.as_ref().or(last) {
                    Some(by) => Reason::Deposed { by: by.clone() },
                    None => Reason::Expired,
                }
            }
            // The record is older than our own grant, or gone: the store has lost what it knew.
            Some(record) if record.token < token => Reason::StoreLost,
            None => Reason::StoreLost,
            Some(record) if mutant!(EvictedCalledDeposed) && record.closing => Reason::Deposed {
                by: self.lease().holder.clone(),
            },
            Some(record) if record.closing || record.holder.is_none() => Reason::Evicted,
            Some(_) => Reason::Expired,
        }
    }

    pub(super) fn tell(&mut self, reason: &Reason) {
        self.hold.tell(reason);
    }

    pub(super) fn kill(&self) {
        self.hold.kill();
    }
}

/// A term that has ended for its subscribers, until they have acknowledged.
#[derive(Debug)]
pub(super) struct SteppingDown {
    pub(super) term: Term,
    /// Whether the lease is kept renewed.
    renews: bool,
    /// How long the subscribers are waited for.
    until: Moment,
    /// That time is over: the lease is left to expire, whoever waits for the outcome is told so.
    pub(super) is_over: bool,
}

impl SteppingDown {
    pub(super) fn new(term: Term, planned: bool, until: Moment) -> Self {
        Self {
            term,
            renews: planned,
            until,
            is_over: false,
        }
    }

    pub(super) fn renewing(&mut self) -> Option<&mut Term> {
        self.renews.then_some(&mut self.term)
    }

    /// Stops renewing when the deadline has passed, and when the time for yielding is over.
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

    /// The lease to release, if it can still be ours; its leadership is ended first, so that nobody
    /// believes in a lease that is free. Otherwise it is left to run to its deadline.
    pub(super) fn give_up(self, clean: bool, now: Moment) -> Option<Lease> {
        if !self.is_over && clean && self.term.may_be_ours(now) {
            let lease = self.term.lease().clone();
            if mutant!(ReleasedWhileCurrent) {
                self.term.hold.leave();
                return Some(lease);
            }
            self.term.kill();
            return Some(lease);
        }
        self.term.hold.leave();
        None
    }
}

/// How many tries of a renewal may follow each other quickly.
const QUICK_TRIES: u32 = 3;

fn deadline(timing: &Timing, sent_at: Moment) -> Moment {
    let margin = if mutant!(NoMargin) {
        Duration::ZERO
    } else {
        timing.margin()
    };
    sent_at + (timing.ttl() - margin)
}

/// Up to a tenth early, so that the leases of one process do not stay in step.
fn renewal_after(timing: &Timing, sent_at: Moment, rng: &mut SmallRng) -> Moment {
    sent_at + timing.renew_every().mul_f64(rng.random_range(0.9..=1.0))
}

/// The least time between two tries of a renewal, and for one.
fn shortest(timing: &Timing) -> Duration {
    timing.ttl() / 50
}
