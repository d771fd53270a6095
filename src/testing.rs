//! Doubles and clocks for the tests of programs that use this crate.
//!
//! [`FaultyStore`] makes any store fail on purpose. [`ManualClock`] and [`TokioClock`] replace the machine's
//! clock, also in a [`MemoryStore`](crate::MemoryStore).

pub use crate::{
    clock::testing::{ManualClock, TokioClock},
    store::faulty::{CallCounts, Fault, FaultyStore},
};
