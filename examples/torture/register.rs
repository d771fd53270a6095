//! A register in the store of the leases. It applies a write only if its token is the newest, and records the
//! tokens of all writes that it applied.

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

/// The resource to which the supervisor writes, to check that the store takes writes.
pub(crate) const PROBE: &str = "probe";

#[async_trait]
pub(crate) trait Register: Send + Sync {
    /// Creates what is missing, with a record for each resource.
    async fn prepare(&self, resources: &[String]) -> Result<(), String>;

    /// Writes, and returns whether the write was applied. Without the guard, every token is applied.
    async fn write(&self, lease: &Lease, guarded: bool) -> Result<bool, String>;

    /// The tokens of all applied writes, in order.
    async fn history(&self, resource: &str) -> Result<Vec<u64>, String>;
}

/// The guard, whose token is in the field from which the history is written.
fn guard(lease: &Lease) -> TokenGuard {
    TokenGuard::new(lease).field("token")
}

/// Whether a write was applied; `text` describes an error.
fn taken<T, E>(
    written: Result<T, FencingError<E>>,
    text: impl FnOnce(FencingError<E>) -> String,
) -> Result<bool, String> {
    match written {
        Ok(_) => Ok(true),
        Err(FencingError::Rejected(_)) => Ok(false),
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
    Err(format!("there is no register for {url}"))
}
