//! Work that is done once: on memory under paused time, on SQLite in real time.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod chance;
#[path = "../common/locks.rs"]
#[allow(
    dead_code,
    unused_imports,
    unused_macros,
    clippy::print_stdout,
    reason = "its rules are tests elsewhere"
)]
mod locks;
mod memory;
#[path = "../common/once.rs"]
mod once;
#[cfg(feature = "sqlite")]
mod sqlite;
mod trouble;
