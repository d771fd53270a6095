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
    /// A `?` is refused, because a file of that name is hardly what is meant.
    pub(super) fn parse(rest: &str) -> Result<Self, StoreError> {
        let refused = match rest {
            "" => "the path is missing: write `sqlite:PATH`",
            // To most programs the first part would be a host; to a file system it is a folder in `/`.
            _ if rest.starts_with("//") && !rest.starts_with("///") => {
                "a file has no host: write `sqlite:PATH`, with one `/` in front of an absolute path"
            }
            _ if rest.contains('?') => {
                "there are no parameters, and no `?` in the path: use `SqliteStore::builder`"
            }
            _ => return Ok(Self { path: rest.into() }),
        };
        Err(misconfigured(KIND, refused))
    }

    pub(super) async fn open(self) -> Result<Arc<dyn LeaseStore>, StoreError> {
        // It waits for the disk, and for others that lock the file.
        let store = run_blocking(move || SqliteStore::open(self.path)).await;
        let store = store.map_err(|error| no_thread(KIND, error))?;
        Ok(Arc::new(store?))
    }
}
