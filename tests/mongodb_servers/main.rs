//! [`tenure::MongoStore`] on servers that the tests start, from the program in `TENURE_MONGOD`: replica
//! sets whose members are killed and frozen.
//!
//! In the tests of a replica set three candidates, each with a client of its own, contend for twenty
//! resources, and the tests look at the times during which leaderships could be believed in.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod contest;
mod journal;
mod mongod;
mod primary;
mod replica_set;
mod terms;
mod whole_set;
