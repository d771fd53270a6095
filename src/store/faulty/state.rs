use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use rand::{RngExt as _, rngs::SmallRng};

use super::{CallCounts, Fault, WatchFault};
use crate::{
    lease::{LeaseRecord, ResourceName},
    store::{Register, StoreErrorKind},
};

/// The faults to come, and what has happened.
#[derive(Debug, Default)]
pub(super) struct FaultyState {
    pub(super) script: VecDeque<Fault>,
    pub(super) seeded: Option<(SmallRng, f64)>,
    pub(super) always: Option<Fault>,
    pub(super) calls: CallCounts,
    pub(super) watch: WatchFault,
    pub(super) reads: BTreeMap<ResourceName, Option<LeaseRecord>>,
    pub(super) gets: BTreeMap<ResourceName, Option<Register>>,
}

impl FaultyState {
    pub(super) fn draw(&mut self) -> Fault {
        if let Some(fault) = self.script.pop_front() {
            return fault;
        }
        if let Some((rng, probability)) = &mut self.seeded
            && rng.random_bool(*probability)
        {
            let time = Duration::from_millis(rng.random_range(1..200));
            let faults = [
                Fault::Error(StoreErrorKind::Unavailable),
                Fault::Delay(time),
                Fault::Hang,
                Fault::LostRequest,
                Fault::LostReply,
                Fault::LateRequest(time),
                Fault::Duplicate,
                Fault::LateDuplicate(time),
                Fault::Panic,
                Fault::StaleRead,
                Fault::HalfBatch,
            ];
            return faults[rng.random_range(0..faults.len())];
        }
        self.always.unwrap_or(Fault::None)
    }
}

impl Fault {
    /// The answer to a read of this name: with a stale read the one of before, otherwise the fresh one, which is kept.
    pub(super) fn answer_of<T: Clone>(
        self,
        known: &mut BTreeMap<ResourceName, T>,
        name: &ResourceName,
        fresh: T,
    ) -> T {
        match known.get(name) {
            Some(old) if self == Self::StaleRead => old.clone(),
            _ => {
                known.insert(name.clone(), fresh.clone());
                fresh
            }
        }
    }
}
