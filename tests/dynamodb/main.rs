//! [`tenure::DynamoStore`] against two real servers, whose URLs are in `TENURE_DYNAMODB_URL` and
//! `TENURE_DYNAMODB_LOCAL_URL`. The first returns the old item when a condition fails, as AWS does; the
//! second does not, so that the store has to look for itself.
//!
//! Every test makes names of its own, so that they run beside each other and leave others' data alone.
#![cfg(feature = "dynamodb")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/recovery.rs"]
mod common;
mod fencing;
#[cfg(feature = "conformance")]
mod kit;
#[path = "../common/locks.rs"]
mod locks;
mod mutex;
#[path = "../common/once.rs"]
mod once;
mod proxy;
mod recovery;
mod requests;
mod slow_connection;
#[path = "../common/store_under_test.rs"]
mod store_under_test;
mod support;
mod table;
mod trouble;
