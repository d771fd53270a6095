use std::time::Duration;

use crate::timing::Timing;

/// Over how long the followers of a lease spread their looks when an event wakes all of them.
///
/// It starts at half a `poll_every`, halves with each race that this follower wins and doubles with each that it
/// loses. So two followers soon take over within milliseconds, and two hundred do not storm the store.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WakeWindow {
    halvings: u32,
}

/// Below this, a smaller window is of no use: the request itself takes about as long.
const SHORTEST: Duration = Duration::from_millis(4);

impl WakeWindow {
    pub(super) fn length(self, timing: &Timing) -> Duration {
        let longest = timing.poll_every() / 2;
        (longest / 2u32.saturating_pow(self.halvings)).max(SHORTEST.min(longest))
    }

    pub(super) fn learn(&mut self, timing: &Timing, won: bool) {
        if !won {
            self.halvings = self.halvings.saturating_sub(1);
        } else if self.length(timing) > SHORTEST {
            self.halvings += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_halves_with_each_win_and_doubles_with_each_loss_within_its_bounds() {
        let timing = Timing::default(); // polls every 3 s
        let mut window = WakeWindow::default();
        let mut lengths = Vec::new();
        for won in [false, true, true, false, true, true] {
            window.learn(&timing, won);
            lengths.push(window.length(&timing).as_millis());
        }
        assert_eq!(lengths, [1500, 750, 375, 750, 375, 187]);
        for _ in 0..40 {
            window.learn(&timing, true);
        }
        assert_eq!(window.length(&timing), SHORTEST);
        window.learn(&timing, false);
        assert!(window.length(&timing) > SHORTEST);
    }

    #[test]
    fn it_is_never_longer_than_half_a_poll() {
        let timing = Timing::builder().ttl(Duration::from_millis(20));
        let timing = timing.build().unwrap(); // polls every 4 ms
        let window = WakeWindow { halvings: 9 };
        assert_eq!(window.length(&timing), Duration::from_millis(2));
    }
}
