//! A register in the store of the leases, that takes a write only with the newest token, and remembers
//! the tokens of all that it took.

#[cfg(feature = "dynamodb")]
pub(crate) mod dynamodb;
#[cfg(feature = "mongodb")]
pub(crate) mod mongodb;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;
use tenure::{
    fencing::{FencingError, TokenGuard},
    lease::Lease,
};

/// Where the supervisor looks whether the store takes writes.
pub(crate) const PROBE: &str = "probe";

#[async_trait]
pub(crate) trait Register: Send + Sync {
    /// Makes what is missing, with a record for each resource.
    async fn prepare(&self, resources: &[String]) -> Result<(), String>;

    /// Whether the write was taken. Unguarded, it is taken whatever the token.
    async fn write(&self, lease: &Lease, guarded: bool) -> Result<bool, String>;

    /// The tokens of all writes that were taken, in their order.
    async fn history(&self, resource: &str) -> Result<Vec<u64>, String>;
}

/// Keeps the token where the history is written from.
fn guard(lease: &Lease) -> TokenGuard {
    TokenGuard::new(lease).field("token")
}

/// Whether a write was taken; the words are for those that failed.
fn taken<T, E>(
    written: Result<T, FencingError<E>>,
    text: impl FnOnce(FencingError<E>) -> String,
) -> Result<bool, String> {
    match written {
        Ok(_) => Ok(true),
        Err(FencingError::RejectedWrite(_)) => Ok(false),
        Err(error) => Err(text(error)),
    }
}

/// The register in the store of this URL.
pub(crate) async fn open(url: &str) -> Result<Arc<dyn Register>, String> {
    #[cfg(feature = "sqlite")]
    if let Some(path) = url.strip_prefix("sqlite:") {
        return Ok(Arc::new(sqlite::SqliteRegister::open(path.into())?));
    }
    #[cfg(feature = "mongodb")]
    if url.starts_with("mongodb:") {
        return Ok(Arc::new(mongodb::MongoRegister::open(url).await?));
    }
    #[cfg(feature = "dynamodb")]
    if url.starts_with("dynamodb:") {
        return Ok(Arc::new(dynamodb::DynamoRegister::open(url)?));
    }
    Err(format!("no register for {url}"))
}
