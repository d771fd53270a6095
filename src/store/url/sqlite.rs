use std::sync::Arc;

use super::{misconfigured, no_thread};
use crate::{
    runtime::run_blocking,
    store::{LeaseStore, SqliteStore, StoreError},
};

const KIND: &str = "sqlite";

pub(super) struct Target {
    pub(super) path: String,
}

impl Target {
    /// Refuses a `?`, because it is more likely meant to begin parameters than to be part of the file's name.
    pub(super) fn parse(rest: &str) -> Result<Self, StoreError> {
        let refused = match rest {
            "" => "the path is missing: write `sqlite:PATH`",
            // Most programs read the first part as a host; a file system reads it as a directory in `/`.
            _ if rest.starts_with("//") && !rest.starts_with("///") => {
                "a file has no host: write `sqlite:PATH`, where an absolute path begins with one `/`"
            }
            _ if rest.contains('?') => {
                "the URL has no parameters, and the path must not contain `?`: use `SqliteStore::builder`"
            }
            _ => return Ok(Self { path: rest.into() }),
        };
        Err(misconfigured(KIND, refused))
    }

    pub(super) async fn open(self) -> Result<Arc<dyn LeaseStore>, StoreError> {
        // It waits for the disk, and for other processes that lock the file.
        let store = run_blocking(move || SqliteStore::open(self.path)).await;
        let store = store.map_err(|error| no_thread(KIND, error))?;
        Ok(Arc::new(store?))
    }
}
