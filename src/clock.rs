//! Monotonic clocks that also run while the machine sleeps.

pub(crate) mod testing;

use std::{
    fmt,
    ops::{Add, Sub},
    time::{Duration, SystemTime},
};

/// A point on the time line of one [`Clock`], in nanoseconds since its origin.
///
/// Moments of different clocks must not be compared. The origin of [`BootClock`] is the start of the
/// machine on Unix, and the first call in the process elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The moment this many nanoseconds after the clock's origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `self` to `later`; zero if `later` is earlier.
    #[must_use]
    pub const fn until(self, later: Moment) -> Duration {
        Duration::from_nanos(later.0.saturating_sub(self.0))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Moment {
    type Output = Moment;
    /// Saturates at the end of the time line, after 584 years.
    fn add(self, duration: Duration) -> Moment {
        Moment(self.0.saturating_add(nanos(duration)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Moment;
    /// Saturates at the origin.
    fn sub(self, duration: Duration) -> Moment {
        Moment(self.0.saturating_sub(nanos(duration)))
    }
}

/// The instant after this time, for the runtime's timers; 30 years from now if they cannot count that far.
///
/// Durations from users may be as long as `Duration::MAX`, so add them to an instant only here.
pub(crate) fn instant_after(time: Duration) -> tokio::time::Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);
    let now = tokio::time::Instant::now();
    now.checked_add(time).unwrap_or_else(|| now + FAR)
}

/// A monotonic clock that also runs while the machine sleeps.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present moment.
    fn now(&self) -> Moment;

    /// The time of day, for people, and for the first token of a record where the store has no clock of its own.
    /// Nothing else is decided by it. Default: that of the machine.
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// The clock of the running machine.
///
/// It is `CLOCK_BOOTTIME` on Linux. [`std::time::Instant`] stops there while the machine sleeps
/// (rust-lang/rust#87906), so a laptop or a suspended virtual machine would wake up as a leader. Elsewhere it is
/// `CLOCK_MONOTONIC` (macOS and the BSDs) or `QueryPerformanceCounter` (Windows), which also run during sleep.
#[derive(Clone, Copy, Debug, Default)]
pub struct BootClock;

impl Clock for BootClock {
    #[cfg(unix)]
    fn now(&self) -> Moment {
        use rustix::time::{ClockId, clock_gettime};
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let now = clock_gettime(ClockId::Boottime);
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let now = clock_gettime(ClockId::Monotonic);
        let (seconds, nanos) = (now.tv_sec as u64, now.tv_nsec as u64);
        Moment(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }

    #[cfg(not(unix))]
    fn now(&self) -> Moment {
        use std::{sync::OnceLock, time::Instant};
        static ORIGIN: OnceLock<Instant> = OnceLock::new();
        // At least one tick after the origin, because a moment of zero means "ended".
        Moment(nanos(ORIGIN.get_or_init(Instant::now).elapsed()).saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::ManualClock, *};

    #[test]
    fn the_boot_clock_goes_forward() {
        let first = BootClock.now();
        std::thread::sleep(Duration::from_millis(2));
        assert!(first.until(BootClock.now()) >= Duration::from_millis(2));
        assert_eq!(BootClock.now().until(first), Duration::ZERO);
    }

    #[test]
    fn a_manual_clock_moves_only_when_told_and_never_back() {
        let clock = ManualClock::new();
        let start = clock.now();
        clock.clone().advance(Duration::from_secs(5));
        assert_eq!(start.until(clock.now()), Duration::from_secs(5));
        clock.advance_to(start);
        assert_eq!(start.until(clock.now()), Duration::from_secs(5));
    }

    #[test]
    fn moments_saturate_at_both_ends() {
        let end = Moment::from_nanos(u64::MAX);
        assert_eq!(end + Duration::MAX, end);
        assert_eq!(
            Moment::default() - Duration::from_secs(1),
            Moment::default()
        );
    }
}
