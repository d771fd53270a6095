use std::time::Duration;

use crate::{
    clock::Moment,
    duration::human,
    election::{Config, StepDownOutcome},
    leadership::{Leadership, Reason},
    lease::{CandidateId, FencingToken},
    store::LeaseStore,
};

/// Writes the events of one lock to `tracing`. Names and fields are stable, and listed in the crate's
/// documentation.
///
/// Moments are nanoseconds of the lock's clock, so that you can compare the logs of several processes of one
/// host. A token is believed in from its first `tenure.lease_extended` until `tenure.lease_ended`, or until
/// its last `deadline` if there is no such event. These intervals of different tokens never overlap.
#[derive(Debug, Default)]
pub(crate) struct LeaseEvents {
    /// The present term and its deadline, as last logged.
    term: Option<(Leadership, Moment)>,
    /// The token of the last other leader that was logged.
    followed: Option<FencingToken>,
}

impl LeaseEvents {
    pub(crate) fn started(config: &Config, store: &dyn LeaseStore) {
        let (kind, location) = (store.kind(), store.location());
        lock_event!(
            info,
            "tenure.lock_started",
            config,
            store = kind,
            location,
            "contending for {} in {kind} {location}",
            config.resource
        );
    }

    /// Logs the outcome of a step-down, a pause or a shutdown.
    pub(crate) fn ended_on_purpose(config: &Config, outcome: StepDownOutcome) {
        match outcome {
            StepDownOutcome::NotLeading => {}
            StepDownOutcome::Released => lock_event!(
                info,
                "tenure.lease_released",
                config,
                "the lease was released"
            ),
            StepDownOutcome::LeftToExpire => lock_event!(
                warn,
                "tenure.lease_left_to_expire",
                config,
                ttl = %human(config.timing.ttl()),
                "the lease was not released: if the store still has it, nobody else leads until it expires, \
                 up to one ttl from now"
            ),
        }
    }

    pub(crate) fn became_leader(config: &Config, token: FencingToken) {
        lock_event!(
            info,
            "tenure.became_leader",
            config,
            token = token.get(),
            "became leader"
        );
    }

    pub(crate) fn became_follower(
        config: &Config,
        token: FencingToken,
        reason: &Reason,
        leader: Option<&CandidateId>,
        failing_for: Option<Duration>,
    ) {
        let leader = leader.map(tracing::field::display);
        let outage = of_outage(failing_for);
        let failing_for = failing_for.map(|time| tracing::field::display(human(time)));
        // `tracing` needs the level of an event as a constant.
        macro_rules! became_follower {
            ($level:ident) => {
                lock_event!(
                    $level,
                    "tenure.became_follower",
                    config,
                    token = token.get(),
                    reason = %reason,
                    leader,
                    failing_for,
                    "became follower: {reason}{outage}"
                )
            };
        }
        if reason.is_involuntary() {
            became_follower!(warn);
        } else {
            became_follower!(info);
        }
    }

    /// Logs which leader a lock follows, once for each leader.
    pub(crate) fn following(&mut self, config: &Config, leader: &CandidateId, token: FencingToken) {
        if self.followed.replace(token) != Some(token) {
            lock_event!(
                info,
                "tenure.following",
                config,
                leader = %leader,
                token = token.get(),
                "following {leader}"
            );
        }
    }

    pub(crate) fn lock_acquired(config: &Config, token: FencingToken) {
        lock_event!(
            debug,
            "tenure.lock_acquired",
            config,
            token = token.get(),
            "lock acquired"
        );
    }

    pub(crate) fn lock_lost(
        config: &Config,
        token: FencingToken,
        reason: &Reason,
        failing_for: Option<Duration>,
    ) {
        let outage = of_outage(failing_for);
        let failing_for = failing_for.map(|time| tracing::field::display(human(time)));
        lock_event!(
            warn,
            "tenure.lock_lost",
            config,
            token = token.get(),
            reason = %reason,
            failing_for,
            "lock lost: {reason}{outage}"
        );
    }

    /// Logs the deadline of the present term if it is new, and the end of the last term. Call it before the
    /// next request is sent, so that the log has the end of a term before its release is sent.
    pub(crate) fn follow(
        &mut self,
        config: &Config,
        term: Option<(&Leadership, Moment)>,
        now: Moment,
    ) {
        if let Some((last, deadline)) = &self.term
            && term.is_none_or(|(present, _)| present != last)
        {
            // If the lease is left to expire, `is_current` stays true until the deadline.
            let ended_at = if last.is_current() {
                *deadline
            } else {
                now.min(*deadline)
            };
            lock_event!(
                debug,
                "tenure.lease_ended",
                config,
                token = last.token().get(),
                at = ended_at.as_nanos(),
                "lease ended"
            );
        }
        if let Some((present, deadline)) = term
            && self
                .term
                .as_ref()
                .is_none_or(|(last, known)| last != present || *known != deadline)
        {
            lock_event!(
                debug,
                "tenure.lease_extended",
                config,
                token = present.token().get(),
                at = now.as_nanos(),
                deadline = deadline.as_nanos(),
                "lease extended"
            );
        }
        self.term = term.map(|(present, deadline)| (present.clone(), deadline));
    }
}

/// Says in a message for how long the store has been failing, if it has.
fn of_outage(failing_for: Option<Duration>) -> String {
    failing_for.map_or_else(String::new, |time| {
        format!("; the store has been failing for {}", human(time))
    })
}
