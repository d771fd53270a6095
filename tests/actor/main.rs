//! The lock actor: under paused time, where a moment can be asserted exactly, and on real clocks.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod acknowledgements;
mod commands;
#[path = "../common/custom_store.rs"]
mod custom_store;
mod events;
#[path = "../common/from_one.rs"]
mod from_one;
mod instructions;
mod known_leader;
mod losing;
mod real_time;
mod resignation;
mod status;
mod store_faults;
mod subscribers;
mod supervision;
mod support;
mod yielding;
