use crate::{
    clock::Moment,
    duration::human,
    election::{Config, StepDownOutcome},
    leadership::{Leadership, Reason},
    lease::{CandidateId, FencingToken},
    store::LeaseStore,
};

/// What a lock writes to `tracing`; names and fields are stable and listed in the crate's
/// documentation.
///
/// Moments are nanoseconds of the lock's clock, so that the logs of several processes of one host can
/// be laid side by side: the times from `tenure.lease_extended` (its first) to its last `deadline`, or
/// to `tenure.lease_ended`, of different tokens never overlap.
#[derive(Debug, Default)]
pub(crate) struct LeaseEvents {
    term: Option<(Leadership, Moment)>,
    /// The last token of another that was followed.
    followed: Option<FencingToken>,
}

impl LeaseEvents {
    pub(crate) fn started(config: &Config, store: &dyn LeaseStore) {
        let (kind, location) = (store.kind(), store.location());
        event!(
            info,
            "tenure.lock_started",
            resource = %config.resource,
            candidate = %config.candidate,
            store = kind,
            location,
            "contending for {} in {kind} {location}", config.resource
        );
    }

    /// How a step-down, a pause or a shutdown has come out.
    pub(crate) fn ended_on_purpose(config: &Config, outcome: StepDownOutcome) {
        match outcome {
            StepDownOutcome::NotLeading => {}
            StepDownOutcome::Released => event!(
                info,
                "tenure.lease_released",
                resource = %config.resource,
                candidate = %config.candidate,
                "the lease was released"
            ),
            StepDownOutcome::LeftToExpire => event!(
                warn,
                "tenure.lease_left_to_expire",
                resource = %config.resource,
                candidate = %config.candidate,
                ttl = %human(config.timing.ttl()),
                "the lease was not released: nobody else leads until it expires, up to one ttl from now"
            ),
        }
    }

    pub(crate) fn became_leader(config: &Config, token: FencingToken) {
        event!(
            info,
            "tenure.became_leader",
            resource = %config.resource,
            candidate = %config.candidate,
            token = token.get(),
            "became leader"
        );
    }

    pub(crate) fn became_follower(
        config: &Config,
        token: FencingToken,
        reason: &Reason,
        leader: Option<&CandidateId>,
    ) {
        let leader = leader.map(tracing::field::display);
        // The level is a constant of the event.
        macro_rules! became_follower {
            ($level:ident) => {
                event!(
                    $level,
                    "tenure.became_follower",
                    resource = %config.resource,
                    candidate = %config.candidate,
                    token = token.get(),
                    reason = %reason,
                    leader,
                    "became follower: {reason}"
                )
            };
        }
        if reason.is_involuntary() {
            became_follower!(warn);
        } else {
            became_follower!(info);
        }
    }

    /// Says whom a lock follows, once for each leader.
    pub(crate) fn following(&mut self, config: &Config, leader: &CandidateId, token: FencingToken) {
        if self.followed.replace(token) != Some(token) {
            event!(
                info,
                "tenure.following",
                resource = %config.resource,
                candidate = %config.candidate,
                leader = %leader,
                token = token.get(),
                "following {leader}"
            );
        }
    }

    pub(crate) fn lock_acquired(config: &Config, token: FencingToken) {
        event!(
            debug,
            "tenure.lock_acquired",
            resource = %config.resource,
            candidate = %config.candidate,
            token = token.get(),
            "lock acquired"
        );
    }

    pub(crate) fn lock_lost(config: &Config, token: FencingToken, reason: &Reason) {
        event!(
            warn,
            "tenure.lock_lost",
            resource = %config.resource,
            candidate = %config.candidate,
            token = token.get(),
            reason = %reason,
            "lock lost: {reason}"
        );
    }

    /// Writes down how far the present term reaches, and that the last one has ended. Called before
    /// the next request is sent, so that an end stands in the log before a release is under way.
    pub(crate) fn follow(
        &mut self,
        config: &Config,
        term: Option<(&Leadership, Moment)>,
        now: Moment,
    ) {
        if let Some((last, deadline)) = &self.term
            && term.is_none_or(|(present, _)| present != last)
        {
            // A lease left to expire is believed in until its deadline.
            let ended_at = if last.is_current() {
                *deadline
            } else {
                now.min(*deadline)
            };
            event!(
                debug,
                "tenure.lease_ended",
                resource = %config.resource,
                candidate = %config.candidate,
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
            event!(
                debug,
                "tenure.lease_extended",
                resource = %config.resource,
                candidate = %config.candidate,
                token = present.token().get(),
                at = now.as_nanos(),
                deadline = deadline.as_nanos(),
                "lease extended"
            );
        }
        self.term = term.map(|(present, deadline)| (present.clone(), deadline));
    }
}
