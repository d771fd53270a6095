use std::collections::VecDeque;

use crate::{clock::Moment, timing::Timing};

/// How many requests may be sent over any ttl: four times what an undisturbed candidate sends, also
/// to a store that refuses at once, and right after an outage.
///
/// It never holds a due renewal up, but spaces out the tries after one that failed. Bids leave some of
/// it to releases, which others may be waiting for.
#[derive(Debug, Default)]
pub(super) struct RequestBudget {
    sent: VecDeque<SentBatch>,
}

/// Requests that were sent shortly after each other. All count as if they were sent with the last, so
/// that never too many are allowed.
#[derive(Clone, Copy, Debug)]
struct SentBatch {
    first: Moment,
    last: Moment,
    count: usize,
}

/// Where more requests than this are allowed over a ttl, those of this part of it are kept as one.
const PARTS: u32 = 64;

impl RequestBudget {
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
        while self.sent.front().is_some_and(|sent| sent.last <= begin) {
            self.sent.pop_front();
        }
        let coarse = Self::most(timing) > PARTS as usize;
        let part = timing.ttl() / PARTS;
        match self.sent.back_mut() {
            Some(sent) if coarse && now < sent.first + part => {
                sent.last = now;
                sent.count += 1;
            }
            _ => self.sent.push_back(SentBatch {
                first: now,
                last: now,
                count: 1,
            }),
        }
    }

    /// From when on a release may be sent.
    pub(super) fn release_at(&self, timing: &Timing) -> Moment {
        self.room_at(Self::most(timing), timing)
    }

    /// From when on a bid may be sent, or a look.
    pub(super) fn bid_at(&self, timing: &Timing) -> Moment {
        self.room_at(Self::most(timing) * 3 / 4, timing)
    }

    /// From when on a renewal may be tried again that has failed more than once.
    pub(super) fn retry_at(&self, timing: &Timing) -> Moment {
        self.release_at(timing)
    }

    /// How many requests may follow at once.
    pub(super) fn room(&self, timing: &Timing, now: Moment) -> usize {
        let begin = now - timing.ttl();
        let recent = self.sent.iter().filter(|sent| begin < sent.last);
        let count = recent.map(|sent| sent.count).sum();
        Self::most(timing).saturating_sub(count)
    }

    /// When fewer than this many lie in the ttl before.
    fn room_at(&self, most: usize, timing: &Timing) -> Moment {
        let mut count = 0;
        let filling = self.sent.iter().rev().find(|sent| {
            count += sent.count;
            count >= most
        });
        filling.map_or(Moment::default(), |sent| sent.last + timing.ttl())
    }
}

#[cfg(test)]
mod tests;
