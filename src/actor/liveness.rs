use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use thiserror::Error;

use crate::{
    clock::{Clock, Moment},
    duration::human,
    leadership::Leadership,
    lease::ResourceName,
};

/// The thread of a lock is stuck or has ended: it has not run for more than 10 s.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the thread of the lock on {resource} has not run for {}: it is stuck or has ended",
    human(*silent_for)
)]
pub struct ThreadStalled {
    /// The resource.
    pub resource: ResourceName,
    /// How long ago the thread last ran.
    pub silent_for: Duration,
}

/// How long a thread may be silent. It reports every 250 ms that it runs.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);

/// What any thread can find out about a lock without asking the lock.
#[derive(Debug)]
pub(super) struct Liveness {
    clock: Arc<dyn Clock>,
    /// When the lock's thread last ran, in nanoseconds of the clock.
    ran_at: AtomicU64,
    leadership: RwLock<Option<Leadership>>,
}

impl Liveness {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let ran_at = AtomicU64::new(clock.now().as_nanos());
        Self {
            clock,
            ran_at,
            leadership: RwLock::default(),
        }
    }

    /// Reports that the thread runs.
    pub(super) fn thread_runs(&self) {
        let now = self.clock.now().as_nanos();
        self.ran_at.store(now, Ordering::Relaxed);
    }

    pub(super) fn check(&self, resource: &ResourceName) -> Result<(), ThreadStalled> {
        let ran_at = Moment::from_nanos(self.ran_at.load(Ordering::Relaxed));
        let silent_for = ran_at.until(self.clock.now());
        if silent_for <= LONGEST_SILENCE {
            return Ok(());
        }
        Err(ThreadStalled {
            resource: resource.clone(),
            silent_for,
        })
    }

    /// Sets the leadership whose lease is held, if any. Only the lock's thread calls it.
    pub(super) fn set_leadership(&self, leadership: Option<&Leadership>) {
        let slot = self.leadership.read();
        let is_known = slot.unwrap_or_else(PoisonError::into_inner).as_ref() == leadership;
        if !is_known {
            let slot = self.leadership.write();
            *slot.unwrap_or_else(PoisonError::into_inner) = leadership.cloned();
        }
    }

    /// Whether the last leadership that was set is current, by its own deadline.
    pub(super) fn is_leader(&self) -> bool {
        let slot = self.leadership.read();
        let leadership = slot.unwrap_or_else(PoisonError::into_inner);
        leadership.as_ref().is_some_and(Leadership::is_current)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ManualClock;

    #[test]
    fn a_thread_that_is_silent_for_more_than_10_s_is_stalled() {
        let clock = ManualClock::new();
        let liveness = Liveness::new(Arc::new(clock.clone()));
        let resource = ResourceName::new("r").unwrap();
        clock.advance(Duration::from_secs(10));
        assert!(liveness.check(&resource).is_ok());
        clock.advance(Duration::from_millis(500));
        let stalled = liveness.check(&resource).unwrap_err();
        assert_eq!(
            stalled.to_string(),
            "the thread of the lock on r has not run for 10.5 s: it is stuck or has ended"
        );
        liveness.thread_runs();
        assert!(liveness.check(&resource).is_ok());
    }
}
