use std::collections::VecDeque;

use crate::{clock::Moment, timing::Timing};

/// Limits the requests over any ttl to four times those of an undisturbed candidate, also if the store refuses
/// at once, and right after an outage.
///
/// It never delays a renewal that is due, nor the first and the last retry of one that failed. Bids leave a part
/// of it to releases, because other candidates may be waiting for them.
#[derive(Debug, Default)]
pub(super) struct RequestBudget {
    sent: VecDeque<SentBatch>,
}

/// Requests that were sent shortly after each other. All count as if they were sent with the last one, so the
/// limit is never exceeded.
#[derive(Clone, Copy, Debug)]
struct SentBatch {
    first: Moment,
    last: Moment,
    count: usize,
}

/// If more requests than this are allowed over a ttl, the ttl is divided into this many parts, and the requests
/// of one part are kept as one batch.
const PARTS: u32 = 64;

impl RequestBudget {
    fn most(timing: &Timing) -> usize {
        let every = timing
            .poll_every()
            .min(timing.renew_every())
            .as_nanos()
            .max(1);
        let most = usize::try_from(timing.ttl().as_nanos() * 4 / every).unwrap_or(usize::MAX);
        // On a 32-bit target three times this must not overflow.
        most.min(usize::MAX / 3)
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

    /// From when on a bid or a read may be sent.
    pub(super) fn bid_at(&self, timing: &Timing) -> Moment {
        self.room_at(Self::most(timing) * 3 / 4, timing)
    }

    /// From when on a renewal that has failed more than once may be retried. It leaves room for the first and the last
    /// retry of the next renewal, which do not wait.
    pub(super) fn retry_at(&self, timing: &Timing) -> Moment {
        self.room_at(Self::most(timing).saturating_sub(2).max(1), timing)
    }

    /// How many requests may be sent now.
    pub(super) fn room(&self, timing: &Timing, now: Moment) -> usize {
        let begin = now - timing.ttl();
        let recent = self.sent.iter().filter(|sent| begin < sent.last);
        let count = recent.map(|sent| sent.count).sum();
        Self::most(timing).saturating_sub(count)
    }

    /// From when on the ttl before contains fewer requests than this.
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
