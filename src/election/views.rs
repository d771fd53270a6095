use super::{
    Config, EarlyRenewal, Election, ElectionState, IdleReason, Phase, RequestId, StepDownOutcome,
    in_flight::Kind,
};
use crate::{clock::Moment, leadership::Leadership};

/// What the driver may read.
impl Election {
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn state(&self, now: Moment) -> ElectionState {
        match &self.phase {
            Phase::Leading(_) => ElectionState::Leading,
            // The lease is left to expire. Only the acknowledgement is missing.
            Phase::Yielding(_) if self.has_given_up() => {
                let reason = self.eligibility.idle_reason(now);
                ElectionState::Idle(reason.unwrap_or(IdleReason::AwaitingAcknowledgement))
            }
            Phase::Yielding(_) => ElectionState::Yielding,
            Phase::Following => match self.eligibility.idle_reason(now) {
                Some(reason) => ElectionState::Idle(reason),
                None => ElectionState::Standby,
            },
        }
    }

    /// The leadership of the present term, if it leads.
    pub(crate) fn leadership(&self) -> Option<&Leadership> {
        match &self.phase {
            Phase::Leading(term) => Some(term.leadership()),
            _ => None,
        }
    }

    /// The term whose lease is held, also while it yields, and its deadline.
    pub(crate) fn term(&self) -> Option<(&Leadership, Moment)> {
        let term = match &self.phase {
            Phase::Leading(term) => term,
            Phase::Yielding(yielding) => &yielding.term,
            Phase::Following => return None,
        };
        Some((term.leadership(), term.deadline()?))
    }

    /// When the lease may be renewed early, together with others; `None` if there is nothing to renew, or a request is in
    /// flight.
    pub(crate) fn early_renewal(&self) -> Option<EarlyRenewal> {
        let term = match &self.phase {
            Phase::Leading(term) => term,
            Phase::Yielding(yielding) => yielding.renewed_term()?,
            Phase::Following => return None,
        };
        let idle = self.in_flight.is_none();
        idle.then(|| term.early_renewal(&self.config.timing))?
    }

    /// When the last confirmed grant or renewal of the present term was sent.
    pub(crate) fn confirmed_at(&self) -> Option<Moment> {
        match &self.phase {
            Phase::Leading(term) => Some(term.confirmed_at),
            _ => None,
        }
    }

    /// Whether the next bid is reentrant, because the candidate's own id holds the lease.
    pub(crate) fn reenters(&self) -> bool {
        self.reenters
    }

    pub(crate) fn in_flight(&self) -> Option<(RequestId, Moment)> {
        self.in_flight
            .as_ref()
            .map(|request| (request.id, request.sent_at))
    }

    /// Whether everything that a command has begun is complete.
    pub(crate) fn is_settled(&self) -> bool {
        let busy = (self.in_flight.as_ref()).is_some_and(|request| request.kind != Kind::Read);
        let leading = match &self.phase {
            Phase::Following => false,
            Phase::Leading(_) => true,
            Phase::Yielding(yielding) => !yielding.is_over,
        };
        !leading && self.releases.is_empty() && !busy
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        self.eligibility.shut_down && self.is_settled()
    }

    /// Whether the subscribers did not acknowledge the end of a leadership in time.
    pub(crate) fn has_given_up(&self) -> bool {
        matches!(&self.phase, Phase::Yielding(yielding) if yielding.is_over)
    }

    pub(crate) fn has_transitions(&self) -> bool {
        !self.transitions.is_empty()
    }

    /// The outcome of the last command to stop leading. Read it once the election
    /// [is settled](Self::is_settled).
    pub(crate) fn outcome(&self) -> StepDownOutcome {
        self.outcome
    }
}
