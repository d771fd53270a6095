use super::{Call, Election, InFlight, Phase, Request, RequestId, Transition, in_flight::Kind};
use crate::{
    clock::Moment,
    lease::{AttemptId, FencingToken},
};

/// What the election asks of its driver.
impl Election {
    /// The next change to deliver to the subscribers. After the delivery, call
    /// [`subscribers_changed`](Self::subscribers_changed).
    pub(crate) fn poll_transition(&mut self) -> Option<Transition> {
        self.transitions.pop_front()
    }

    /// The token of a lease that another process with this candidate's id holds. It comes once for each token.
    pub(crate) fn poll_same_candidate(&mut self) -> Option<FencingToken> {
        self.own_id.take_found()
    }

    /// The request to send now, if any. At most one is in flight.
    pub(crate) fn poll_request(&mut self, now: Moment) -> Option<Request> {
        self.advance(now);
        if self.in_flight.is_some() {
            return None;
        }
        let timing = self.config.timing;
        let renewal = self
            .phase
            .renewing()
            .and_then(|term| term.renewal(&timing, now));
        if let Some((lease, give_up_at)) = renewal {
            let ttl = timing.ttl();
            let call = Call::Renew { lease, ttl };
            return Some(self.send(Kind::Renew, None, call, now, give_up_at));
        }
        let limit = self.limit_before_renewal(now)?;
        if self.request_budget.release_at(&timing) <= now
            && let Some(call) = self.releases.due(self.options.min_ttl, now)
        {
            return Some(self.send(Kind::Release, None, call, now, limit));
        }
        let may_ask = self.request_budget.bid_at(&timing) <= now;
        let following = matches!(self.phase, Phase::Following);
        let may_bid = following && may_ask && self.releases.is_empty();
        if may_bid && self.contends(now) && self.bid_schedule.next_bid <= now {
            if let Some(bid) = self.bid() {
                let attempt = Some(bid.attempt);
                self.bid_schedule.bid(&timing, now);
                return Some(self.send(Kind::Acquire, attempt, Call::Acquire(bid), now, limit));
            }
            self.bid_schedule.failed(&timing, &mut self.rng, now);
        }
        let leading = matches!(self.phase, Phase::Leading(_));
        if self.eligibility.observed && !leading && may_ask && self.bid_schedule.next_read <= now {
            self.bid_schedule.read(&timing, &mut self.rng, now);
            let call = Call::Read(self.config.resource.clone());
            return Some(self.send(Kind::Read, None, call, now, limit));
        }
        None
    }

    /// Until when to wait for a request that is sent now and is no renewal, so that it delays none: only one is in
    /// flight at a time. `None` if the next renewal is due so soon that the request comes after it.
    fn limit_before_renewal(&mut self, now: Moment) -> Option<Moment> {
        let timing = self.config.timing;
        let limit = now + timing.call_timeout();
        let renewal_at = self.phase.renewing().map(|term| term.renewal_at());
        let Some(renewal_at) = renewal_at else {
            return Some(limit);
        };
        let least = timing.call_timeout().min(timing.renew_every()) / 4;
        if now + least <= renewal_at {
            return Some(limit.min(renewal_at));
        }
        self.releases.postpone(renewal_at);
        self.bid_schedule.postpone_read(renewal_at);
        None
    }

    /// Whether the request that is due now, if there is one, is no renewal. It may wait until others have been answered.
    pub(crate) fn needs_turn(&mut self, now: Moment) -> bool {
        self.in_flight.is_none()
            && self.phase.renewing().is_none()
            && self.poll_timeout().is_some_and(|due| due <= now)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) and [`poll_request`](Self::poll_request) at the
    /// latest.
    pub(crate) fn poll_timeout(&self) -> Option<Moment> {
        let idle = self.in_flight.is_none();
        let reply = self.in_flight.as_ref().map(|request| request.give_up_at);
        let timing = &self.config.timing;
        let may_ask = self.request_budget.bid_at(timing);
        let read =
            (idle && self.eligibility.observed).then_some(self.bid_schedule.next_read.max(may_ask));
        let phase = match &self.phase {
            Phase::Leading(term) => Some(term.next(idle)),
            Phase::Yielding(yielding) => yielding.next(idle).into_iter().chain(read).min(),
            Phase::Following => {
                let opens_at = self.eligibility.opens_at().filter(|_| idle);
                let bid = opens_at.map(|opens| opens.max(self.bid_schedule.next_bid).max(may_ask));
                let bid = bid.filter(|_| self.releases.is_empty());
                bid.into_iter().chain(read).min()
            }
        };
        let release = self.releases.next().filter(|_| idle);
        let release = release.map(|next| next.max(self.request_budget.release_at(timing)));
        reply.into_iter().chain(phase).chain(release).min()
    }

    fn send(
        &mut self,
        kind: Kind,
        attempt: Option<AttemptId>,
        call: Call,
        sent_at: Moment,
        give_up_at: Moment,
    ) -> Request {
        self.requests += 1;
        self.request_budget.spend(&self.config.timing, sent_at);
        let number = self.requests;
        let id = RequestId { number, attempt };
        self.in_flight = Some(InFlight {
            id,
            sent_at,
            give_up_at,
            kind,
        });
        Request {
            id,
            sent_at,
            give_up_at,
            call,
        }
    }
}
