//! `Once`: on the memory store in paused time, on SQLite in real time.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod chance;
mod memory;
mod no_runtime;
#[path = "../common/once.rs"]
mod once;
mod paused;
#[cfg(feature = "sqlite")]
mod raised_tokens;
#[cfg(feature = "sqlite")]
mod sqlite;
#[path = "../common/store_under_test.rs"]
mod store_under_test;
mod trouble;
