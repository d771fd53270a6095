//! Fenced writes: the database itself rejects the writes of a stale leader.
//!
//! A process may freeze after it has checked that it leads and before it writes. No lock can stop what it then
//! sends ([the guarantee](crate#the-guarantee)). The database that takes the write can. There are two ways,
//! and both are part of *your own* write, to your own table:
//!
//! | | [token guard](TokenGuard) | leader transaction |
//! | --- | --- | --- |
//! | compares with | the highest token in the row that is written | the record of the lease |
//! | the row needs | a column or field for the token | nothing |
//! | your data are | anywhere | in the database of the leases |
//! | rejects | once a newer leader has written **that row** | once the lease has expired, or was released, evicted or taken over |
//! | costs | nothing, or a statement in your transaction | a transaction, for which renewals wait |
//!
//! | store | token guard | leader transaction |
//! | --- | --- | --- |
//! | SQLite | `TokenGuard::claim`, `TokenGuard::transaction` | `SqliteStore::confirm`, `SqliteStore::leader_transaction` |
//! | MongoDB | `TokenGuard::update_one`, `upsert_one`, `find_one_and_update` | `MongoStore::confirm`, `MongoStore::leader_transaction` |
//! | DynamoDB | `TokenGuard::update_item`, `TokenGuard::put_item` | `DynamoStore::leader_transaction` |
//!
//! All take the [`Lease`] that [`Leadership::lease`](crate::Leadership::lease) returns. If a write comes too
//! late, they return [`RejectedWrite`], and nothing of it was applied.
//!
//! # What is guaranteed
//!
//! - Token guards: once a newer acquisition has written a row, no write of an older one to that row is applied.
//! - Leader transactions: once a newer acquisition exists, no transaction of an older one is applied, whether
//!   or not the newer leader has written.
//!
//! Neither depends on clocks: if a margin was too short or a clock jumped, a stale write is still rejected.
//!
//! # What is not
//!
//! - A token guard knows what was written, not who leads. Until the newer leader has written a row, the older
//!   one can still write it. So let a new leader claim its rows as soon as it leads.
//! - Guards see only the writes that use them.
//! - One token column serves **one resource**. Tokens of two resources cannot be compared.
//! - A restored backup takes tokens back, and so does a row that is deleted and created again.
//! - DynamoDB does not know when a lease expires. There, a leader transaction is applied until the lease is
//!   taken over, released or evicted.
//!
//! A leader transaction needs the concrete store, such as `SqliteStore`: what
//! [`open_store`](crate::open_store) returns hides which database it is. A token guard needs no store.

use std::fmt;

use thiserror::Error;

use super::StoreError;
use crate::lease::{FencingToken, Lease, LeaseRecord, ResourceName};

/// A write that was rejected because its acquisition is no longer the newest. Nothing of it was applied.
///
/// This is final: a later write with the same lease is rejected, too. Stop the work, and wait until you lead
/// again.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a write for {resource} under token {token} was rejected: {reason}{}", of_newest(*.newest))]
#[non_exhaustive]
pub struct RejectedWrite {
    /// The resource that the writer led.
    pub resource: ResourceName,
    /// The token of its acquisition.
    pub token: FencingToken,
    /// The highest token that the database knows, in the row or in the record of the lease. `None` if there
    /// is no record, or if the database does not return it.
    pub newest: Option<FencingToken>,
    /// Why the write was rejected.
    pub reason: RejectionReason,
}

fn of_newest(newest: Option<FencingToken>) -> String {
    newest.map_or_else(String::new, |newest| format!(" (newest token {newest})"))
}

/// Why a write was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionReason {
    /// There is a newer acquisition.
    Superseded,
    /// The lease has expired, and is not taken over yet.
    Expired,
    /// The lease was released.
    Released,
    /// An operator has evicted the holder.
    Evicted,
    /// The lease is from another clock, for instance from before a restart of the machine.
    ForeignClock,
    /// The database does not know the acquisition: it was emptied, was restored from a backup, or is not the
    /// one with the leases.
    Forgotten,
}

