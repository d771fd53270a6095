//! The contract of a store: what an election asks of the database that keeps its leases.

mod change_feed;
#[cfg(feature = "dynamodb")]
mod dynamodb;
mod error;
#[cfg(any(test, feature = "dynamodb", feature = "mongodb", feature = "sqlite"))]
#[cfg_attr(not(any(feature = "mongodb", feature = "sqlite")), allow(dead_code))]
pub(crate) mod failure;
pub(crate) mod faulty;
#[cfg_attr(not(any(feature = "mongodb", feature = "sqlite")), allow(dead_code))]
pub mod fencing;
#[cfg(test)]
pub(crate) mod fixtures;
mod memory;
#[cfg(feature = "mongodb")]
mod mongodb;
#[cfg(any(test, feature = "dynamodb", feature = "sqlite"))]
#[cfg_attr(not(feature = "dynamodb"), allow(dead_code))]
pub(crate) mod observed;
#[cfg(any(test, feature = "dynamodb", feature = "mongodb"))]
mod on_library_thread;
mod record;
mod register;
#[cfg(any(test, feature = "dynamodb", feature = "mongodb"))]
#[cfg_attr(not(any(feature = "dynamodb", feature = "mongodb")), allow(dead_code))]
mod request_limiter;
#[cfg(feature = "sqlite")]
mod sqlite;
mod url;

#[cfg(feature = "dynamodb")]
pub use self::dynamodb::DynamoStore;
#[cfg(feature = "mongodb")]
pub use self::mongodb::MongoStore;
#[cfg(feature = "mongodb")]
pub(crate) use self::mongodb::Servers;
pub use crate::lease::bid::{AttemptId, Bid, ReleaseTarget};
pub use crate::lease::{EndReason, Instruction, StandingInstruction};
pub(crate) use error::WithCauses;
pub use error::{Operation, StoreError, StoreErrorKind};
pub use memory::MemoryStore;
pub use register::{PutOutcome, Register, RegisterStore};
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteStore, SqliteStoreBuilder};
pub use url::open;

#[cfg(test)]
#[cfg(feature = "conformance")]
pub(crate) use change_feed::ChangeFeed;
#[cfg(test)]
pub(crate) use record::StoredRecord;

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;
use futures::{future::join_all, stream::BoxStream};

use crate::lease::{FencingToken, Lease, LeaseRecord, ResourceName, Scope};

/// How long `prepare` waits for the first answer of a database. It promises an error within 5 s, so this is
/// a little less.
#[cfg(any(feature = "dynamodb", feature = "mongodb"))]
pub(crate) const REACHED_WITHIN: Duration = Duration::from_millis(4_500);

/// The answer to [`acquire`](LeaseStore::acquire).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AcquireOutcome {
    /// The bidder holds the lease, under this token.
    Granted {
        /// The token of this acquisition.
        token: FencingToken,
    },
    /// Another candidate holds the lease, or the attempt is spent: it was released.
    Refused(LeaseRecord),
}

/// The answer to [`renew`](LeaseStore::renew).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenewOutcome {
    /// The lease expires a whole ttl after this renewal.
    Renewed {
        /// What an operator asks of the holder. It stands until the holder has obeyed it or it was taken back, so
        /// the same instruction comes with every renewal.
        instruction: Option<StandingInstruction>,
    },
    /// The lease is lost: it has expired, was released, was evicted by an operator, or another candidate
    /// holds it. The record is `None` if the store has none.
    Lost(Option<LeaseRecord>),
}

impl RenewOutcome {
    /// Renewed, with no instruction.
    pub const RENEWED: Self = Self::Renewed { instruction: None };
}

/// The answer to [`release`](LeaseStore::release) and [`evict`](LeaseStore::evict).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReleaseOutcome {
    /// The lease is released, or the eviction is recorded.
    Released,
    /// The lease was not held as claimed. Nothing was changed.
    NotHeld(Option<LeaseRecord>),
}

