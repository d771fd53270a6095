//! Doubles and clocks for the tests of programs that use this crate.
//!
//! [`TestLeadership`] is a leadership for an actor of yours. [`FaultyStore`] makes any store fail on purpose. [`ManualClock`] and [`TokioClock`] replace the machine's
//! clock, also in a [`MemoryStore`](crate::MemoryStore).

pub use crate::{
    clock::testing::{ManualClock, TokioClock},
    leadership::testing::TestLeadership,
    store::faulty::{CallCounts, Fault, FaultyStore, WatchFault},
};
