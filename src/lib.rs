//! Leader election for actix, on the database you already have.
//!
//! Each resource (a job, a queue, a migration) has a lease in a store. A supervised [`LockActor`] acquires and
//! renews it, and sends [`BecameLeader`] and [`BecameFollower`] to the actors that subscribe.
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
//! Start with [`Leader`] for what your actors can rely on, [`LockHandle`] for what you can do with a lock,
//! and [`Timing`] for how fast it all is. The modules hold the rest: [`store`] is the contract for stores of
//! your own, [`testing`] has doubles and clocks for the tests of your actors.
//!
//! # The guarantee
//!
//! At any moment, [`Leadership::is_current`] returns `true` in at most one process per resource. It compares a
//! deadline with a clock, so it needs no request and no running thread. And each acquisition has a
//! [`FencingToken`] that is larger than all before it, also across releases and restarts.
//!
//! This holds if
//!
//! - the store is linearizable for operations on one record, and
//! - over one ttl, the clock that judges the lease and the holder's clock differ by less than the
//!   [margin](Timing::margin). The time of day that they show does not matter. On MongoDB the primary's clock
//!   judges: a step of it counts, as does a new primary whose clock differs.
//!
//! It is about `is_current()`, not about messages: [`BecameFollower`] may reach a busy actor late. In a planned
//! step-down `is_current()` stays `true` until your handlers have completed, or, if they do not complete within
//! `yield_for`, until the last deadline. An unplanned end makes it `false` first.
//!
//! Not covered:
//!
//! - A virtual machine that is frozen or restored from outside: its clocks stop, too. If you clone a running
//!   machine, both copies lead with one token and can both renew: no fenced write tells them apart.
//! - An actor that hangs while it leads: the lock goes on renewing. Report the progress of your actor yourself,
//!   for instance in the liveness probe.
//! - A [`Leadership`] that a forked child got from its parent: see [Threads](#threads).
//! - A restored backup of the store: tokens go back. A deleted record comes back with the time of day as its token,
//!   which is greater unless clocks differ by more than the deletion lies back.
//! - [`EvictionMode::Force`](store::EvictionMode::Force), [reentrant](store::Bid::reentrant) bids, and releases
//!   [by owner](store::ReleaseTarget::Holder), which plain locks of one owner use.
//! - A write that was already on its way when its process froze. No lock can stop it; the database can, if it
//!   rejects a token lower than the highest it has seen. [`fencing`] does that for SQLite, MongoDB and
//!   DynamoDB.
//!
//! # Without actors
//!
//! - [`follow()`] calls back when this process becomes leader or follower.
//! - A [`LockManager`] makes [`Mutex`]es. [`Mutex::guard`] gives a [`Guard`] that renews itself, reports its
//!   loss and has a token. [`Mutex::lock`] locks for one ttl per *owner*, without a guard. [`lock_all`] takes
//!   several or none.
//! - [`Once`] does work in one process while the others wait, and remembers that it is done.
//!
//! # Commands
//!
//! An [`Operator`] asks the holders of leases, through the store, to hand over, to pause and to resume; it also
//! evicts, lists and purges. A pause is kept in the store: it outlives every process, and refuses every acquisition
//! until it is resumed. [`LockHandle::pause`] pauses one lock only.
//!
//! # Threads
//!
//! Lock actors and guards run on a thread that this crate starts, under `#[actix::main]`, under
//! `#[tokio::main]` (where [`start_actor`] starts your actors) and without a runtime. If a handler of yours
//! blocks its thread, or you stop your actix `System`, locks still renew and step down. The exception is a
//! MongoDB or DynamoDB store that you made from a client of your own: its requests stand still with the runtime
//! that made the client. A store from [`open_store`] does not have that problem.
//!
//! After `fork`, these threads do not exist in the child: `fork` copies only the thread that calls it. In the
//! child nothing renews the parent's locks, and a [`Leadership`] of the parent stays current until its
//! deadline, whatever the parent does meanwhile. Fork before the first use of this crate, or call `exec` in
//! the child, as [`std::process::Command`] does. A parent and its child may contend with the same candidate
//! id: they exclude each other.
//!
//! If a request to a store panics, that counts as a [`StoreError`]; if its `watch` panics, the lock polls
//! instead. If other code of yours panics during a call of a [`Mutex`] or [`Once`], for instance
//! [`LeaseStore::kind`] or [`Clock::now`](clock::Clock::now), the panic reaches the caller. With
//! `panic = "abort"`, all of these end the process. So does a call that returns [`LockError::NoRuntime`] because
//! the current runtime was built without timers: to find that out, this crate has to catch a panic of tokio.
//!
//! # Probes
//!
//! - *Liveness*: [`LockHandle::liveness`] fails if the thread of the lock is stuck or has ended. It does not ask
//!   the store, so an outage of the database does not restart your processes.
//! - *Readiness* must not depend on leading: only one process would ever be ready, and a rollout that waits for
//!   readiness would not end. Followers are healthy.
//! - For routing and status pages there are [`LockHandle::is_leader`], [`LockHandle::status`] and
//!   [`LockHandle::watch_leader`].
//!
//! # Stores
//!
//! | store | feature | clock | survives |
//! | --- | --- | --- | --- |
//! | [`MemoryStore`] | always there | the machine's, or one that you give | nothing: one process |
//! | `SqliteStore` | `sqlite` (default) | the host's boot clock | restarts, for processes of one host |
//! | `MongoStore` | `mongodb` | the server's | restarts and failovers, for processes of many hosts |
//! | `DynamoStore` | `dynamodb` | none: expiry is observed | the loss of a zone, for processes of many hosts |
//!
//! [`open_store`] opens any of them by URL, and makes its client on the thread of the lock actors. For a store
//! of your own, implement [`LeaseStore`] and run the kit of the feature `conformance`.
//!
//! # Events
//!
//! The crate writes `tracing` events under the target `tenure`, so that the filter `tenure=info` selects
//! them. Names and fields are stable. Every event has the fields `event` (its name), `resource` and
//! `candidate`; the signals, `watch_refused` and `no_random_bits` lack the last two.
//!
//! | event | level | fields | when | what to do |
//! | --- | --- | --- | --- | --- |
//! | `tenure.lock_started` | info | `store`, `location` | a lock was started | compare `location` among the processes: those that name different places do not compete |
//! | `tenure.became_leader` | info | `token` | leadership was won | nothing |
//! | `tenure.became_follower` | info, warn | `token`, `reason`, `leader`, `failing_for` | leadership ended; a warning if nobody asked for it: deposed, evicted, store lost, expired, held for as long as allowed | for a warning, look at the [reason](Reason): the store and the network if it was lost, a process that was frozen or starved if it expired, `max_hold` if it took too long |
//! | `tenure.lease_released` | info | | a step-down, pause or shutdown has released the lease | nothing |
//! | `tenure.lease_left_to_expire` | warn | `ttl` | it has not, though the lease may still be held: a handler did not complete in time, or the store did not confirm | nobody else leads for up to a ttl |
//! | `tenure.following` | info | `leader`, `token` | a contender sees another leader, once for each | nothing |
//! | `tenure.paused` | info | `note` | a lock sees that an operator has [paused](Operator::pause) its resource | nothing |
//! | `tenure.resumed` | info | | it sees that the resource was resumed | nothing |
//! | `tenure.same_candidate_id` | warn | `token` | another process leads under the id of this candidate, once for each token: a lease that this one was never granted is renewed | give each process an id of its own, or let the library make one |
//! | `tenure.store_failing` | warn | `store`, `kind`, `error`, `failing_for` | a store begins to fail, or fails in another way; once for all locks of the process | do what the error says; the leader leads on until its deadline |
//! | `tenure.store_still_failing` | warn | `store`, `kind`, `error`, `failing_for`, `locks` | it still fails, each minute; with how many locks that concerns | the same; leaders whose deadline has passed do not lead |
//! | `tenure.store_recovered` | info | `store`, `failures`, `failing_for` | all locks of the store that still ask have an answer again | nothing |
//! | `tenure.no_subscriber` | warn | | a lock has no live subscriber for a `poll_every` | keep the address of the actor; or shut the lock down |
//! | `tenure.subscriber_slow` | warn | `actor`, `awaits`, `waiting_for`, `subscribers` | an actor has not acknowledged the end of a leadership, or its first message, for `yield_for` / 4 (ttl / 4 if that is zero) | look at what its handlers wait for |
//! | `tenure.subscriber_given_up` | warn | `actor`, `awaits`, `waiting_for`, `subscribers` | it has not acknowledged within `yield_for`: renewals stop, the lease expires, and the next leader comes up to a ttl later | mend the handler, or give it more time with `yield_for` |
//! | `tenure.not_contending` | warn | `actor`, `awaits`, `waiting_for`, `subscribers` | this process does not contend until the actor acknowledges; written `yield_for` after the first message, or a ttl after `subscriber_given_up` | restart the process, if the actor is stuck |
//! | `tenure.watch_refused` | warn | `store`, `location`, `error` | the database refuses to push changes, so the locks of the store poll; once for each store | for MongoDB: make the server a replica set, or grant `changeStream`; for SQLite: let the process write the file that ends with `-wake`, and look at the free space |
//! | `tenure.work_failed` | warn | `token`, `error` | [`became_leader`](LeaderCallbacks::became_leader) has returned an error, so the leader resigns | mend what the error says; another process leads meanwhile |
//! | `tenure.no_random_bits` | error | `error` | the operating system gives no random bits: no lock can bid until it does | look at what limits the process; it tries again |
//! | `tenure.lock_acquired` | debug | `token` | a [`Mutex`] was locked, also by [`Once`] | nothing |
//! | `tenure.lock_lost` | warn | `token`, `reason`, `failing_for` | a [`Guard`] was lost, also that of a [`Once`] | as for `tenure.became_follower`; the work was cut off, or ran on unprotected |
//! | `tenure.lease_extended` | debug | `token`, `at`, `deadline` | each grant and renewal, of guards, too | nothing; to see who believed in which lease when |
//! | `tenure.lease_ended` | debug | `token`, `at` | a lease is not believed in any more, from `at` on | nothing |
//! | `tenure.signal` | info | | [`shutdown_on_signal`] has got a signal and gives the leases back | nothing |
//! | `tenure.signal_again` | warn | | a second signal ends that: leases may be left to expire | wait for up to `yield_for` next time |
//!
//! `at` and `deadline` are nanoseconds of the holder's [`Clock`](clock::Clock); `failing_for` and `waiting_for` are
//! text, as `1 min 5 s`. `failing_for` counts from when the first request that failed was sent;
//! `became_follower` has it if the last request failed.
//! Share one `Arc` of the store among all locks: each `Arc` logs its own outage. An error that concerns one
//! record (corrupt, or of a newer library) is written for each resource.
//!
//! # Features
//!
#![cfg_attr(feature = "document-features", doc = document_features::document_features!())]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[macro_use]
mod events;
#[macro_use]
mod mutants;

