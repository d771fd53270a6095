//! Work that is done once: on memory under paused time, on SQLite in real time.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
#[path = "../common/bed.rs"]
mod bed;
mod chance;
mod memory;
#[path = "../common/once.rs"]
mod once;
#[cfg(feature = "sqlite")]
mod raised_tokens;
#[cfg(feature = "sqlite")]
mod sqlite;
mod trouble;
