use std::collections::VecDeque;

use crate::{clock::Moment, timing::Timing};

/// How many requests may be sent over any ttl: four times what an undisturbed candidate sends, also
/// to a store that refuses at once, and right after an outage.
///
/// Renewals are spaced so that they keep to it by themselves, and are never held up. Bids leave some of
/// it to releases, which others may be waiting for.
#[derive(Debug, Default)]
pub(super) struct Budget {
    sent: VecDeque<Moment>,
}

impl Budget {
    fn most(timing: &Timing) -> usize {
        let every = timing
            .poll_every()
            .min(timing.renew_every())
            .as_nanos()
            .max(1);
        usize::try_from(timing.ttl().as_nanos() * 4 / every).unwrap_or(usize::MAX)
    }

    pub(super) fn spend(&mut self, timing: &Timing, now: Moment) {
        let begin = now - timing.ttl();
        while self.sent.front().is_some_and(|sent| *sent <= begin) {
            self.sent.pop_front();
        }
        self.sent.push_back(now);
    }

    /// From when on a release may be sent.
    pub(super) fn release_at(&self, timing: &Timing) -> Moment {
        self.room_at(Self::most(timing), timing)
    }

    /// From when on a bid may be sent, or a look.
    pub(super) fn bid_at(&self, timing: &Timing) -> Moment {
        self.room_at(Self::most(timing) * 3 / 4, timing)
    }

    /// When fewer than this many lie in the ttl before.
    fn room_at(&self, most: usize, timing: &Timing) -> Moment {
        let oldest = self.sent.len().checked_sub(most);
        let oldest = oldest.and_then(|index| self.sent.get(index));
        oldest.map_or(Moment::default(), |sent| *sent + timing.ttl())
    }
}
