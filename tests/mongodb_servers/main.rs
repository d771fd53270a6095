//! [`tenure::MongoStore`] on servers that the tests start, from the program in `TENURE_MONGOD`: replica
//! sets whose members are killed and frozen, a standalone server, and one that requires credentials.
//!
//! In the tests of a replica set, three candidates, each with its own client, contend for twenty resources. The
//! tests check the times during which `is_current()` was or could be true.
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
mod watch;
mod whole_set;
