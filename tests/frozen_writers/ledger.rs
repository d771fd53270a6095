//! Rows in a real database. Each keeps the tokens of all writes that it accepted, in order.

#[cfg(feature = "dynamodb")]
mod dynamodb;
#[cfg(feature = "mongodb")]
mod mongodb;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::{fmt::Debug, path::Path, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tenure::{LeaseStore, fencing::FencingError, lease::Lease};

pub(crate) const ROWS: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Guard {
    Token,
    Leader,
    None,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    Applied,
    Refused,
    Unknown(String),
}

impl Outcome {
    #[allow(dead_code, reason = "without a store there is no ledger")]
    fn of<T, E: Debug>(done: Result<T, FencingError<E>>) -> Self {
        match done {
            Ok(_) => Self::Applied,
            Err(FencingError::Rejected(_)) => Self::Refused,
            Err(error) => Self::Unknown(format!("{error:?}")),
        }
    }
}

/// The database of a contest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ContestStore {
    pub(crate) kind: String,
    /// A name that no other contest uses.
    pub(crate) run: String,
    /// A file, or the URL of a server.
    pub(crate) at: String,
}

impl ContestStore {
    pub(crate) fn new(kind: &str, folder: &Path) -> Self {
        let variable = format!("TENURE_{}_URL", kind.to_uppercase());
        let at = match kind {
            "sqlite" => folder.join("app.db").display().to_string(),
            _ => std::env::var(&variable).unwrap_or_else(|_| {
                panic!(
                    "{variable} is not set: start the servers with `scripts/servers up`, then run \
                     `eval \"$(scripts/servers env)\"`"
                )
            }),
        };
        Self {
            kind: kind.to_owned(),
            run: format!("frozen-{:016x}", rand::random::<u64>()),
            at,
        }
    }
}

#[async_trait]
pub(crate) trait Ledger: Send + Sync {
    /// Creates the rows.
    async fn prepare(&self);

    fn leases(&self) -> Arc<dyn LeaseStore>;

    async fn write(&self, guard: Guard, lease: &Lease, row: usize) -> Outcome;

    /// The tokens of the applied writes, for each row, or for all rows together if the database has one order
    /// for them.
    async fn rows(&self) -> Vec<Vec<u64>>;
}

/// The databases that this build supports.
pub(crate) fn kinds() -> Vec<&'static str> {
    let kinds = [
        ("sqlite", cfg!(feature = "sqlite")),
        ("mongodb", cfg!(feature = "mongodb")),
        ("dynamodb", cfg!(feature = "dynamodb")),
    ];
    let known = kinds.into_iter().filter(|(_, known)| *known);
    known.map(|(kind, _)| kind).collect()
}

pub(crate) async fn open(contest_store: &ContestStore) -> Box<dyn Ledger> {
    match contest_store.kind.as_str() {
        #[cfg(feature = "sqlite")]
        "sqlite" => Box::new(sqlite::Sqlite::open(contest_store)),
        #[cfg(feature = "mongodb")]
        "mongodb" => Box::new(mongodb::Mongo::open(contest_store).await),
        #[cfg(feature = "dynamodb")]
        "dynamodb" => Box::new(dynamodb::Dynamo::open(contest_store).await),
        kind => panic!("no ledger for {kind}"),
    }
}