/// The answer to [`instruct`](LeaseStore::instruct).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstructOutcome {
    /// The instruction stands.
    Instructed {
        /// The edition of the record with it.
        edition: u64,
    },
    /// The record is not as the instruction says: another token leads, the lease is not held, the edition is
    /// another one, or the record is one of the library's own. Nothing was changed.
    Refused(Option<LeaseRecord>),
}

/// An item of the stream of [`watch`](LeaseStore::watch).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreEvent {
    /// The lease may have become free earlier than its record said, or something else in the record changed.
    Changed(ResourceName),
    /// A candidate has acquired the lease. If it is not released, it is held for this ttl from now on at most, so
    /// those who wait for it need not look before.
    Acquired {
        /// The resource.
        resource: ResourceName,
        /// The ttl of the lease.
        ttl: Duration,
    },
    /// A [register](RegisterStore) was written.
    RegisterChanged(ResourceName),
    /// Events may have been lost, for instance while the stream was not connected: any record may have changed.
    LookAtAll,
    /// The stream works. Nothing else is known.
    Alive,
}

/// How an operator ends a lease that another process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvictionMode {
    /// Renewals are refused from now on, and the lease cannot be acquired before its present expiry. The
    /// holder has that long to notice.
    ///
    /// If the store has no clock, or the lease is under another clock, the eviction is one more change that
    /// challengers observe: they count a whole ttl again, from when they first see it. Each repeated eviction
    /// makes them start again, so send it once.
    Close,
    /// The lease is free at once. **Outside the guarantee**: a holder that is alive may still lead until its
    /// deadline. Use it only if you know that the holder is dead.
    Force,
}

/// A database that keeps leases.
///
/// - `acquire`, `renew`, `release`, `read`, `evict` and `instruct` are each one atomic step on one record.
/// - Losing a race is an outcome, not an error.
/// - An error says whether the request may have been applied ([`StoreErrorKind`]).
/// - A store deletes a record only in `purge`.
/// - The first token of a record is the Unix time in milliseconds ([`FencingToken::first_at`]), by the database's
///   clock, or else by the caller's wall clock; from then on it grows by 1. So a record that was deleted, by a
///   purge, by hand or by a TTL index, comes back with a greater token, unless clocks differ by more than the
///   deletion lies back.
///
/// # Time limits
///
/// - Each call carries a `limit`, which counts from the call.
/// - The store answers within the limit.
/// - If the database does not answer in time, the store returns an error that names the place (a file, a
///   collection or a table). If the driver reports the server and the cause, the error names them, too.
/// - The caller gives up a little after the limit, with an error that cannot name the cause.
/// - A store may have a shorter limit of its own: the smaller one counts.
/// - A store that never waits may ignore the limit.
///
/// # Sharing a store
///
/// Pass clones of **one** `Arc` to all locks of a process. By it they know that they share the store: they then renew
/// their leases in common requests, and share one [`watch`](LeaseStore::watch).
///
/// # Writing a store
///
/// - The database increases the version of a record with **every** write, also with a repeated one, except by an
///   instruction.
/// - Expiry is judged by the database's clock, or observed (see [`acquire`](Self::acquire)).
/// - Expiry is never judged by the caller's wall clock.
/// - Turn the driver's automatic retries off for writes, or let the statement accept its own attempt by
///   writing again.
/// - If a request finds its own attempt in the record, it writes again; a read alone never grants a lease.
/// - No method blocks the calling thread.
///
/// The `conformance` feature has a test kit that checks a store against this contract.
///
/// # Cancel safety
///
/// A request whose future is dropped may or may not have been applied. The caller treats it as
/// [`StoreErrorKind::Unknown`].
#[async_trait]
pub trait LeaseStore: Send + Sync + Debug {
    /// The kind of store, for messages: `sqlite`, `mongodb`, …
    fn kind(&self) -> &'static str;

