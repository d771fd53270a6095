//! [`tenure::DynamoStore`] against two real servers, whose URLs are in `TENURE_DYNAMODB_URL` and
//! `TENURE_DYNAMODB_LOCAL_URL`. The first returns the old item when a condition fails, as AWS does; the
//! second does not, so the store must read it.
//!
//! Every test uses new names, so that tests can run at the same time and do not change other data.
#![cfg(feature = "dynamodb")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/recovery.rs"]
mod common;
mod fencing;
mod instructions;
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
