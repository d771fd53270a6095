//! Locks and guards for plain async code: on memory under paused time, on SQLite in real time.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
#[path = "../common/bed.rs"]
mod bed;
#[path = "../common/locks.rs"]
mod locks;
mod memory;
mod several;
#[cfg(feature = "sqlite")]
mod sqlite;
mod trouble;