    /// Where the leases are, for messages: a file, a collection, a table. Processes that name different places do
    /// not compete with each other. Default: the [kind](Self::kind).
    fn location(&self) -> String {
        self.kind().to_owned()
    }

    /// The shortest ttl that the store supports. Default 1 ms.
    fn min_ttl(&self) -> Duration {
        Duration::from_millis(1)
    }

    /// Whether a request may be polled in the task that calls now, on any thread. Then the first bid of an uncontended
    /// lock and its release are sent from there, which saves the way to the library's thread and back.
    ///
    /// Return true only if the requests need no runtime, or if the caller is on one that they can use. If such a request
    /// takes longer than about a quarter of a second, the library goes on polling it on its own thread. Default false.
    fn runs_in_callers_task(&self) -> bool {
        false
    }

    /// Creates what the store needs in the database and does not find there, such as an index.
    ///
    /// Repeating the call does no harm. The default does nothing.
    ///
    /// The caller sets no limit, because indexing very many records takes long. A store may have one of its
    /// own. If the database cannot be reached, the call returns an error within 5 s.
    ///
    /// # Errors
    /// - [`StoreErrorKind::Misconfigured`]: a table with this name exists and has another layout.
    /// - [`StoreErrorKind::Unavailable`]: the database cannot be reached.
    /// - [`StoreErrorKind::Unknown`]: the store's own limit has passed. The database may still finish the work:
    ///   call it again.
    async fn prepare(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Takes the lease if there is no record of it, or if it is released or has expired.
    ///
    /// - The token grows by at least 1 with every acquisition.
    /// - If the bid's attempt holds the lease and it has *not expired*, the bid gets the same token and a
    ///   **fresh** expiry, by a write: the bidder counts its deadline from this request.
    /// - If the bid's attempt held the lease and it has expired, the bid is a new acquisition with a new
    ///   token.
    /// - If the bid's attempt is the last one of the record and was released, it is spent: the bid is refused.
    /// - If the lease is [closing](EvictionMode::Close), the bid is refused until the lease expires.
    /// - If the resource is paused, the bid is refused, also if its attempt holds the lease, unless it is
    ///   [internal](Bid::internal). Every write that takes a lease asks for that, not only the first.
    /// - If the lease is free or expired and was [handed over](Instruction::HandOver) to another candidate, the bid
    ///   is refused unless [`Bid::waited`] is the present token.
    /// - An acquisition clears the hand-over.
    /// - A bid that [replaces](Bid::replaces) a token also takes the lease that its own candidate id holds under exactly
    ///   this token, unless it is closing.
    /// - A [reentrant](Bid::reentrant) bid also takes a lease that its own candidate id holds, with a new
    ///   token.
    /// - A store without a clock counts the holder's whole ttl from the arrival of the reply in which it first
    ///   saw the present token and version.
    /// - Such a store takes over only if token and version are unchanged when it writes.
    ///
    /// # Errors
    /// - [`StoreErrorKind::Unsupported`]: the record needs a newer version of this library.
    /// - Any other [`StoreErrorKind`]: see there.
    async fn acquire(&self, bid: &Bid, limit: Duration) -> Result<AcquireOutcome, StoreError>;

    /// Extends the lease to a whole ttl, if token and holder still match and it has not expired. The answer has the
    /// instruction that stands in the record.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    async fn renew(
        &self,
        lease: &Lease,
        ttl: Duration,
        limit: Duration,
    ) -> Result<RenewOutcome, StoreError>;

