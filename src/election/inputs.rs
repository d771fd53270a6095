use std::time::Duration;

use super::{
    Election, Phase, RecordEvent, Reply, RequestId, StepDownOutcome, SubscriberState,
    in_flight::Kind,
};
use crate::{clock::Moment, leadership::Reason};

/// What the driver tells the election. Every input checks the deadline before anything else.
impl Election {
    /// Takes the answer to a request, however late it is.
    pub(crate) fn handle_reply(
        &mut self,
        id: RequestId,
        sent_at: Moment,
        reply: Reply,
        now: Moment,
    ) {
        self.check_deadline(now);
        let answered = self.in_flight.take_if(|request| request.id == id);
        match answered {
            Some(request) => match request.kind {
                Kind::Acquire => self.bid_answered(sent_at, reply, now),
                Kind::Renew => self.renewal_answered(sent_at, reply, now),
                Kind::Release => self.release_answered(&reply, now),
                Kind::Read => {}
            },
            None => {
                if let Reply::Granted { token } = reply {
                    self.late_grant(id, token, now);
                }
            }
        }
        self.settle(now);
    }

    /// Does what is due. You may call it at any time.
    pub(crate) fn handle_timeout(&mut self, now: Moment) {
        self.advance(now);
    }

    /// Takes an event that the store has pushed.
    ///
    /// A follower looks soon. A leader renews soon, because the event may be an instruction or an eviction; its own
    /// renewals cause none.
    pub(crate) fn handle_change(&mut self, change: RecordEvent, now: Moment) {
        self.advance(now);
        let timing = self.config.timing;
        let looking = (self.in_flight.as_ref())
            .is_some_and(|request| matches!(request.kind, Kind::Acquire | Kind::Read));
        match change {
            RecordEvent::Acquired { ttl } if !looking => {
                self.bid_schedule.taken(&timing, &mut self.rng, ttl, now);
            }
            RecordEvent::Acquired { .. } => {}
            RecordEvent::Changed => {
                self.bid_schedule
                    .event(&timing, &mut self.rng, looking, now);
            }
            RecordEvent::Lost => {
                self.bid_schedule.events_lost(&timing, &mut self.rng, now);
            }
        }
        if let (RecordEvent::Changed, Phase::Leading(term)) = (change, &mut self.phase) {
            term.renew_soon(&timing, &self.request_budget, now);
        }
    }

    /// Takes an invitation to renew now, together with other leases of the store.
    pub(crate) fn renew_early(&mut self, now: Moment) {
        self.advance(now);
        let timing = self.config.timing;
        if let Some(term) = self.phase.renewing() {
            term.renew_early(&timing, now);
        }
    }

    /// Takes whether the store pushes its changes now. If not, a follower polls.
    pub(crate) fn set_pushed(&mut self, pushed: bool, now: Moment) {
        self.advance(now);
        self.bid_schedule
            .set_pushed(&self.config.timing, &mut self.rng, pushed, now);
    }

    /// Stops leading, and does not contend until `hold_off` after the lease was given up.
    pub(crate) fn step_down(&mut self, hold_off: Duration, now: Moment) {
        self.check_deadline(now);
        self.eligibility.hold_off(hold_off, now);
        self.command(Reason::SteppedDown, now);
    }

    /// Stops leading because the holder cannot do its work. Does nothing while it does not lead, and for a mutex.
    pub(crate) fn resign(&mut self, hold_off: Duration, now: Moment) {
        self.check_deadline(now);
        if matches!(self.phase, Phase::Leading(_)) && !self.options.is_mutex {
            let ttl = self.config.timing.ttl();
            self.eligibility.resign(hold_off, ttl, now);
            self.yield_term(Reason::Resigned, true, now);
        }
        self.settle(now);
    }

    /// Stops leading, and does not contend until [`resume`](Self::resume).
    pub(crate) fn pause(&mut self, now: Moment) {
        self.check_deadline(now);
        self.eligibility.paused = true;
        self.command(Reason::Paused, now);
    }

    /// Contends again, also after a step-down.
    pub(crate) fn resume(&mut self, now: Moment) {
        self.check_deadline(now);
        self.eligibility.resume();
        self.settle(now);
    }

    /// Stops leading, and never contends again.
    pub(crate) fn shutdown(&mut self, now: Moment) {
        self.check_deadline(now);
        self.eligibility.shut_down = true;
        self.command(Reason::Shutdown, now);
    }

    /// No work has run under the present leadership, so `min_hold` does not apply.
    pub(crate) fn waive_min_hold(&mut self) {
        if let Some(term) = self.phase.term() {
            term.waive_min_hold();
        }
    }

    /// Takes the state of the subscribers.
    pub(crate) fn subscribers_changed(&mut self, subscriber_state: SubscriberState, now: Moment) {
        self.check_deadline(now);
        self.eligibility.subscriber_state = subscriber_state;
        // An acknowledgement does not count for transitions that are not delivered yet.
        let mut stands = self.transitions.is_empty();
        if mutant!(EarlyAcknowledgementCounts) {
            stands = true;
        }
        self.eligibility.subscriber_state.acknowledged &= stands;
        if !subscriber_state.present {
            self.yield_term(Reason::SteppedDown, true, now);
        }
        self.settle(now);
    }

    /// Sets whether to read the record while not contending, for observers of the leader.
    pub(crate) fn observe(&mut self, observed: bool) {
        self.eligibility.observed = observed;
    }

    /// Checks the deadline first, then whether the request in flight has timed out.
    pub(super) fn advance(&mut self, now: Moment) {
        self.check_deadline(now);
        if let Some(request) = self.in_flight.take_if(|request| request.give_up_at <= now) {
            let (id, sent_at) = (request.id, request.sent_at);
            self.in_flight = Some(request);
            self.handle_reply(id, sent_at, Reply::Unknown, now);
        }
        self.settle(now);
    }

    /// Carries out a command to stop leading.
    fn command(&mut self, reason: Reason, now: Moment) {
        if matches!(self.phase, Phase::Following) {
            self.eligibility.hold_off_has_begun();
            if !self.releases.has_own() {
                self.outcome = StepDownOutcome::NotLeading;
            }
        } else if self.has_given_up() && self.is_settled() {
            // The command that began this has completed.
            self.outcome = StepDownOutcome::NotLeading;
        }
        self.yield_term(reason, true, now);
        self.settle(now);
    }
}
