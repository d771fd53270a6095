//! [`tenure::MongoStore`] against a real replica set, whose URL is in `TENURE_MONGODB_URL`.
//!
//! Every test uses new names, so that tests can run at the same time and do not change other data.
#![cfg(feature = "mongodb")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod batches;
#[path = "../common/recovery.rs"]
#[allow(dead_code, reason = "shared with the tests of other stores")]
mod common;
mod contract;
mod documents;
mod fencing;
mod frozen;
mod instructions;
#[cfg(feature = "conformance")]
mod kit;
#[path = "../common/locks.rs"]
mod locks;
mod lost_answers;
mod model;
mod mutex;
#[path = "../common/once.rs"]
mod once;
mod proxy;
mod pushes;
mod races;
mod recovery;
mod requests;
#[path = "../common/store_under_test.rs"]
mod store_under_test;
mod support;
mod trouble;
mod url;
