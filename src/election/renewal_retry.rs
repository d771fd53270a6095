use std::time::Duration;

use crate::timing::Timing;

/// A renewal that has failed and is tried again. The next try lies before the deadline, each time a little later,
/// and leaves room for one more.
///
/// The first tries follow each other quickly, if the budget then still has room for steady tries until the
/// deadline. If it has not, the tries that it has room for are spread over the time that is left.
#[derive(Clone, Copy, Debug)]
pub(super) struct RenewalRetry {
    /// Failed tries before this one.
    pub(super) failures: u32,
    /// The time until the deadline.
    pub(super) left: Duration,
    /// How many requests the budget still allows.
    pub(super) room: usize,
}

/// How many tries may follow each other quickly.
const QUICK_TRIES: u32 = 3;

/// The least time between two tries of a renewal, and the least time for one try.
pub(super) fn shortest_try(timing: &Timing) -> Duration {
    timing.ttl() / 50
}

impl RenewalRetry {
    /// The largest backoff to draw. It doubles with each of the first three failures.
    pub(super) fn longest_backoff(&self, timing: &Timing) -> Duration {
        timing.call_timeout() / 16 * 2u32.pow(self.failures.min(3))
    }

    /// How long to wait, if this backoff was drawn.
    pub(super) fn pause(&self, timing: &Timing, backoff: Duration) -> Duration {
        let room = u32::try_from(self.room).unwrap_or(u32::MAX);
        let steady = timing.poll_every().min(timing.renew_every()) / 4;
        // Even if `Timing` leaves hardly any time after a renewal, one error does not end the term.
        let least = if self.failures == 0 {
            shortest_try(timing).min(self.left / 2)
        } else {
            shortest_try(timing)
        };
        let quick = self.failures < QUICK_TRIES
            && self.left < steady.saturating_mul(room.saturating_sub(1));
        let least = if quick {
            least
        } else {
            let spread = self.left / room.max(1).saturating_add(1);
            spread.max(steady.min(self.left / 2)).max(least)
        };
        backoff.min(self.left / 4).max(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ttl 10 s, polls every 2 s, renewals every 3.33 s, calls limited to 2 s.
    fn timing() -> Timing {
        let timing = Timing::builder().ttl(Duration::from_secs(10));
        timing.build().unwrap()
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_backoff_doubles_with_each_of_the_first_three_failures() {
        let longest = |failures| {
            let (left, room) = (ms(9000), 20);
            let retry = RenewalRetry {
                failures,
                left,
                room,
            };
            retry.longest_backoff(&timing())
        };
        assert_eq!(
            [0, 1, 2, 3, 4, u32::MAX].map(longest),
            [125, 250, 500, 1000, 1000, 1000].map(ms)
        );
    }

    #[test]
    fn the_pause_follows_from_the_failures_the_time_left_and_the_room() {
        for (failures, left, room, backoff, pause, why) in [
            (0, 6000, 20, 100, 200, "at least a 50th of the ttl"),
            (2, 6000, 20, 450, 450, "the backoff"),
            (2, 6000, 20, 9000, 1500, "a quarter of what is left"),
            (2, 6000, 20, 100, 200, "the last quick try"),
            (3, 6000, 20, 100, 500, "a steady try: poll_every / 4"),
            (
                1,
                4999,
                11,
                100,
                200,
                "there is room for steady tries besides",
            ),
            (1, 5000, 11, 100, 500, "there is none"),
            (1, 6000, 2, 100, 2000, "spread over what is left"),
            (1, 6000, 0, 100, 3000, "one more try in any case"),
            (0, 300, 0, 100, 150, "half of a short rest"),
            (1, 300, 0, 10, 200, "no less than the least"),
            (0, 300, 20, 10, 150, "quick, and half of a short rest"),
        ] {
            let left = ms(left);
            let retry = RenewalRetry {
                failures,
                left,
                room,
            };
            assert_eq!(
                retry.pause(&timing(), ms(backoff)),
                ms(pause),
                "{why}: {retry:?}"
            );
        }
    }
}
