//! Fencing that bites: writes that the database itself refuses when they come from an older leader.
//!
//! A process may freeze between the moment in which it finds that it leads and its write, and no lock can
//! stop what it then sends ([the guarantee](crate#the-guarantee)). What can is the database that takes the
//! write. There are two forms, and both go into *your own* write, to your own table:
//!
//! | | [token guard](TokenGuard) | leader transaction |
//! | --- | --- | --- |
//! | checks | the highest token in the row that is written | the record of the lease |
//! | the row needs | a column or field for the token | nothing |
//! | your data are | anywhere | in the database of the leases |
//! | refused | once a newer leader has written **that row** | once the lease has expired, was given back, evicted or taken over |
//! | costs | nothing, or a statement in your transaction | a transaction, for which renewals wait |
//!
//! | store | token guard | leader transaction |
//! | --- | --- | --- |
//! | SQLite | `TokenGuard::claim`, `TokenGuard::transaction` | `SqliteStore::confirm`, `SqliteStore::leader_transaction` |
//! | MongoDB | `TokenGuard::update_one`, `upsert_one`, `find_one_and_update` | `MongoStore::confirm`, `MongoStore::leader_transaction` |
//! | DynamoDB | `TokenGuard::update_item`, `TokenGuard::put_item` | `DynamoStore::leader_transaction` |
//!
//! All take the [`Lease`] that [`Leadership::lease`](crate::Leadership::lease) gives, and answer a write
//! that came too late with [`RejectedWrite`]: nothing of it was applied.
//!
//! # What is guaranteed
//!
//! Of the writes to one row that go through a guard, none of an older acquisition is applied after one of
//! a newer. Leader transactions of one resource promise that for all rows together, and more: none is
//! applied after a newer acquisition, whether that has written or not. Clocks have no part in either: a
//! margin that was too short, or a clock that jumped, lets nothing through.
//!
//! # What is not
//!
//! - A token guard knows what was written, not who leads. Until the newer leader has written a row, the
//!   older one still can; let a new leader claim the rows that it will work on as soon as it leads.
//! - A write that goes past the guards is not seen by them, nor is what a writer does elsewhere.
//! - One token column serves **one resource**. Tokens of two resources have nothing to do with each other.
//! - A backup that is restored takes tokens back, and so does a row that is deleted and made anew.
//! - A DynamoDB table does not know when a lease expires; there, a leader transaction goes through until
//!   somebody has taken the lease over, or it was given back or evicted.
//!
//! A leader transaction needs the concrete store, `SqliteStore` and so on: what
//! [`open_store`](crate::open_store) returns does not tell which database it is. A token guard needs no
//! store at all.

use std::fmt;

use thiserror::Error;

use super::StoreError;
use crate::lease::{FencingToken, Lease, LeaseRecord, ResourceName};

/// A write that was refused because its acquisition is no longer the newest. Nothing of it was applied.
///
/// It is final: the same lease will be refused again. Stop the work, and wait to be leader again.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a write for {resource} under token {token} was refused: {reason}{}", of_newest(*.newest))]
#[non_exhaustive]
pub struct RejectedWrite {
    /// What the writer believed to lead.
    pub resource: ResourceName,
    /// The token of its acquisition.
    pub token: FencingToken,
    /// The highest token that the database knows: in the row, or in the record of the lease. `None` where
    /// there is no record, or the database does not tell.
    pub newest: Option<FencingToken>,
    /// Why it was refused.
    pub reason: RejectionReason,
}

fn of_newest(newest: Option<FencingToken>) -> String {
    newest.map_or_else(String::new, |newest| format!(" (newest token {newest})"))
}

/// Why a write was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionReason {
    /// There is a newer acquisition.
    Superseded,
    /// The lease has expired, and nobody has taken it over yet.
    Expired,
    /// The lease was given back.
    Released,
    /// An operator has evicted the holder.
    Evicted,
    /// The lease counts on another clock than this process's, as after a restart of the machine.
    ForeignClock,
    /// The database does not know the acquisition: it was emptied, or restored from a backup, or it is not
    /// the one with the leases.
    Forgotten,
}

impl fmt::Display for RejectionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Superseded => "there is a newer leader",
            Self::Expired => "the lease has expired",
            Self::Released => "the lease was given back",
            Self::Evicted => "an operator has evicted the leader",
            Self::ForeignClock => "the lease is from another clock, as before a restart",
            Self::Forgotten => "the database does not know this acquisition",
        })
    }
}

impl RejectedWrite {
    /// By a row with this token.
    pub(crate) fn by_token(lease: &Lease, newest: Option<FencingToken>) -> Self {
        Self {
            resource: lease.resource.clone(),
            token: lease.token,
            newest,
            reason: RejectionReason::Superseded,
        }
    }

    /// By the record of the lease, which is not one that the lease could be renewed on.
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

/// Why a guarded write did not happen. `E` is the driver's error, or that of the work in a transaction.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FencingError<E> {
    /// The acquisition is no longer the newest. Nothing was applied.
    #[error(transparent)]
    RejectedWrite(#[from] RejectedWrite),
    /// There is no such row, so that there is no token to compare with. Nothing was applied.
    #[error("there is no row to guard")]
    NotFound,
    /// The row or the write is of a form that cannot be guarded; the text says why and what to do.
    /// Nothing was applied.
    #[error("the write cannot be guarded: {0}")]
    Unguardable(String),
    /// The record of the lease could not be looked at. Nothing was applied.
    #[error(transparent)]
    Lease(#[from] StoreError),
    /// The database, or the work, has failed. Whether something was applied is for this error to say.
    #[error(transparent)]
    Failed(E),
}

impl<E> FencingError<E> {
    /// The refusal, if it is one.
    #[must_use]
    pub fn fenced(&self) -> Option<&RejectedWrite> {
        match self {
            Self::RejectedWrite(fenced) => Some(fenced),
            _ => None,
        }
    }
}

/// Lets a write to a row through only if the row has seen no newer token, and leaves its own there.
///
/// The token is kept in a column or field of the row, [`fencing_token`](Self::FIELD) by default, which
/// holds an integer or nothing. A row without a token takes any. Writes of the same acquisition are not
/// ordered among each other.
///
/// The methods for a database come with the feature of its store; each says what it sends.
#[derive(Clone, Debug)]
#[must_use]
pub struct TokenGuard {
    pub(crate) lease: Lease,
    pub(crate) field: String,
}

impl TokenGuard {
    /// Where the token is kept, if not told otherwise: `fencing_token`.
    pub const FIELD: &str = "fencing_token";

    /// A guard for the writes of this acquisition.
    pub fn new(lease: &Lease) -> Self {
        Self {
            lease: lease.clone(),
            field: Self::FIELD.to_owned(),
        }
    }

    /// Keeps the token in this column or field. Default [`FIELD`](Self::FIELD).
    pub fn field(mut self, name: impl Into<String>) -> Self {
        self.field = name.into();
        self
    }

    /// The token as databases with signed integers keep it.
    pub(crate) fn signed<E>(&self) -> Result<i64, FencingError<E>> {
        i64::try_from(self.lease.token.get()).map_err(|_| {
            let message = format!("token {} does not fit into 63 bits", self.lease.token);
            FencingError::Unguardable(message)
        })
    }

    /// The refusal by a row with this token, if that is a newer one.
    pub(crate) fn refused_by(&self, found: u64) -> Option<RejectedWrite> {
        let found = FencingToken::new(found);
        (found > self.lease.token).then(|| RejectedWrite::by_token(&self.lease, Some(found)))
    }
}

#[cfg(test)]
mod tests;
