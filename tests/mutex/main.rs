//! Plain locks and guards: on the memory store in paused time, on SQLite in real time.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
#[path = "../common/custom_store.rs"]
mod custom_store;
mod direct;
mod events;
#[path = "../common/from_one.rs"]
mod from_one;
#[path = "../common/locks.rs"]
mod locks;
mod memory;
mod no_runtime;
mod panics;
mod paused;
mod several;
#[cfg(feature = "sqlite")]
mod sqlite;
#[path = "../common/store_under_test.rs"]
mod store_under_test;
mod trouble;
