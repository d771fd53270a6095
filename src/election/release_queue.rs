use std::{collections::VecDeque, time::Duration};

use rand::{RngExt as _, rngs::SmallRng};

use super::Call;
use crate::{
    clock::Moment,
    lease::{EndReason, Lease, ReleaseTarget},
    timing::Timing,
};

/// Leases to release: that of the last term, and grants that came too late to be taken.
///
/// A release is tried a few times; if it fails, the lease expires on its own. While `min_hold` must keep the
/// lease from others, its renewal is tried until the lease has expired.
#[derive(Debug, Default)]
pub(super) struct ReleaseQueue {
    queue: VecDeque<PendingRelease>,
    asked: bool,
}

#[derive(Debug)]
struct PendingRelease {
    claim: ReleaseTarget,
    /// Why the term ended, for the history of the record.
    reason: Option<EndReason>,
    /// Until when no other candidate may acquire it.
    kept_until: Moment,
    /// Whether it ends a term, so that a caller may wait for the outcome.
    own: bool,
    next_at: Moment,
    /// When the lease has expired in any case.
    until: Moment,
    tries: u32,
}

const TRIES: u32 = 3;
/// The largest number of pending releases. If there are more, the oldest is dropped, which expires first.
const BACKLOG: usize = 8;

impl ReleaseQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether the release that ends a term is still pending.
    pub(super) fn has_own(&self) -> bool {
        self.queue.iter().any(|pending| pending.own)
    }

    pub(super) fn add(&mut self, claim: ReleaseTarget, timing: &Timing, now: Moment) {
        self.push(claim, None, now, false, timing, now);
    }

    pub(super) fn add_own(
        &mut self,
        lease: Lease,
        reason: Option<EndReason>,
        kept_until: Moment,
        timing: &Timing,
        now: Moment,
    ) {
        let claim = ReleaseTarget::Lease(lease);
        self.push(claim, reason, kept_until, true, timing, now);
    }

    fn push(
        &mut self,
        claim: ReleaseTarget,
        reason: Option<EndReason>,
        kept_until: Moment,
        own: bool,
        timing: &Timing,
        now: Moment,
    ) {
        if self.queue.len() >= BACKLOG {
            self.queue.remove(usize::from(self.asked));
        }
        self.queue.push_back(PendingRelease {
            claim,
            reason,
            kept_until,
            own,
            next_at: now,
            until: now + timing.ttl(),
            tries: 0,
        });
    }

    /// The request to send now. Pass its answer to [`answered`](Self::answered).
    pub(super) fn due(&mut self, min_ttl: Duration, now: Moment) -> Option<Call> {
        let front = self.queue.front().filter(|front| front.next_at <= now)?;
        self.asked = true;
        let mut left = now.until(front.kept_until);
        if mutant!(MinHoldIgnored) {
            left = Duration::ZERO;
        }
        Some(match &front.claim {
            // Renewed instead of released. It then expires on its own, also if this process has ended.
            ReleaseTarget::Lease(lease) if !left.is_zero() => Call::Renew {
                lease: lease.clone(),
                ttl: left.max(min_ttl),
            },
            claim => Call::Release(claim.clone(), front.reason),
        })
    }

    /// Sends no release before this moment.
    pub(super) fn postpone(&mut self, until: Moment) {
        if let Some(front) = self.queue.front_mut() {
            front.next_at = front.next_at.max(until);
        }
    }

    pub(super) fn next(&self) -> Option<Moment> {
        let front = self.queue.front()?;
        Some(front.next_at.min(front.until))
    }

    /// Takes the store's answer, `None` for an error. Returns whether the lease was released, once this is
    /// certain and the release ends a term.
    pub(super) fn answered(
        &mut self,
        was_held: Option<bool>,
        timing: &Timing,
        rng: &mut SmallRng,
        now: Moment,
    ) -> Option<bool> {
        self.asked = false;
        let front = self.queue.front_mut()?;
        front.tries += 1;
        let tries_on = front.tries < TRIES || now < front.kept_until;
        if was_held.is_none() && tries_on {
            let least = timing.poll_every() / 4;
            front.next_at = now + rng.random_range(least..=least * 2);
            return None;
        }
        let done = self.queue.pop_front()?;
        done.own.then_some(was_held == Some(true))
    }

    /// Drops the releases of leases that have expired.
    pub(super) fn expire(&mut self, now: Moment) {
        if !self.asked {
            self.queue.retain(|pending| now < pending.until);
        }
    }
}

#[cfg(test)]
mod tests;
