//! Commands of an operator, under paused time.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod evict;
mod hand_over;
mod pause;
mod scope;
mod support;
