use std::time::Duration;

use crate::{
    clock::Moment,
    duration::human,
    election::{Config, Election, ElectionState, IdleReason},
};

/// The subscriber whose acknowledgement has been awaited longest.
#[derive(Clone, Copy, Debug)]
pub(super) struct LongestUnacknowledged {
    /// The type of the actor.
    pub(super) actor: &'static str,
    /// Which message it has not acknowledged.
    pub(super) message: &'static str,
    pub(super) since: Moment,
    /// How many subscribers have something to acknowledge.
    pub(super) subscribers: usize,
}

/// Warns of subscribers that do not acknowledge: when one is slow, when its acknowledgement is no longer
/// awaited, and when the lock does not contend because of it. Each once, until all have acknowledged.
#[derive(Debug, Default)]
pub(super) struct SlowSubscriberWarning {
    warn_at: Option<Moment>,
    slow: bool,
    given_up: bool,
    not_contending: bool,
}

impl SlowSubscriberWarning {
    pub(super) fn warn_at(&self) -> Option<Moment> {
        self.warn_at
    }

    pub(super) fn check(
        &mut self,
        awaited: Option<LongestUnacknowledged>,
        election: &Election,
        now: Moment,
    ) {
        let Some(awaited) = awaited else {
            *self = Self::default();
            return;
        };
        let config = election.config();
        let timing = &config.timing;
        let waiting_for = awaited.since.until(now);
        let limit = if timing.yield_for().is_zero() {
            timing.ttl()
        } else {
            timing.yield_for()
        };
        if !self.slow && self.is_due(awaited.since + limit / 4, now) {
            self.slow = true;
            slow(config, &awaited, waiting_for);
        }
        let gives_up = election.has_given_up() && !timing.yield_for().is_zero();
        if gives_up && !self.given_up {
            self.given_up = true;
            given_up(config, &awaited, waiting_for);
        }
        // A lease that was left to expire cannot be acquired for a ttl anyway.
        let limit = if election.has_given_up() {
            limit + timing.ttl()
        } else {
            limit
        };
        let idle = ElectionState::Idle(IdleReason::AwaitingAcknowledgement);
        if self.slow && !self.not_contending && self.is_due(awaited.since + limit, now) {
            self.not_contending = election.state(now) == idle;
            if self.not_contending {
                not_contending(config, &awaited, waiting_for);
            }
        }
    }

    /// Whether this moment has come. If not, the next check is then.
    fn is_due(&mut self, at: Moment, now: Moment) -> bool {
        self.warn_at = (now < at).then_some(at);
        self.warn_at.is_none()
    }
}

/// Writes a warning of a subscriber, with the fields that all of them have.
macro_rules! subscriber_event {
    ($name:literal, $config:ident, $awaited:ident, $waiting_for:ident, $($message:tt)+) => {
        lock_event!(
            warn,
            $name,
            $config,
            actor = $awaited.actor,
            awaits = $awaited.message,
            waiting_for = %human($waiting_for),
            subscribers = $awaited.subscribers,
            $($message)+
        )
    };
}

fn slow(config: &Config, awaited: &LongestUnacknowledged, waiting_for: Duration) {
    subscriber_event!(
        "tenure.subscriber_slow",
        config,
        awaited,
        waiting_for,
        "{} has not acknowledged {} for {}: its handler has not completed",
        awaited.actor,
        awaited.message,
        human(waiting_for)
    );
}

fn given_up(config: &Config, awaited: &LongestUnacknowledged, waiting_for: Duration) {
    subscriber_event!(
        "tenure.subscriber_given_up",
        config,
        awaited,
        waiting_for,
        "{} has not acknowledged {} in time: the lease is left to expire",
        awaited.actor,
        awaited.message
    );
}

fn not_contending(config: &Config, awaited: &LongestUnacknowledged, waiting_for: Duration) {
    subscriber_event!(
        "tenure.not_contending",
        config,
        awaited,
        waiting_for,
        "this process does not contend until {} has acknowledged {}, which it has not for {}",
        awaited.actor,
        awaited.message,
        human(waiting_for)
    );
}
