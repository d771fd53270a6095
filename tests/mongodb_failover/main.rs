//! Locks on a MongoDB replica set whose members are killed and frozen.
//!
//! Each test starts a set of its own from the program in `TENURE_MONGOD`, lets three candidates, each
//! with a client of its own, contend for twenty resources, and looks at the times during which
//! leaderships could be believed in.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod contest;
mod journal;
mod primary;
mod replica_set;
mod terms;
mod whole_set;
