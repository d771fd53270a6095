//! Leader election for actix, on the database you already have.
//!
//! Each resource is a supervised [`LockActor`] that runs the poll and lease cycle against a store and
//! sends [`BecameLeader`] and [`BecameFollower`] to the actors that follow it.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use actix::prelude::*;
//! # use tenure::{BecameFollower, BecameLeader};
//! # struct Reports;
//! # impl Actor for Reports { type Context = Context<Self>; }
//! # impl Handler<BecameLeader> for Reports {
//! #     type Result = ();
//! #     fn handle(&mut self, _: BecameLeader, _: &mut Context<Self>) {}
//! # }
//! # impl Handler<BecameFollower> for Reports {
//! #     type Result = ();
//! #     fn handle(&mut self, _: BecameFollower, _: &mut Context<Self>) {}
//! # }
//! # #[cfg(feature = "sqlite")]
//! # #[actix::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use tenure::{LockActor, SqliteStore, shutdown_on_signal};
//!
//! let store = Arc::new(SqliteStore::open("leases.db")?);
//! let lock = LockActor::builder("jobs/reports", store).start()?;
//! let reports = Reports.start(); // implements Handler<BecameLeader> and Handler<BecameFollower>
//! lock.subscribe(&reports);
//! shutdown_on_signal([lock]).await?; // subscribers stop first, the lease is released after
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sqlite"))]
//! # fn main() {}
//! ```
//!
//! [`Leader`] tells what an actor that follows a lock can rely on, [`LockHandle`] what can be asked of
//! a lock, [`Timing`] how fast all of it is.
//!
//! # The guarantee
//!
//! Every two calls of [`Leadership::is_current`] that answer true for different acquisitions of a
//! resource are ordered: all of the older acquisition's lie before all of the younger's. It holds
//! provided that
//!
//! - the store is linearizable for operations on one record, and
//! - over one ttl the store's clock and the holder's differ by less than the
//!   [margin](Timing::margin). The clocks need not agree on the time of day.
//!
//! And each acquisition has a [`FencingToken`] that is greater than all before, also across releases
//! and restarts.
//!
//! Not covered:
//!
//! - A virtual machine that is frozen or restored from a snapshot from outside: its clocks stop, too. A
//!   clone of a machine has its candidate ids and its leases.
//! - A [`Leadership`] that a forked child has from its parent: see [below](#where-it-runs).
//! - A backup of the store that is restored: its tokens go back.
//! - [`Eviction::Force`], [reentrant](Bid::reentrant) bids, and releases [by owner](Claim::Holder):
//!   plain locks of one owner.
//! - A write that was already on its way when its process froze. No lock can stop it; the receiver can,
//!   if it refuses a token lower than the highest it has seen: [`fencing`] makes SQLite, MongoDB and
//!   DynamoDB do that.
//!
//! # Without actors
//!
//! The same leases have two more doors. [`follow`] calls back when this process becomes leader or
//! follower. A [`LockManager`] makes a [`Mutex`], which gives a [`Guard`] that renews itself, tells of
//! its loss and has a token; or is locked for one ttl by an *owner*, whose other mutexes lock and unlock
//! it, too. [`lock_all`] takes several or none. [`Once`] does work in one process while the others wait, and
//! remembers that it is done.
//!
//! # Where it runs
//!
//! Lock actors and guards run on a thread of the library's own, under `#[actix::main]`, under `#[tokio::main]`
//! (where [`start_actor`] starts your actors) and without a runtime. A handler of yours that blocks
//! its thread, or a `System::stop()`, does not keep a lock from renewing or stepping down.
//!
//! # Probes
//!
//! - *Liveness*: [`LockHandle::liveness`] fails if the thread of the lock is stuck or has ended. It asks no
//!   lock and no store, so that an outage of the database does not restart your processes.
//! - *Readiness* must not depend on leading: all processes but one would never be ready, and a rollout that
//!   waits for readiness would not end. Followers are healthy.
//! - [`LockHandle::is_leader`] and [`LockHandle::status`] are for routing and for status pages,
//!   [`LockHandle::watch_leader`] for what depends on who leads.
//!
//! These threads do not exist in a forked child, because `fork` copies only the thread that calls it. There,
//! nothing renews the locks of the parent, and a [`Leadership`] of the parent stays current until its
//! deadline, whatever the parent does meanwhile. Fork before the first use of this crate, or call `exec` in
//! the child, as [`std::process::Command`] does. A parent and its child may contend with the same candidate
//! id: they exclude each other.
//!
//! A panic in a request to a store is caught and counts as a [`StoreError`], one in its `watch` ends the
//! watching; not so in a program that is built with `panic = "abort"`.
//!
//! # Stores
//!
//! | store | feature | clock | survives |
//! | --- | --- | --- | --- |
//! | [`MemoryStore`] | always there | the machine's, or one given | nothing: one process |
//! | `SqliteStore` | `sqlite` (default) | the host's boot clock | restarts, for processes of one host |
//! | `MongoStore` | `mongodb` | the server's | restarts and failovers, for processes of many hosts |
//! | `DynamoStore` | `dynamodb` | none: expiry is observed | the loss of a zone, for processes of many hosts |
//!
//! [`open_store`] opens any of them by its URL, and makes its client on the thread of the lock actors.
//!
//! [`LeaseStore`] is the contract for stores of your own; the feature `conformance` has the kit of
//! cases that every store must pass. [`FaultyStore`] makes any store fail on purpose, for the tests of
//! your actors.
//!
//! # Events
//!
//! The crate writes `tracing` events under the target `tenure`, so that the filter `tenure=info` selects
//! them. Each has a stable name, which is also its field `event`, and stable fields: `resource` and
//! `candidate` besides those of the table (the signals and `no_random_bits` have neither).
//!
//! | event | level | fields | when | what to do |
//! | --- | --- | --- | --- | --- |
//! | `tenure.became_leader` | info | `token` | leadership was won | nothing |
//! | `tenure.became_follower` | info, warn | `token`, `reason`, `leader` | leadership ended; a warning if nobody asked for it: deposed, evicted, store lost, expired, held for as long as allowed | for a warning, look at the [reason](Reason): the store and the network if it was lost, a process that was frozen or starved if it expired, `max_hold` if it took too long |
//! | `tenure.following` | info | `leader`, `token` | a contender sees another leader, once for each | nothing |
//! | `tenure.store_failing` | warn | `store`, `kind`, `error` | a store begins to fail, or fails in another way; once for all locks of the process | do what the error says; the leader leads on until its deadline |
//! | `tenure.store_still_failing` | warn | `store`, `kind`, `error`, `failing_for`, `locks` | it still fails, each minute; with how many locks that concerns | the same; nobody leads these resources here |
//! | `tenure.store_recovered` | info | `store`, `failures`, `failing_for` | all these locks have an answer again | nothing |
//! | `tenure.no_subscriber` | warn | | a lock has no live subscriber for a `poll_every` | keep the address of the actor; or shut the lock down |
//! | `tenure.subscriber_slow` | warn | `actor`, `awaits`, `waiting_for`, `subscribers` | an actor has not acknowledged the end of a leadership, or its first message, for a quarter of `yield_for` (of a ttl, where that is zero): its type, the message, and how many have not | look at what its handlers wait for |
//! | `tenure.subscriber_given_up` | warn | `actor`, `awaits`, `waiting_for`, `subscribers` | it has not for `yield_for`: the lease is left to expire, and the next leader comes up to a ttl later | mend the handler, or give it more time with `yield_for` |
//! | `tenure.not_contending` | warn | `actor`, `awaits`, `waiting_for`, `subscribers` | because of that this process does not contend, a `yield_for` after the first message or a ttl after it was given up on | restart the process, if the actor is stuck |
//! | `tenure.no_random_bits` | error | `error` | the operating system gives no random bits: no lock can bid until it does | look at what limits the process; it tries again |
//! | `tenure.lock_acquired` | debug | `token` | a [`Mutex`] was locked, also by [`Once`] | nothing |
//! | `tenure.lock_lost` | warn | `token`, `reason` | a [`Guard`] was lost, also that of a [`Once`] | as for `tenure.became_follower`; the work was cut off, or ran on unprotected |
//! | `tenure.lease_extended` | debug | `token`, `at`, `deadline` | each grant and renewal, of guards, too | nothing; to see who believed in which lease when |
//! | `tenure.lease_ended` | debug | `token`, `at` | a lease is not believed in any more, from `at` on | nothing |
//! | `tenure.signal` | info | | [`shutdown_on_signal`] has got a signal and gives the leases back | nothing |
//! | `tenure.signal_again` | warn | | a second signal ends that: leases may be left to expire | wait for up to `yield_for` next time |
//!
//! `at` and `deadline` are nanoseconds of the holder's [`Clock`]; `failing_for` and `waiting_for` are
//! text, as `1 min 5 s`.
//! Stores are told apart by their `Arc`: give one to all locks. An error of one record (corrupt, or of a newer
//! library) is told for each resource.