impl fmt::Display for RejectionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Superseded => "there is a newer leader",
            Self::Expired => "the lease has expired",
            Self::Released => "the lease was released",
            Self::Evicted => "an operator has evicted the leader",
            Self::ForeignClock => "the lease is from another clock, such as one before a restart",
            Self::Forgotten => "the database does not know this acquisition",
        })
    }
}

impl RejectedWrite {
    /// Rejected by a row with this token.
    pub(crate) fn by_token(lease: &Lease, newest: Option<FencingToken>) -> Self {
        Self {
            resource: lease.resource.clone(),
            token: lease.token,
            newest,
            reason: RejectionReason::Superseded,
        }
    }

    /// Rejected by the record of the lease, which does not allow the lease to be renewed.
    pub(crate) fn by_record(lease: &Lease, record: Option<&LeaseRecord>) -> Self {
        let reason = match record {
            Some(record) if record.token > lease.token => RejectionReason::Superseded,
            Some(record) if record.token == lease.token => match &record.holder {
                Some(holder) if *holder != lease.holder => RejectionReason::Forgotten,
                _ if record.closing => RejectionReason::Evicted,
                None => RejectionReason::Released,
                Some(_) => RejectionReason::Expired,
            },
            _ => RejectionReason::Forgotten,
        };
        Self {
            reason,
            ..Self::by_token(lease, record.map(|record| record.token))
        }
    }
}

/// Why a fenced write failed. `E` is the driver's error, or that of the work in a transaction.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FencingError<E> {
    /// The acquisition is no longer the newest. Nothing was applied.
    #[error(transparent)]
    Rejected(#[from] RejectedWrite),
    /// There is no such row, and so no token to compare with. Nothing was applied.
    #[error("there is no such row to guard")]
    NotFound,
    /// The row or the write cannot be guarded. The text says why and what to do. Nothing was applied.
    #[error("the write cannot be guarded: {0}")]
    Unguardable(String),
    /// The record of the lease could not be checked. Nothing was applied.
    #[error(transparent)]
    Lease(#[from] StoreError),
    /// The database or the work failed. This error says whether anything was applied.
    #[error(transparent)]
    Failed(E),
}

impl<E> FencingError<E> {
    /// The rejected write, if this is [`Rejected`](Self::Rejected).
    #[must_use]
    pub fn rejected_write(&self) -> Option<&RejectedWrite> {
        match self {
            Self::Rejected(rejected) => Some(rejected),
            _ => None,
        }
    }
}

/// Guards a write to a row: the database applies it only if the row has no newer token, and stores this one.
///
/// The token is kept in a column or field of the row, [`fencing_token`](Self::FIELD) by default, which holds
/// an integer or nothing. A row without a token accepts any. Writes of the same acquisition are not ordered.
///
/// The methods for a database come with the feature of its store. Each says what it sends.
#[derive(Clone, Debug)]
#[must_use]
pub struct TokenGuard {
    pub(crate) lease: Lease,
    pub(crate) field: String,
}

impl TokenGuard {
    /// The default column or field of the token: `fencing_token`.
    pub const FIELD: &str = "fencing_token";

    /// A guard for the writes of this acquisition.
    pub fn new(lease: &Lease) -> Self {
        Self {
            lease: lease.clone(),
            field: Self::FIELD.to_owned(),
        }
    }

    /// Sets the column or field that keeps the token. Default [`FIELD`](Self::FIELD).
    pub fn field(mut self, name: impl Into<String>) -> Self {
        self.field = name.into();
        self
    }

    /// The token for databases with signed integers.
    pub(crate) fn signed<E>(&self) -> Result<i64, FencingError<E>> {
        i64::try_from(self.lease.token.get()).map_err(|_| {
            let message = format!("token {} does not fit into 63 bits", self.lease.token);
            FencingError::Unguardable(message)
        })
    }

    /// The rejection by a row with this token, if it is newer.
    pub(crate) fn refused_by(&self, found: u64) -> Option<RejectedWrite> {
        let found = FencingToken::new(found);
        (found > self.lease.token).then(|| RejectedWrite::by_token(&self.lease, Some(found)))
    }
}

#[cfg(test)]
mod tests;
