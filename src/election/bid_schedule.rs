use std::time::Duration;

use rand::{RngExt as _, rngs::SmallRng};

use crate::{
    clock::Moment,
    timing::{POLL_JITTER, Timing},
};

/// When a follower asks next.
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
        // A bid that is refused shows the record, too.
        self.next_read = now + timing.poll_every() * 2 + timing.call_timeout();
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// The lease is another's for this long: look again then, or to see whether it was released.
    /// The jitter keeps the followers of one leader from coming at the same instant.
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

    /// Backs off with full jitter, capped at `poll_every` (Brooker, *Exponential Backoff and
    /// Jitter*, 2015). From a quarter of it on, so that the average rate stays below four times the
    /// undisturbed one even at the start.
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

    /// A leadership has ended: others come first by a little.
    pub(super) fn after_term(&mut self, timing: &Timing, rng: &mut SmallRng, now: Moment) {
        self.next_bid = now + timing.floor() + jitter(timing, rng);
    }

    /// Stays away for as long as it takes every other follower to ask once.
    pub(super) fn let_others_try(&mut self, timing: &Timing, now: Moment) {
        let polled = timing.poll_every().mul_f64(1.0 + POLL_JITTER);
        self.next_bid = now + polled + timing.call_timeout();
    }

    /// The store says that something changed.
    pub(super) fn hurry(&mut self, timing: &Timing, rng: &mut SmallRng, now: Moment) {
        let floor = timing.floor();
        let soon = now.max(self.last_bid + floor) + rng.random_range(Duration::ZERO..=floor);
        self.next_bid = self.next_bid.min(soon);
        self.next_read = self.next_read.min(soon);
    }

    pub(super) fn read(&mut self, timing: &Timing, rng: &mut SmallRng, now: Moment) {
        self.next_read = now + timing.poll_every() + jitter(timing, rng);
    }
}

fn jitter(timing: &Timing, rng: &mut SmallRng) -> Duration {
    rng.random_range(Duration::ZERO..=timing.poll_every().mul_f64(POLL_JITTER))
}
