//! The contract between an election and the database that keeps its leases.

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
mod fixtures;
mod memory;
#[cfg(feature = "mongodb")]
mod mongodb;
#[cfg(any(test, feature = "dynamodb", feature = "sqlite"))]
#[cfg_attr(not(feature = "dynamodb"), allow(dead_code))]
pub(crate) mod observed;
#[cfg(any(test, feature = "dynamodb", feature = "mongodb"))]
mod on_library_thread;
mod record;
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
pub use crate::lease::bid::{AttemptId, Bid, Claim};
pub(crate) use error::WithCauses;
pub use error::{Operation, StoreError, StoreErrorKind};
pub use memory::MemoryStore;
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteStore, SqliteStoreBuilder};
pub use url::open;

#[cfg(test)]
pub(crate) use record::StoredRecord;

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;
use futures::{future::join_all, stream::BoxStream};

use crate::lease::{FencingToken, Lease, LeaseRecord, ResourceName, Scope};

/// What a database has to answer within, before `prepare` says that it cannot be reached: less than it
/// promises.
#[cfg(any(feature = "dynamodb", feature = "mongodb"))]
pub(crate) const REACHED_WITHIN: Duration = Duration::from_millis(4_500);

/// The answer to a bid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AcquireOutcome {
    /// The lease is the bidder's, under this token.
    Granted {
        /// The token of this acquisition.
        token: FencingToken,
    },
    /// The lease is another's, or the attempt is spent.
    Refused(LeaseRecord),
}

/// The answer to a renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenewOutcome {
    /// The lease lives for a whole ttl again.
    Renewed,
    /// The lease is lost: it expired, another holds it, or an operator evicted it. The record is
    /// `None` where the store has none.
    Lost(Option<LeaseRecord>),
}

/// The answer to a release or an eviction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReleaseOutcome {
    /// Done.
    Released,
    /// The lease was not held as claimed; nothing was changed.
    NotHeld(Option<LeaseRecord>),
}

/// How an operator ends somebody's lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// Renewals are refused from now on, and nobody acquires the lease before its standing expiry:
    /// the holder has that long to notice.
    Close,
    /// The lease is free at once. **Outside the guarantee**: the holder may still believe in it until
    /// its deadline. For a holder that is known to be dead.
    Force,
}

/// A database that keeps leases.
///
/// Each method is one atomic step on one record. Losing a race is an outcome, not an error; errors
/// say whether the request may have been applied ([`StoreErrorKind`]). A record is never deleted in
/// normal operation, because its token would be lost.
///
/// # Time limits
///
/// Each call carries a `limit`, which counts from the call. The store answers within it: where the database
/// does not, with an error of its own that names the server and the cause. The caller gives up only a
/// little later, without a word of the cause. A store may have a shorter limit of its own; the smaller one
/// counts. A call that never waits ignores it.
///
/// # Writing a store
///
/// - The version of a record is increased by the database with **every** write, also a repeated one.
/// - Expiry is judged by the database's clock, or observed (see [`acquire`](Self::acquire)); never by
///   the caller's wall clock.
/// - An automatic retry of the driver is off for writes, or the statement accepts its own attempt by
///   writing again. Finding one's own attempt is a cue to write, never a grant.
/// - No method may block the calling thread.
///
/// # Cancel safety
///
/// A dropped future may or may not have been applied; the caller treats it as
/// [`StoreErrorKind::Unknown`].
#[async_trait]
pub trait LeaseStore: Send + Sync + Debug {
    /// The kind of store, for messages: `sqlite`, `mongodb`, …
    fn kind(&self) -> &'static str;

    /// The shortest ttl that the store can keep. Default 1 ms.
    fn min_ttl(&self) -> Duration {
        Duration::from_millis(1)
    }

    /// Adds what an existing table lacks. Harmless when repeated. Default: nothing to do.
    ///
    /// It has no limit, because an index of very many records takes its time. But a database that cannot be
    /// reached is an error within 5 s.
    ///
    /// # Errors
    /// [`StoreErrorKind::Misconfigured`] where something of another layout has the name;
    /// [`StoreErrorKind::Unavailable`] where the database cannot be reached.
    async fn prepare(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Takes the lease if there is none, it is released, or it has expired.
    ///
    /// - The token grows by at least 1 with every acquisition.
    /// - An attempt that holds the lease *unexpired* gets its own token back and a **fresh** expiry,
    ///   by a write, so that the bidder may count its deadline from this request.
    /// - An expired attempt gets no token back: it is a new acquisition, with a new token.
    /// - The record's last attempt, once released, is spent: it is refused.
    /// - A [closing](Eviction::Close) lease is refused until it expires.
    /// - A [reentrant](Bid::reentrant) bid also takes the lease from its own candidate id, with a new
    ///   token.
    /// - A store without a clock counts the holder's whole ttl from the arrival of the reply in which
    ///   it first saw the present token and version, and takes over only if both are unchanged.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreErrorKind::Unsupported`] where the record asks for a newer library.
    async fn acquire(&self, bid: &Bid, limit: Duration) -> Result<AcquireOutcome, StoreError>;

    /// Extends the lease to a whole ttl if token and holder still match and it has not expired.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    async fn renew(
        &self,
        lease: &Lease,
        ttl: Duration,
        limit: Duration,
    ) -> Result<RenewOutcome, StoreError>;

    /// Clears the holder if the lease is held as claimed: by token and holder, by the attempt, or by
    /// the holder alone. The record stays, with its token and metadata, and its last attempt is spent.
    ///
    /// Whether the lease has expired does not matter, as long as nobody else has taken it.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    async fn release(&self, claim: &Claim, limit: Duration) -> Result<ReleaseOutcome, StoreError>;

    /// The record of a resource, if it was ever led.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn read(
        &self,
        resource: &ResourceName,
        limit: Duration,
    ) -> Result<Option<LeaseRecord>, StoreError>;

    /// The records directly in a scope, ordered by name.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn list(&self, scope: &Scope, limit: Duration) -> Result<Vec<LeaseRecord>, StoreError>;

    /// Ends the acquisition with this token, at the wish of an operator.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    async fn evict(
        &self,
        resource: &ResourceName,
        token: FencingToken,
        eviction: Eviction,
        limit: Duration,
    ) -> Result<ReleaseOutcome, StoreError>;

    /// Renews several leases, each as [`renew`](Self::renew). Default: concurrent single requests.
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

    /// A stream of "something changed, look again", if the store can push. Never the only way to
    /// learn. Default: none.
    fn watch(&self, resource: &ResourceName) -> Option<BoxStream<'static, ()>> {
        let _ = resource;
        None
    }
}
