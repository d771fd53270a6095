use std::time::Duration;

use super::IdleReason;
use crate::clock::Moment;

/// The state of the subscribers, as far as the election needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SubscriberState {
    /// At least one live actor is subscribed.
    pub(crate) present: bool,
    /// Every subscriber has acknowledged all messages.
    pub(crate) acknowledged: bool,
    /// No subscriber has died without acknowledging the end of the last leadership. If one has, work that it
    /// spawned may still run.
    pub(crate) clean: bool,
}

/// Whether a candidate may contend, and why not.
#[derive(Debug)]
pub(super) struct Eligibility {
    pub(super) subscriber_state: SubscriberState,
    pub(super) paused: bool,
    pub(super) shut_down: bool,
    pub(super) observed: bool,
    held_off_until: Moment,
    /// How long to hold off once the present leadership is given up.
    to_hold_off: Option<Duration>,
    /// Since when the present term leads, or when the last one began.
    led_since: Moment,
    /// How often the candidate has resigned in a row.
    resignations: u32,
}

/// How often the hold-off doubles with resignations in a row: up to eight times the given one.
const LONGEST_HOLD_OFF: u32 = 3;

impl Default for Eligibility {
    fn default() -> Self {
        Self {
            subscriber_state: SubscriberState {
                present: false,
                acknowledged: true,
                clean: true,
            },
            paused: false,
            shut_down: false,
            observed: false,
            held_off_until: Moment::default(),
            to_hold_off: None,
            led_since: Moment::default(),
            resignations: 0,
        }
    }
}

impl Eligibility {
    /// From when on the candidate contends; `None` if it first needs an input, for instance a subscriber.
    pub(super) fn opens_at(&self) -> Option<Moment> {
        let mut acknowledged = self.subscriber_state.acknowledged;
        if mutant!(LeaderToldBeforeAcknowledgement) {
            acknowledged = true;
        }
        let subscriber_state = self.subscriber_state.present && acknowledged;
        (subscriber_state && !self.paused && !self.shut_down).then_some(self.held_off_until)
    }

    /// Why the candidate does not contend; `None` if it does.
    pub(super) fn idle_reason(&self, now: Moment) -> Option<IdleReason> {
        if self.opens_at().is_some_and(|opens| opens <= now) {
            return None;
        }
        Some(if self.shut_down {
            IdleReason::ShutDown
        } else if self.paused {
            IdleReason::Paused
        } else if !self.subscriber_state.present {
            IdleReason::NoSubscriber
        } else if !self.subscriber_state.acknowledged {
            IdleReason::AwaitingAcknowledgement
        } else {
            let remaining = now.until(self.held_off_until);
            IdleReason::HeldOff { remaining }
        })
    }

    pub(super) fn hold_off(&mut self, time: Duration, now: Moment) {
        self.held_off_until = now + time;
        self.to_hold_off = Some(time);
    }

    /// Holds off for longer after each resignation in a row.
    pub(super) fn resign(&mut self, hold_off: Duration, ttl: Duration, now: Moment) {
        self.term_ends(ttl, now);
        let factor = 1 << self.resignations.min(LONGEST_HOLD_OFF);
        self.resignations = self.resignations.saturating_add(1);
        self.hold_off(hold_off.saturating_mul(factor), now);
    }

    pub(super) fn term_begins(&mut self, now: Moment) {
        self.led_since = now;
    }

    /// If the term has lasted for a ttl, earlier resignations no longer count.
    pub(super) fn term_ends(&mut self, ttl: Duration, now: Moment) {
        if self.led_since + ttl <= now {
            self.resignations = 0;
        }
    }

    /// Starts the hold-off of a leadership that was given up just now.
    pub(super) fn start_hold_off(&mut self, now: Moment) {
        if let Some(time) = self.to_hold_off.take() {
            self.held_off_until = now + time;
        }
    }

    /// Lets the hold-off count from the command, because there is no leadership to give up.
    pub(super) fn hold_off_has_begun(&mut self) {
        self.to_hold_off = None;
    }

    pub(super) fn resume(&mut self) {
        self.paused = false;
        self.held_off_until = Moment::default();
        self.to_hold_off = None;
        self.resignations = 0;
    }
}
