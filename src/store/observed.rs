//! Observes leases whose expiry was set by another clock than this process's.

#[cfg(any(test, feature = "dynamodb"))]
mod change;
#[cfg(any(test, feature = "dynamodb"))]
mod expiry_observer;
#[cfg(any(test, feature = "dynamodb"))]
mod table;

#[cfg(any(test, feature = "dynamodb"))]
pub(crate) use self::{
    change::{RecordChange, WriteCondition},
    expiry_observer::ExpiryObserver,
    table::{Table, TableRecord, WriteOutcome, Written},
};

use std::{collections::HashMap, time::Duration};

use crate::{
    clock::Moment,
    lease::{FencingToken, ResourceName},
};

/// The leases that were observed. An observation counts the holder's whole ttl from the arrival of the reply in
/// which it first saw the present token and version (Ongaro's and Lamport's rule for leases without a common
/// clock: only durations agree).
///
/// When full, it drops stale observations. If none is stale, it begins no new one. If it dropped the oldest
/// instead and there were more leases than capacity, no lease would ever become free.
#[derive(Debug)]
pub(crate) struct Observations {
    observations: HashMap<ResourceName, Observation>,
    room: usize,
    swept_at: Moment,
}

#[derive(Debug)]
struct Observation {
    token: FencingToken,
    version: u64,
    ttl: Duration,
    free_at: Moment,
    looked_at: Moment,
}

impl Observations {
    /// With short names, about 20 MB.
    const ROOM: usize = 100_000;
    /// An observation is stale if it was not used for two ttls, and at least for this time.
    const STALE: Duration = Duration::from_secs(60);
    const SWEEP_EVERY: Duration = Duration::from_secs(1);

    pub(crate) fn new() -> Self {
        Self::with_room(Self::ROOM)
    }

    fn with_room(room: usize) -> Self {
        Self {
            observations: HashMap::new(),
            room,
            swept_at: Moment::default(),
        }
    }

    /// The moment from which the lease may be taken over, if token and version do not change. `now` must be
    /// read after the reply has arrived.
    pub(crate) fn free_at(
        &mut self,
        resource: &ResourceName,
        token: FencingToken,
        version: u64,
        ttl: Duration,
        now: Moment,
    ) -> Moment {
        let first = Observation {
            token,
            version,
            ttl,
            free_at: now + ttl,
            looked_at: now,
        };
        if let Some(observation) = self.observations.get_mut(resource) {
            if (observation.token, observation.version) == (token, version) {
                observation.looked_at = now;
            } else {
                *observation = first;
            }
            return observation.free_at;
        }
        let free_at = first.free_at;
        if self.has_room(now) {
            self.observations.insert(resource.clone(), first);
        }
        free_at
    }

    /// The last observation: token, version, and the moment from which the lease may be taken over.
    #[cfg(any(test, feature = "dynamodb"))]
    pub(crate) fn last(&self, resource: &ResourceName) -> Option<(FencingToken, u64, Moment)> {
        let observation = self.observations.get(resource)?;
        Some((observation.token, observation.version, observation.free_at))
    }

    /// Drops the observation of a lease that needs none.
    pub(crate) fn forget(&mut self, resource: &ResourceName) {
        self.observations.remove(resource);
    }

    fn has_room(&mut self, now: Moment) -> bool {
        if self.observations.len() >= self.room && now >= self.swept_at + Self::SWEEP_EVERY {
            self.swept_at = now;
            self.observations.retain(|_, observation| {
                let stale = observation.ttl.saturating_mul(2).max(Self::STALE);
                observation.looked_at.until(now) < stale
            });
        }
        self.observations.len() < self.room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Moment {
        Moment::default() + Duration::from_secs(1000 + seconds)
    }

    fn name(index: usize) -> ResourceName {
        ResourceName::new(format!("jobs/{index}")).unwrap()
    }

    fn look(seen: &mut Observations, index: usize, version: u64, now: Moment) -> Moment {
        seen.free_at(&name(index), FencingToken::new(1), version, TTL, now)
    }

    #[test]
    fn the_ttl_counts_from_when_a_version_was_first_seen() {
        let mut seen = Observations::new();
        assert_eq!(look(&mut seen, 0, 1, at(0)), at(10));
        assert_eq!(look(&mut seen, 0, 1, at(9)), at(10));
        assert_eq!(look(&mut seen, 0, 2, at(9)), at(19), "a new version");
        assert_eq!(look(&mut seen, 0, 1, at(9)), at(19), "and back again");
        let newer = seen.free_at(&name(0), FencingToken::new(2), 1, TTL, at(11));
        assert_eq!(newer, at(21), "a new token");
    }

    #[test]
    fn with_more_leases_than_room_every_lease_becomes_free() {
        let mut seen = Observations::with_room(4);
        let mut waiting: Vec<usize> = (0..20).collect();
        let mut now = at(0);
        for _ in 0..100 {
            now = now + Duration::from_secs(2);
            waiting.retain(|&index| {
                let taken = now >= look(&mut seen, index, 1, now);
                if taken {
                    seen.forget(&name(index));
                }
                !taken
            });
            assert!(seen.observations.len() <= 4);
        }
        assert_eq!(waiting, [] as [usize; 0]);
    }

    #[test]
    fn an_observation_that_is_not_used_makes_room() {
        let mut seen = Observations::with_room(2);
        look(&mut seen, 0, 1, at(0));
        look(&mut seen, 1, 1, at(0));
        assert_eq!(look(&mut seen, 2, 1, at(1)), at(11), "no room yet");
        assert_eq!(look(&mut seen, 2, 1, at(2)), at(12));
        look(&mut seen, 1, 1, at(50));
        assert_eq!(look(&mut seen, 2, 1, at(61)), at(71), "the first is stale");
        assert_eq!(look(&mut seen, 2, 1, at(62)), at(71));
        assert_eq!(look(&mut seen, 1, 1, at(62)), at(10), "the second is kept");
    }

    #[test]
    fn a_stale_observation_is_kept_while_there_is_room() {
        let mut seen = Observations::with_room(2);
        look(&mut seen, 0, 1, at(0));
        look(&mut seen, 1, 1, at(1000));
        assert_eq!(look(&mut seen, 0, 1, at(1001)), at(10));
    }

    #[test]
    fn an_observation_is_stale_exactly_after_the_documented_time_and_swept_at_the_next_sweep() {
        let stale = (TTL * 2).max(Observations::STALE);
        let swept = |at: Moment| {
            let mut seen = Observations::with_room(1);
            look(&mut seen, 0, 1, self::at(0));
            look(&mut seen, 1, 1, at);
            seen.last(&name(0)).is_none()
        };
        assert!(!swept(at(0) + stale - Duration::from_nanos(1)));
        assert!(swept(at(0) + stale));
    }

    #[test]
    fn a_full_table_is_swept_no_more_often_than_documented() {
        let mut seen = Observations::with_room(1);
        let stale = (TTL * 2).max(Observations::STALE);
        look(&mut seen, 0, 1, at(0));
        // A sweep that finds nothing stale, just before the first observation is.
        let swept_at = at(0) + stale - Duration::from_nanos(1);
        look(&mut seen, 1, 1, swept_at);
        let next = swept_at + Observations::SWEEP_EVERY;
        look(&mut seen, 1, 1, next - Duration::from_nanos(1));
        assert!(seen.last(&name(0)).is_some());
        look(&mut seen, 1, 1, next);
        assert!(seen.last(&name(0)).is_none());
    }
}
