use std::time::Duration;

use super::properties::{Property, Violation};
use crate::{
    clock::Moment,
    election::{Call, Election, ElectionState, Reply},
    lease::{AttemptId, CandidateId, FencingToken, ReleaseTarget},
};

/// The rules that one candidate must keep, judged by its commands and the replies that it received.
#[derive(Debug, Default)]
pub(super) struct CandidateChecks {
    paused: bool,
    held_off_until: Moment,
    last_bid: Option<Moment>,
    /// The last bid was refused because the holder, which was to hand over to this candidate, had not done so yet.
    is_next: bool,
    attempt: Option<Attempt>,
    /// The token last led, and the end of its `min_hold`.
    keeps: Option<(FencingToken, Moment)>,
}

/// The attempt of the last bid.
#[derive(Debug)]
struct Attempt {
    id: AttemptId,
    /// Its last bid is in flight.
    asked: bool,
    /// Since when no bid is in flight, while an earlier one may have been granted.
    unanswered_since: Option<Moment>,
    /// Its candidate did not contend while no bid was in flight.
    over: bool,
}

type CheckResult = Result<(), Violation>;

impl CandidateChecks {
    pub(super) fn pause(&mut self) {
        self.paused = true;
    }

    pub(super) fn step_down(&mut self, hold_off: Duration, now: Moment) {
        self.held_off_until = now + hold_off;
    }

    pub(super) fn resume(&mut self) {
        self.paused = false;
        self.held_off_until = Moment::default();
    }

    fn contends(&self, now: Moment) -> bool {
        !self.paused && self.held_off_until <= now
    }

    /// The candidate begins to lead.
    pub(super) fn leads(
        &mut self,
        token: FencingToken,
        keep: Duration,
        now: Moment,
    ) -> CheckResult {
        self.keeps = Some((token, now + keep));
        if self.contends(now) {
            return Ok(());
        }
        let text = format!("token {token} is led while paused or held off");
        Err(Violation::new(Property::NotWhilePaused, text))
    }

    /// The candidate sends a request; `floor` is the shortest time between two bids, except for a candidate
    /// to which the holder is handing over.
    pub(super) fn sends(
        &mut self,
        call: &Call,
        state: ElectionState,
        floor: Duration,
        now: Moment,
    ) -> CheckResult {
        self.nothing_under_way(now);
        match call {
            Call::Acquire(bid) => {
                self.waits_between_bids(floor, now)?;
                return self.bids(bid.attempt);
            }
            Call::Release(ReleaseTarget::Attempt { attempt, .. }, _) => {
                let given_back = self.attempt.as_mut().filter(|own| own.id == *attempt);
                if let Some(own) = given_back {
                    own.unanswered_since = None;
                }
            }
            Call::Release(ReleaseTarget::Lease(lease), _) => {
                return self.keeps(lease.token, now, "is released");
            }
            // The last renewal of a lease under `min_hold`: it is renewed until then.
            Call::Renew { lease, ttl } if !leads(state) => {
                return self.keeps(lease.token, now + *ttl, "is left to expire");
            }
            _ => {}
        }
        Ok(())
    }

    /// No request is in flight. A bid without a reply may have been granted, and the attempt of a candidate
    /// that does not contend ends.
    fn nothing_under_way(&mut self, now: Moment) {
        let contends = self.contends(now);
        if let Some(attempt) = &mut self.attempt {
            if std::mem::take(&mut attempt.asked) {
                attempt.unanswered_since = Some(now);
            }
            attempt.over |= !contends;
        }
    }

    fn waits_between_bids(&mut self, floor: Duration, now: Moment) -> CheckResult {
        match self.last_bid.replace(now) {
            Some(last) if last.until(now) < floor && !self.is_next => {
                let apart = last.until(now);
                let text = format!("two bids within {apart:?}, less than {floor:?}");
                Err(Violation::new(Property::Rate, text))
            }
            _ => Ok(()),
        }
    }

    fn bids(&mut self, id: AttemptId) -> CheckResult {
        let same = self.attempt.take().filter(|attempt| attempt.id == id);
        if same.as_ref().is_some_and(|same| same.over) {
            let text = format!("{id:?} is bid again although its candidate had stopped contending");
            return Err(Violation::new(Property::ReleasedWhenUnneeded, text));
        }
        self.attempt = Some(Attempt {
            id,
            asked: true,
            unanswered_since: same.and_then(|same| same.unanswered_since),
            over: false,
        });
        Ok(())
    }

    fn keeps(&self, token: FencingToken, free_at: Moment, what: &str) -> CheckResult {
        match self.keeps {
            Some((kept, until)) if kept == token && free_at < until => {
                let early = free_at.until(until);
                let text = format!("the lease of token {token} {what} {early:?} too early");
                Err(Violation::new(Property::MinHold, text))
            }
            _ => Ok(()),
        }
    }

    /// The candidate receives the reply to the request in flight.
    pub(super) fn receives_reply(&mut self, reply: &Reply, own: &CandidateId, now: Moment) {
        self.is_next = match reply {
            Reply::Refused(record) => {
                record.pause.is_none() && record.hand_over.as_ref() == Some(own)
            }
            _ => false,
        };
        let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.asked) else {
            return;
        };
        attempt.asked = false;
        match reply {
            Reply::Granted { .. } | Reply::Refused(_) => attempt.unanswered_since = None,
            Reply::Unknown => attempt.unanswered_since = Some(now),
            _ => {}
        }
    }

    /// Checks that the candidate releases what it may have been granted.
    pub(super) fn check(&mut self, election: &Election, ttl: Duration, now: Moment) -> CheckResult {
        if election.in_flight().is_some() {
            return Ok(());
        }
        self.nothing_under_way(now);
        let Some(attempt) = &self.attempt else {
            return Ok(());
        };
        // After a ttl, a grant has expired.
        let unheard = attempt.unanswered_since;
        let due = attempt.over && unheard.is_some_and(|since| now < since + ttl);
        if due && election.poll_timeout().is_none() {
            let text = format!("what may have been granted is not released: {attempt:?}");
            return Err(Violation::new(Property::ReleasedWhenUnneeded, text));
        }
        Ok(())
    }
}

fn leads(state: ElectionState) -> bool {
    matches!(state, ElectionState::Leading | ElectionState::Yielding)
}
