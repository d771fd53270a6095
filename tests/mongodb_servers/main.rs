//! [`tenure::MongoStore`] on servers that the tests start, from the program in `TENURE_MONGOD`: replica
//! sets whose members are killed and frozen, a standalone server, and one that asks who calls.
//!
//! In the tests of a replica set three candidates, each with a client of its own, contend for twenty
//! resources, and the tests look at the times during which leaderships could be believed in.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod contest;
mod journal;
mod mongod;
mod primary;
#[path = "../mongodb/proxy.rs"]
#[allow(dead_code, reason = "shared with the tests on the common set")]
mod proxy;
#[path = "../common/recovery.rs"]
#[allow(dead_code, reason = "shared with the tests of other stores")]
mod recovery;
mod replica_set;
mod script;
mod standalone;
#[cfg(feature = "conformance")]
mod standalone_kit;
mod stopped;
#[path = "../mongodb/support.rs"]
#[allow(dead_code, reason = "shared with the tests on the common set")]
mod support;
mod terms;
mod users;
mod whole_set;
