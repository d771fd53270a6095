use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use thiserror::Error;

use crate::{
    clock::{Clock, Moment},
    duration::human,
    lease::ResourceName,
    timing::Timing,
};

/// A lock that leads, by what it last said, but has not renewed for longer than its ttl: its thread
/// is stuck.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{resource} is led but was not renewed for {}: the thread of the locks is stuck",
    human(*since_renewal)
)]
pub struct Stalled {
    /// The resource.
    pub resource: ResourceName,
    /// The time since the last confirmed renewal was sent.
    pub since_renewal: Duration,
}

/// When the lock last renewed, readable from any thread without asking the lock.
#[derive(Debug)]
pub(super) struct Pulse {
    clock: Arc<dyn Clock>,
    /// Zero while it does not lead.
    confirmed_at: AtomicU64,
}

impl Pulse {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let confirmed_at = AtomicU64::new(0);
        Self {
            clock,
            confirmed_at,
        }
    }

    pub(super) fn beat(&self, confirmed_at: Option<Moment>) {
        let nanos = confirmed_at.map_or(0, Moment::as_nanos);
        self.confirmed_at.store(nanos, Ordering::Relaxed);
    }

    pub(super) fn check(
        &self,
        resource: &ResourceName,
        timing: &Timing,
        tolerance: Duration,
    ) -> Result<(), Stalled> {
        let confirmed_at = self.confirmed_at.load(Ordering::Relaxed);
        if confirmed_at == 0 {
            return Ok(());
        }
        let since_renewal = Moment::from_nanos(confirmed_at).until(self.clock.now());
        match since_renewal > timing.ttl() + tolerance {
            true => Err(Stalled {
                resource: resource.clone(),
                since_renewal,
            }),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn a_lock_that_leads_without_renewing_is_stalled() {
        let clock = ManualClock::new();
        let pulse = Pulse::new(Arc::new(clock.clone()));
        let (resource, timing) = (ResourceName::new("r").unwrap(), Timing::default());
        let check = |tolerance| pulse.check(&resource, &timing, Duration::from_secs(tolerance));
        assert!(check(0).is_ok());
        pulse.beat(Some(clock.now()));
        clock.advance(Duration::from_secs(16));
        assert!(check(1).is_ok());
        assert_eq!(check(0).unwrap_err().since_renewal, Duration::from_secs(16));
        pulse.beat(None);
        assert!(check(0).is_ok());
    }
}
