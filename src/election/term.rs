use std::{sync::Arc, time::Duration};

use rand::{RngExt as _, rngs::SmallRng};

use super::{
    EarlyRenewal,
    hold_limits::HoldLimits,
    renewal_retry::{RenewalRetry, shortest_try},
    request_budget::RequestBudget,
};
use crate::{
    clock::{Clock, Moment},
    leadership::{Leadership, LeadershipControl, Reason},
    lease::{Lease, LeaseRecord},
    timing::Timing,
};

/// One acquisition while it is led.
#[derive(Debug)]
pub(super) struct Term {
    control: LeadershipControl,
    /// When the last confirmed grant or renewal was sent.
    pub(super) confirmed_at: Moment,
    /// Failed renewals since then.
    pub(super) failures: u32,
    renew_at: Moment,
    /// From when on a failed renewal may be tried again with others.
    retry_from: Moment,
    /// Until when the store may have the lease as ours, counted from the last request, answered or not.
    ours_until: Moment,
    limits: HoldLimits,
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
            control: LeadershipControl::new(lease, limits.deadline(timing, sent_at), clock),
            confirmed_at: sent_at,
            failures: 0,
            renew_at: renewal_after(timing, sent_at, rng),
            retry_from: sent_at,
            ours_until: sent_at + timing.ttl() + timing.call_timeout(),
            limits,
        }
    }

    pub(super) fn lease(&self) -> &Lease {
        self.control.lease()
    }

    pub(super) fn leadership(&self) -> &Leadership {
        self.control.leadership()
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        self.control.deadline()
    }

    /// Whether the deadline has passed, or a reader of the leadership has seen it pass.
    pub(super) fn has_lapsed(&self, now: Moment) -> bool {
        self.control
            .deadline()
            .is_none_or(|deadline| deadline <= now)
    }

    /// Whether the store may still have the lease as this candidate's.
    pub(super) fn may_be_ours(&self, now: Moment) -> bool {
        now < self.ours_until
    }

    /// Whether the holder has ended the leadership by itself.
    pub(super) fn is_given_up(&self) -> bool {
        self.control.is_given_up()
    }

    /// Whether it has lasted for its `max_hold`.
    pub(super) fn is_over(&self, now: Moment) -> bool {
        self.limits.ends_at.is_some_and(|ends_at| ends_at <= now)
    }

    pub(super) fn kept_until(&self) -> Moment {
        self.limits.kept_until
    }

    /// Ends the claim to the lease that `min_hold` gives.
    pub(super) fn waive_min_hold(&mut self) {
        self.limits.kept_until = Moment::default();
    }

    /// The renewal that is due, and until when to wait for its answer.
    pub(super) fn renewal(&mut self, timing: &Timing, now: Moment) -> Option<(Lease, Moment)> {
        let left = now.until(self.control.deadline()?);
        if now < self.renew_at || left.is_zero() {
            return None;
        }
        self.ours_until = now + timing.ttl() + timing.call_timeout();
        let mut limit = left.min(timing.call_timeout());
        if mutant!(DeadlineWaitsForRenewal) {
            limit = timing.call_timeout();
        }
        if self.failures > 0 {
            // If the store hangs until shortly before the deadline, one more try must still fit in.
            limit = limit.min((left / 2).max(shortest_try(timing)));
            if let Some(last_try) = self.last_try(timing).filter(|last_try| now < *last_try) {
                limit = limit.min(now.until(last_try));
            }
        }
        Some((self.lease().clone(), now + limit))
    }

    /// When the last try of a renewal begins that can wait for `call_timeout` before the deadline.
    fn last_try(&self, timing: &Timing) -> Option<Moment> {
        Some(self.deadline()? - timing.call_timeout())
    }

    pub(super) fn renewed(
        &mut self,
        timing: &Timing,
        sent_at: Moment,
        now: Moment,
        rng: &mut SmallRng,
    ) {
        let deadline = self.limits.deadline(timing, sent_at);
        if self.control.extend(deadline, now) {
            self.confirmed_at = sent_at;
            self.failures = 0;
            self.renew_at = match self.limits.ends_at {
                // The lease lasts until `max_hold` ends it, so no further renewal is needed.
                Some(ends_at) if ends_at <= deadline => ends_at,
                _ => renewal_after(timing, sent_at, rng),
            };
        }
    }

    /// Plans the next try after one that was sent at `sent_at`.
    pub(super) fn renewal_failed(
        &mut self,
        timing: &Timing,
        request_budget: &RequestBudget,
        sent_at: Moment,
        now: Moment,
        rng: &mut SmallRng,
    ) {
        let deadline = self.control.deadline();
        let retry = RenewalRetry {
            failures: self.failures,
            left: deadline.map_or(Duration::ZERO, |deadline| now.until(deadline)),
            room: request_budget.room(timing, now),
        };
        let backoff = retry.longest_backoff(timing);
        let backoff = backoff.mul_f64(rng.random_range(0.5..=1.0));
        self.renew_at = now + retry.pause(timing, backoff);
        // The budget never delays the first try after an error.
        if self.failures > 0 {
            self.renew_at = self.renew_at.max(request_budget.retry_at(timing));
        }
        // Nothing skips the last try that can wait for its whole limit.
        if let Some(last_try) = self.last_try(timing).filter(|last_try| sent_at < *last_try) {
            let last_try = last_try.max(now);
            if last_try < self.renew_at + shortest_try(timing) {
                self.renew_at = last_try;
            }
        }
        self.failures = self.failures.saturating_add(1);
        self.retry_from = now + now.until(self.renew_at) / 2;
        if mutant!(NoBackoffOfRenewals) {
            self.renew_at = now + shortest_try(timing) / 100;
        }
    }

    /// Renews at once, because the record may have an instruction; at most four times per `renew_every`.
    pub(super) fn renew_soon(
        &mut self,
        timing: &Timing,
        request_budget: &RequestBudget,
        now: Moment,
    ) {
        if self.failures == 0 {
            let soon = now.max(self.confirmed_at + timing.renew_every() / 4);
            let soon = soon.max(request_budget.bid_at(timing));
            self.renew_at = self.renew_at.min(soon);
        }
    }

    /// When it may be renewed early, together with other leases: from half of `renew_every` on. `None` if it needs no
    /// further renewal.
    pub(super) fn early_renewal(&self, timing: &Timing) -> Option<EarlyRenewal> {
        let deadline = self.deadline()?;
        if self
            .limits
            .ends_at
            .is_some_and(|ends_at| ends_at <= deadline)
        {
            return None;
        }
        let is_retry = self.failures > 0;
        let from = if is_retry {
            self.retry_from
        } else {
            self.confirmed_at + timing.renew_every() / 2
        };
        Some(EarlyRenewal { from, is_retry })
    }

    /// Renews now, because other leases are renewed, if it may.
    pub(super) fn renew_early(&mut self, timing: &Timing, now: Moment) {
        let may_join = (self.early_renewal(timing)).is_some_and(|early| early.from <= now);
        if may_join {
            self.renew_at = self.renew_at.min(now);
        }
    }

    pub(super) fn renewal_at(&self) -> Moment {
        self.renew_at
    }

    /// When something is due. If `idle`, no request is in flight, so a renewal may be due.
    pub(super) fn next(&self, idle: bool) -> Moment {
        // If a reader has seen the deadline pass, the end of the term is due at once.
        let deadline = self.control.deadline().unwrap_or_default();
        if idle {
            return deadline.min(self.renew_at);
        }
        if mutant!(DeadlineWaitsForRenewal) {
            return deadline + Duration::from_secs(60);
        }
        deadline
    }

    /// Ends the leadership because the store does not renew the lease, and returns the reason.
    pub(super) fn lose(&mut self, record: Option<&LeaseRecord>) -> Reason {
        let reason = self.reason_of_loss(record);
        if reason != Reason::Evicted {
            self.ours_until = Moment::default();
        }
        self.revoke();
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
            // The record is older than our grant, or gone: the store has lost writes.
            Some(record) if record.token < token => Reason::StoreLost,
            None => Reason::StoreLost,
            Some(record) if record.closing || record.holder.is_none() => self.evicted(),
            Some(_) => Reason::Expired,
        }
    }

    fn evicted(&self) -> Reason {
        if mutant!(EvictedCalledDeposed) {
            let by = self.lease().holder.clone();
            return Reason::Deposed { by };
        }
        Reason::Evicted
    }

    /// Tells the holders of the leadership why it ends.
    pub(super) fn notify_lost(&mut self, reason: &Reason) {
        self.control.notify_lost(reason);
    }

    /// Ends the leadership at once.
    pub(super) fn revoke(&self) {
        self.control.revoke();
    }

    /// Lets the leadership last until its deadline.
    pub(super) fn let_expire(self) {
        self.control.let_expire();
    }
}

/// Up to a tenth early, so that the leases of several processes are not all renewed at the same moment.
fn renewal_after(timing: &Timing, sent_at: Moment, rng: &mut SmallRng) -> Moment {
    if mutant!(RenewalDeferred) {
        // As if it waited for a batch for as long as the deadline allows.
        return sent_at + (timing.ttl() - timing.margin() - timing.call_timeout());
    }
    sent_at + timing.renew_every().mul_f64(rng.random_range(0.9..=1.0))
}

#[cfg(test)]
mod tests;
