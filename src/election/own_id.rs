use crate::{
    clock::Moment,
    lease::{CandidateId, FencingToken, LeaseRecord},
    timing::Timing,
};

/// Finds out whether another process contends with this candidate's id.
///
/// It does if a lease under this id is renewed and this candidate was never granted it. A lease that is not renewed
/// may be of this process before it restarted, or of an attempt whose reply was lost.
#[derive(Debug, Default)]
pub(super) struct OwnId {
    /// The largest token that this candidate was granted.
    granted: Option<FencingToken>,
    /// Until when an attempt of this candidate may hold the lease although no grant was seen.
    maybe_granted_until: Moment,
    /// A lease under this id, and when it expires if it is not renewed.
    seen: Option<(FencingToken, Moment)>,
    /// The last token that was reported.
    reported: Option<FencingToken>,
    /// A token to report.
    found: Option<FencingToken>,
}

impl OwnId {
    pub(super) fn granted(&mut self, token: FencingToken) {
        self.granted = self.granted.max(Some(token));
    }

    /// A bid was not answered: it may be granted, now or later.
    pub(super) fn unanswered(&mut self, timing: &Timing, now: Moment) {
        self.maybe_granted_until = now + timing.ttl() + timing.call_timeout();
    }

    /// A bid was refused by this record.
    pub(super) fn refused(
        &mut self,
        record: &LeaseRecord,
        own: &CandidateId,
        timing: &Timing,
        now: Moment,
    ) {
        let held = record.is_held() && record.holder.as_ref() == Some(own);
        let plain = !record.closing && record.pause.is_none();
        let other = Some(record.token) > self.granted && self.maybe_granted_until <= now;
        if !held || !plain || !other {
            self.seen = None;
            return;
        }
        let expires_at = now + record.remaining;
        match self.seen {
            Some((token, before)) if token == record.token => {
                // The reply may have been on its way for as long as a call takes.
                let renewed = expires_at > before + timing.call_timeout();
                if renewed && self.reported.replace(token) != Some(token) {
                    self.found = Some(token);
                }
            }
            _ => self.seen = Some((record.token, expires_at)),
        }
    }

    /// The token of a lease that another process with this id holds, once for each token.
    pub(super) fn take_found(&mut self) -> Option<FencingToken> {
        self.found.take()
    }
}