#[macro_use]
mod events;
#[macro_use]
mod mutants;

mod actor;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod driver;
mod duration;
mod election;
mod follow;
mod leadership;
mod lease;
mod mutex;
mod once;
mod runtime;
#[cfg(test)]
mod simulation;
mod store;
mod sync;
mod timing;

pub use actor::{
    BecameFollower, BecameLeader, GetStatus, KnownLeader, Leader, LeaderChanged, LockActor,
    LockBuilder, LockHandle, Observe, Pause, Resume, Seen, Shutdown, Stalled, Status, StepDown,
    Stopped, Subscribe, Unsubscribe, shutdown_on_signal, start_actor,
};
pub use clock::{BootClock, Clock, ManualClock, Moment, TokioClock};
pub use driver::{StartError, StoreStatus};
pub use election::{ElectionState, IdleReason, StepDownOutcome};
pub use follow::{Follow, FollowError, Following, LeaderCallbacks, follow};
pub use leadership::{Leadership, NotEnoughTime, Reason};
pub use lease::{
    Acquisition, AttemptId, Bid, CandidateId, Claim, FencingToken, InvalidName, Lease, LeaseRecord,
    Metadata, ResourceName, Scope,
};
pub use mutex::{
    Guard, Guards, LockError, LockManager, LockManagerBuilder, Mutex, MutexOptions, lock_all,
    lock_all_timeout, try_lock_all,
};
pub use once::{Completion, Once, OnceBuilder, OnceError, OnceStatus, Ran};
#[cfg(feature = "dynamodb")]
pub use store::DynamoStore;
#[cfg(feature = "mongodb")]
pub use store::MongoStore;
pub use store::fencing;
pub use store::{
    AcquireOutcome, Calls, Eviction, Fault, FaultyStore, LeaseStore, MemoryStore, Operation,
    ReleaseOutcome, RenewOutcome, StoreError, StoreErrorKind, open as open_store,
};
#[cfg(feature = "sqlite")]
pub use store::{SqliteStore, SqliteStoreBuilder};
pub use timing::{InvalidTiming, POLL_JITTER, Timing, TimingBuilder};

#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../README.md")]
mod readme {}