    /// Clears the holder, if the lease is held as the [`ReleaseTarget`] says: by this token and holder, by this
    /// attempt, or by this holder.
    ///
    /// - The record stays, with its token and metadata.
    /// - The record's last attempt is spent: a later bid with it is refused.
    /// - An expired lease is released, too, unless another bid has taken it.
    /// - The reason is noted in the history, beside the last acquisition. `None` notes nothing.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    async fn release(
        &self,
        claim: &ReleaseTarget,
        reason: Option<EndReason>,
        limit: Duration,
    ) -> Result<ReleaseOutcome, StoreError>;

    /// Reads the record of a resource. It is `None` if nobody has ever acquired the lease.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    async fn read(
        &self,
        resource: &ResourceName,
        limit: Duration,
    ) -> Result<Option<LeaseRecord>, StoreError>;

    /// Reads the records that are directly in a scope, ordered by name.
    ///
    /// Where expiry is observed, each listed lease counts as seen: a process that only lists can take over an expired
    /// lease one ttl later.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    async fn list(&self, scope: &Scope, limit: Duration) -> Result<Vec<LeaseRecord>, StoreError>;

    /// Ends the acquisition with this token, because an operator asks for it.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    async fn evict(
        &self,
        resource: &ResourceName,
        token: FencingToken,
        eviction: EvictionMode,
        limit: Duration,
    ) -> Result<ReleaseOutcome, StoreError>;

    /// Writes an operator's instruction into the record.
    ///
    /// - [`HandOver`](Instruction::HandOver) applies while the lease is held under its token.
    /// - [`Pause`](Instruction::Pause) and [`Resume`](Instruction::Resume) apply if the record has the edition that
    ///   they name, and raise it by 1. A pause also applies if there is no record: it creates one, with a first
    ///   token and a first edition. The first edition of a record is the time of day, as the first token is, so that a
    ///   late instruction for a record that was purged does not apply to the one after it.
    /// - No instruction changes the expiry or the **version**: where leases are observed, repeated instructions
    ///   would otherwise keep the lease of a dead holder for ever.
    /// - A record of the library's own ([`LeaseRecord::internal`]) takes no instruction.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    async fn instruct(
        &self,
        resource: &ResourceName,
        instruction: &Instruction,
        limit: Duration,
    ) -> Result<InstructOutcome, StoreError>;

    /// Deletes the records directly in a scope that were not [touched](LeaseRecord::touched) for a time. Returns
    /// how many.
    ///
    /// It spares the records that are held, paused, or the library's own. A store that observes expiry deletes
    /// only records that were released. Each deletion is atomic, on the condition that the record is still so.
    ///
    /// After a deletion, the next token is the time of day. It is greater than the deleted one if the clocks of all
    /// writers differ by less than `untouched_for`, and no request is under way for longer: give it an hour or more.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire). After an error, some of the records may have been deleted: call it again.
    async fn purge(
        &self,
        scope: &Scope,
        untouched_for: Duration,
        limit: Duration,
    ) -> Result<u64, StoreError>;

    /// Renews several leases, each as [`renew`](Self::renew) does. The results have the order of `leases`.
    ///
    /// The default sends single requests concurrently.
    async fn renew_many(
        &self,
        leases: &[(Lease, Duration)],
        limit: Duration,
    ) -> Vec<Result<RenewOutcome, StoreError>> {
        join_all(
            leases
                .iter()
                .map(|(lease, ttl)| self.renew(lease, *ttl, limit)),
        )
        .await
    }

    /// A stream of what changes in the store, if it can push: one for all resources, shared by all locks of a process.
    ///
    /// - Whatever lets a lease be taken earlier is an event: a release, an eviction, an instruction, and a renewal
    ///   with a shorter ttl. A renewal for a whole ttl need not be one. An acquisition is one, if the store can tell.
    /// - A write of a [register](RegisterStore) is one, too.
    /// - [`LookAtAll`](StoreEvent::LookAtAll) comes after every reconnection.
    /// - While the stream is healthy, it yields something at least every `alive_every`. If it is silent for longer,
    ///   everybody polls again.
    /// - The stream may end at any time; the caller opens another one.
    /// - Followers also look by themselves: an event that never comes costs no more than a crash of the leader.
    ///
    /// The default is `None`: the store cannot push.
    fn watch(&self, alive_every: Duration) -> Option<BoxStream<'static, StoreEvent>> {
        let _ = alive_every;
        None
    }
}