pub mod actor;
pub mod clock;
#[cfg(feature = "conformance")]
#[cfg_attr(docsrs, doc(cfg(feature = "conformance")))]
pub mod conformance;
mod driver;
mod duration;
mod election;
pub mod follow;
pub mod leadership;
pub mod lease;
pub mod mutex;
pub mod once;
pub mod operator;
mod runtime;
#[allow(
    dead_code,
    unused_imports,
    reason = "nothing drives the parts of sharded ownership yet"
)]
mod shards;
#[cfg(test)]
mod simulation;
pub mod store;
mod sync;
pub mod testing;
pub mod timing;

pub use actor::{
    BecameFollower, BecameLeader, Leader, LockActor, LockBuilder, LockHandle, shutdown_on_signal,
    start_actor,
};
pub use driver::StartError;
pub use follow::{LeaderCallbacks, follow};
pub use leadership::{Leadership, Reason};
pub use lease::FencingToken;
pub use mutex::{Guard, LockError, LockManager, Mutex, MutexOptions, lock_all};
pub use once::Once;
pub use operator::Operator;
#[cfg(feature = "dynamodb")]
#[cfg_attr(docsrs, doc(cfg(feature = "dynamodb")))]
pub use store::DynamoStore;
#[cfg(feature = "mongodb")]
#[cfg_attr(docsrs, doc(cfg(feature = "mongodb")))]
pub use store::MongoStore;
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub use store::SqliteStore;
pub use store::fencing;
pub use store::{LeaseStore, MemoryStore, StoreError, open as open_store};
pub use timing::Timing;

#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../README.md")]
mod readme {}
