use std::time::Duration;

use rand::{RngExt as _, rngs::SmallRng};

use crate::{
    clock::Moment,
    timing::{POLL_JITTER, Timing},
};

/// When a follower bids or reads next.
#[derive(Debug)]
pub(super) struct BidSchedule {
    pub(super) next_bid: Moment,
    pub(super) next_read: Moment,
    last_bid: Moment,
    failures: u32,
}

impl BidSchedule {
    pub(super) fn new(now: Moment) -> Self {
        Self {
            next_bid: now,
            next_read: now,
            last_bid: Moment::default(),
            failures: 0,
        }
    }

    pub(super) fn bid(&mut self, timing: &Timing, now: Moment) {
        self.last_bid = now;
        // A refused bid also shows the record, so a read can wait.
        self.next_read = now + timing.poll_every() * 2 + timing.call_timeout();
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Another candidate holds the lease for the time `left`: bids again when that is over, but at least every
    /// `poll_every`, because it may be released. Jitter spreads the bids of the followers.
    pub(super) fn wait(
        &mut self,
        timing: &Timing,
        rng: &mut SmallRng,
        left: Duration,
        now: Moment,
    ) {
        let delay = left.min(timing.poll_every()).max(timing.floor());
        self.next_bid = now + delay + jitter(timing, rng);
    }

    /// Backs off with jitter, at most `poll_every` (Brooker, *Exponential Backoff and Jitter*, 2015). It starts
    /// at a quarter of that, so the average rate never exceeds four times the undisturbed one.
    pub(super) fn failed(&mut self, timing: &Timing, rng: &mut SmallRng, now: Moment) {
        let least = timing.poll_every() / 4;
        let most = (least * 2u32.saturating_pow(self.failures.min(8))).min(timing.poll_every());
        self.failures = self.failures.saturating_add(1);
        self.next_bid = now + rng.random_range(least..=most);
        if mutant!(NoBackoff) {
            self.next_bid = now;
        }
        self.next_read = self.next_read.max(self.next_bid);
    }

    /// A leadership has ended: other candidates may bid first.
    pub(super) fn after_term(&mut self, timing: &Timing, rng: &mut SmallRng, now: Moment) {
        self.next_bid = now + timing.floor() + jitter(timing, rng);
    }

    /// Waits until every other follower could bid once.
    pub(super) fn let_others_try(&mut self, timing: &Timing, now: Moment) {
        let polled = timing.poll_every().mul_f64(1.0 + POLL_JITTER);
        self.next_bid = now + polled + timing.call_timeout();
    }

    /// The store hints that the record changed.
    pub(super) fn bring_forward(&mut self, timing: &Timing, rng: &mut SmallRng, now: Moment) {
        let floor = timing.floor();
        let soon = now.max(self.last_bid + floor) + rng.random_range(Duration::ZERO..=floor);
        self.next_bid = self.next_bid.min(soon);
        self.next_read = self.next_read.min(soon);
    }

    pub(super) fn postpone_read(&mut self, until: Moment) {
        self.next_read = self.next_read.max(until);
    }

    pub(super) fn read(&mut self, timing: &Timing, rng: &mut SmallRng, now: Moment) {
        self.next_read = now + timing.poll_every() + jitter(timing, rng);
    }
}

fn jitter(timing: &Timing, rng: &mut SmallRng) -> Duration {
    rng.random_range(Duration::ZERO..=timing.poll_every().mul_f64(POLL_JITTER))
}
