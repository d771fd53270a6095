use std::time::Duration;

use crate::{clock::Moment, timing::Timing};

/// The limits of an acquisition that hold however often it is renewed.
#[derive(Clone, Copy, Debug)]
pub(super) struct HoldLimits {
    /// When the acquisition ends at the latest.
    pub(super) ends_at: Option<Moment>,
    /// Until when no other candidate may acquire the lease.
    pub(super) kept_until: Moment,
}

impl HoldLimits {
    /// The deadline that a request sent at this moment gives.
    pub(super) fn deadline(&self, timing: &Timing, sent_at: Moment) -> Moment {
        let mut margin = timing.margin();
        if mutant!(NoMargin) {
            margin = Duration::ZERO;
        }
        let deadline = sent_at + (timing.ttl() - margin);
        let mut ends_at = self.ends_at;
        if mutant!(MaxHoldIgnored) {
            ends_at = None;
        }
        ends_at.map_or(deadline, |ends_at| ends_at.min(deadline))
    }
}
