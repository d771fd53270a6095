use std::time::Duration;

use rand::{RngExt as _, rngs::SmallRng};

use super::wake_window::WakeWindow;
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
    /// Until when others are to bid first, whatever happens.
    others_until: Moment,
    failures: u32,
    /// The store pushes its changes, so a follower need not poll.
    pub(super) pushed: bool,
    /// Over how long the looks after an event are spread.
    window: WakeWindow,
    /// An event came during a look, which may have been too early to see the change.
    heard: bool,
    /// The next bid follows from an event.
    woken: bool,
    /// An operator has asked the holder to hand over to this candidate.
    is_next: bool,
}

impl BidSchedule {
    pub(super) fn new(now: Moment) -> Self {
        Self {
            next_bid: now,
            next_read: now,
            last_bid: Moment::default(),
            others_until: Moment::default(),
            failures: 0,
            pushed: false,
            window: WakeWindow::default(),
            heard: false,
            woken: false,
            is_next: false,
        }
    }

    pub(super) fn bid(&mut self, timing: &Timing, now: Moment) {
        self.last_bid = now;
        // A refused bid also shows the record, so a read can wait.
        self.next_read = now + timing.poll_every() * 2 + timing.call_timeout();
    }

    /// Another candidate holds the lease for the time `left`: bids again when that is over. If the store does not push
    /// its changes, at least every `poll_every`, because the lease may be released. Jitter spreads the bids of the
    /// followers.
    pub(super) fn wait(
        &mut self,
        timing: &Timing,
        rng: &mut SmallRng,
        left: Duration,
        now: Moment,
    ) {
        let longest = if self.pushed {
            left
        } else {
            timing.poll_every()
        };
        let delay = left.min(longest).max(timing.floor());
        self.next_bid = now + delay + self.spread(timing, rng);
        let mut heard = std::mem::take(&mut self.heard);
        if mutant!(EventDuringLookForgotten) {
            heard = false;
        }
        if heard {
            self.bring_forward(timing, rng, now);
        }
    }

    /// A bid was answered. `won` is `None` if the lease could not be had by anybody, for instance while paused.
    pub(super) fn answered(&mut self, timing: &Timing, won: Option<bool>) {
        self.failures = 0;
        if let (true, Some(won)) = (std::mem::take(&mut self.woken), won) {
            self.window.learn(timing, won);
        }
        if won == Some(true) {
            self.heard = false;
            self.is_next = false;
        }
    }

    /// Another candidate has acquired the lease, for this ttl. There is nothing to look for before that is over.
    pub(super) fn taken(
        &mut self,
        timing: &Timing,
        rng: &mut SmallRng,
        ttl: Duration,
        now: Moment,
    ) {
        if self.pushed {
            self.woken = false;
            let mut ttl = ttl;
            if mutant!(AcquiredEventTrustedTooLong) {
                ttl *= 10;
            }
            self.next_bid = self.next_bid.max(now + ttl + self.spread(timing, rng));
        }
        self.next_read = self.next_read.min(self.soon(timing, rng, now));
    }

    /// The store pushes its changes, or no longer does: then polls again, within half a
    /// `poll_every`.
    pub(super) fn set_pushed(
        &mut self,
        timing: &Timing,
        rng: &mut SmallRng,
        pushed: bool,
        now: Moment,
    ) {
        if self.pushed && !pushed {
            let soon = now + rng.random_range(Duration::ZERO..=timing.poll_every() / 2);
            let soon = soon.max(self.last_bid + timing.floor());
            self.next_bid = self.next_bid.min(soon.max(self.others_until));
        }
        self.pushed = pushed;
    }

    pub(super) fn set_next(&mut self, is_next: bool) {
        self.is_next = is_next;
    }

    /// Backs off with jitter, at most `poll_every` (Brooker, *Exponential Backoff and Jitter*, 2015). It starts
    /// at a quarter of that, so the average rate never exceeds four times the undisturbed one.
    pub(super) fn failed(&mut self, timing: &Timing, rng: &mut SmallRng, now: Moment) {
        self.is_next = false;
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
        self.others_until = self.next_bid;
    }

    /// Events may have been lost, of this record and of all others of the store: spreads the looks over a poll.
    pub(super) fn events_lost(&mut self, timing: &Timing, rng: &mut SmallRng, now: Moment) {
        let soon = now.max(self.last_bid + timing.floor());
        let soon = soon + rng.random_range(Duration::ZERO..=timing.poll_every());
        self.next_bid = self.next_bid.min(soon.max(self.others_until));
        self.next_read = self.next_read.min(soon);
    }

    /// The store has pushed an event of this record. If a look is in flight, it may have been too early.
    pub(super) fn event(
        &mut self,
        timing: &Timing,
        rng: &mut SmallRng,
        looking: bool,
        now: Moment,
    ) {
        if looking {
            self.heard = true;
        } else {
            self.bring_forward(timing, rng, now);
        }
    }

    fn bring_forward(&mut self, timing: &Timing, rng: &mut SmallRng, now: Moment) {
        let soon = self.soon(timing, rng, now);
        if soon.max(self.others_until) < self.next_bid {
            self.next_bid = soon.max(self.others_until);
            self.woken = true;
        }
        self.next_read = self.next_read.min(soon);
    }

    /// When to look after an event. Followers that are woken together spread their looks. The candidate to which the
    /// holder hands over looks at once, whenever it looked last: the instruction itself has just woken it, in vain.
    /// The request budget limits it.
    fn soon(&self, timing: &Timing, rng: &mut SmallRng, now: Moment) -> Moment {
        if self.is_next {
            return now;
        }
        let window = self.window.length(timing);
        let earliest = now.max(self.last_bid + timing.floor());
        earliest + rng.random_range(Duration::ZERO..=window)
    }

    /// How long after a time that other followers know, too, this one bids. If the store pushes, all of them wait for
    /// the same expiry, and the first grant calls the others off: a third of a `poll_every` keeps the bids that are
    /// under way by then to a few dozen, even with 200 followers.
    fn spread(&self, timing: &Timing, rng: &mut SmallRng) -> Duration {
        if !self.pushed {
            return jitter(timing, rng);
        }
        let longest = self.window.length(timing).min(timing.poll_every() / 3);
        rng.random_range(Duration::ZERO..=longest)
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
