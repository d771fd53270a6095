//! The contract of registers: small texts that change by compare-and-set.

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;

use super::StoreError;
use crate::lease::{RegisterValue, ResourceName, Scope};

/// A register as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// Its name.
    pub name: ResourceName,
    /// How often it was written: 1 after the first [`put`](RegisterStore::put).
    pub version: u64,
    /// What was written last.
    pub value: RegisterValue,
}

impl Register {
    /// The rule of [`put`](RegisterStore::put), for a store that reads and writes in one atomic step: the register to
    /// write, or what the put conflicts with.
    pub(crate) fn next(
        before: Option<Self>,
        name: &ResourceName,
        expected: Option<u64>,
        value: &RegisterValue,
    ) -> Result<Self, Option<Self>> {
        let version = before.as_ref().map(|register| register.version);
        if version != expected {
            return Err(before);
        }
        Ok(Self {
            name: name.clone(),
            version: version.unwrap_or(0) + 1,
            value: value.clone(),
        })
    }
}

/// The answer to [`put`](RegisterStore::put).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// The value was written.
    Stored {
        /// The version that it has.
        version: u64,
    },
    /// The register has another version than the one that was expected. Nothing was changed. `None`: it has never
    /// been written.
    ///
    /// It may be one's own value: the answer to an earlier copy of the request was lost.
    Conflict(Option<Register>),
}

/// A database that keeps registers: named texts, which processes change by compare-and-set.
///
/// - `put` is one atomic step on one register, and linearizable: what it is told of a conflict is the register at some
///   moment between the call and the answer.
/// - `get` and `get_many` may answer with an older register, but never with a write that is undone later.
/// - The version begins at 1 and grows by 1 with each write. It is never reset, because no register is deleted, also by
///   [`purge`](super::LeaseStore::purge).
/// - Registers and leases have separate names: a register may have the name of a resource.
/// - A put is an event of [`watch`](super::LeaseStore::watch), if the store can push.
/// - Automatic retries of the driver are off for `put`, or are told from a conflict.
///
/// Time limits, errors and cancel safety are as those of a [`LeaseStore`](super::LeaseStore).
///
/// # Examples
///
/// ```
/// # use std::time::Duration;
/// use tenure::{
///     MemoryStore,
///     lease::{RegisterValue, ResourceName},
///     store::{PutOutcome, RegisterStore as _},
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryStore::new();
/// let (name, limit) = (ResourceName::new("prices/version")?, Duration::from_secs(1));
/// let first = store.put(&name, None, &RegisterValue::new("2026-12")?, limit).await?;
/// assert_eq!(first, PutOutcome::Stored { version: 1 });
///
/// // Another process was earlier: the conflict has the value that it wrote.
/// let late = store.put(&name, None, &RegisterValue::new("2026-11")?, limit).await?;
/// let PutOutcome::Conflict(Some(found)) = late else { panic!("{late:?}") };
/// assert_eq!((found.version, found.value.as_str()), (1, "2026-12"));
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait RegisterStore: Send + Sync + Debug {
    /// Reads a register. It is `None` if it was never written.
    ///
    /// # Errors
    /// As [`acquire`](super::LeaseStore::acquire).
    async fn get(
        &self,
        name: &ResourceName,
        limit: Duration,
    ) -> Result<Option<Register>, StoreError>;

    /// Reads the registers that are directly in a scope, ordered by name. They need not be of one moment.
    ///
    /// # Errors
    /// As [`acquire`](super::LeaseStore::acquire).
    async fn get_many(&self, scope: &Scope, limit: Duration) -> Result<Vec<Register>, StoreError>;

    /// Writes a register if it has the expected version; `None` expects that it was never written.
    ///
    /// # Errors
    /// As [`acquire`](super::LeaseStore::acquire). After [`Unknown`](super::StoreErrorKind::Unknown), read the
    /// register: the value may have been written, and may still be.
    async fn put(
        &self,
        name: &ResourceName,
        expected: Option<u64>,
        value: &RegisterValue,
        limit: Duration,
    ) -> Result<PutOutcome, StoreError>;
}
