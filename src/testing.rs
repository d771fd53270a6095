//! Doubles and clocks for the tests of programs that use this crate.
//!
//! [`FaultyStore`] makes any store fail on purpose; [`ManualClock`] and [`TokioClock`] stand in for the
//! machine's clock. A [`MemoryStore`](crate::MemoryStore) takes such a clock, too.

pub use crate::{
    clock::testing::{ManualClock, TokioClock},
    store::faulty::{Calls, Fault, FaultyStore},
};
