//! Clocks for tests.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use super::{Clock, Moment, nanos};

/// A clock that moves only when a test moves it. Clones share one time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock that shows one hour.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(AtomicU64::new(3_600_000_000_000)))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let later = |now: u64| Some(now.saturating_add(nanos(by)));
        // `later` always returns `Some`, so this cannot fail.
        let _ = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, later);
    }

    /// Moves the clock forward to this moment. A moment that has passed is ignored.
    pub fn advance_to(&self, moment: Moment) {
        self.0.fetch_max(moment.0, Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        Moment(self.0.load(Ordering::SeqCst))
    }
}

/// The clock of the tokio runtime that asks, for tests under paused time.
///
/// Each runtime has its own time, and a thread outside any runtime sees the real time. Use this clock with
/// [`start_on_current_runtime`](crate::LockBuilder::start_on_current_runtime), and on one thread only. It stops
/// while the machine sleeps, so do not use it in production.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    origin: tokio::time::Instant,
}

impl TokioClock {
    /// A clock whose first hour ends now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            origin: tokio::time::Instant::now(),
        }
    }
}

impl Default for TokioClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Moment {
        Moment(3_600_000_000_000) + self.origin.elapsed()
    }

    /// It begins in 1970, so that the first token of a [`MemoryStore`](crate::MemoryStore) is 1 if it is granted at
    /// once.
    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.origin.elapsed()
    }
}
