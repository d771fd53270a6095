//! Where the nodes contend: in which store, and for which resource.

use std::{env, error::Error, io, path::PathBuf, process::Command, sync::Arc, time::Duration};

use tenure::{LeaseStore, SqliteStore, StoreError, Timing, open_store};
use thiserror::Error as ThisError;
use tokio::{runtime, time::timeout};

/// The URL goes to the nodes in their environment: everybody may read command lines, and it may have a
/// password.
const VARIABLE: &str = "TENURE_FAILOVER_STORE";
/// For a server to be found and an index or a table to be made.
const PATIENCE: Duration = Duration::from_secs(30);

/// What `--store` gives, or the default.
#[derive(Clone)]
pub(crate) enum StoreChoice {
    /// A new file for this run.
    File(PathBuf),
    Url(String),
}

/// A store that is ready for the nodes.
pub(crate) struct Prepared {
    pub(crate) kind: &'static str,
    /// Whether a lease is judged by how long it was seen unchanged.
    pub(crate) observes: bool,
}

#[derive(Debug, ThisError)]
pub(crate) enum Refusal {
    #[error(
        "each process has a memory of its own, so that `memory:` has nothing to contend for: give \
         sqlite:PATH, mongodb://… or dynamodb://TABLE"
    )]
    Memory,
    #[error("{}", with_causes(.0))]
    Store(#[from] StoreError),
    #[error("the store has not answered within {PATIENCE:?}")]
    Late,
    #[error("no runtime can be had: {0}")]
    Runtime(#[from] io::Error),
}

impl StoreChoice {
    /// Looks whether the store of a URL can be used, and adds what it lacks.
    pub(crate) fn prepare(url: Option<&str>) -> Result<Prepared, Refusal> {
        let Some(url) = url else {
            let (kind, observes) = ("sqlite", false);
            return Ok(Prepared { kind, observes });
        };
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let prepare = async {
            let store = open_store(url).await?;
            if store.kind() == "memory" {
                return Err(Refusal::Memory);
            }
            store.prepare().await?;
            Ok(Prepared {
                kind: store.kind(),
                observes: store.kind() == "dynamodb",
            })
        };
        let prepared = async { timeout(PATIENCE, prepare).await };
        runtime.block_on(prepared).unwrap_or(Err(Refusal::Late))
    }

    /// Tells a node, which is about to be started.
    pub(crate) fn tell(&self, node: &mut Command) {
        match self {
            Self::File(path) => node.arg(path).env_remove(VARIABLE),
            Self::Url(url) => node.env(VARIABLE, url),
        };
    }

    /// What a node was told.
    pub(crate) fn told(file: Option<PathBuf>) -> Result<Self, env::VarError> {
        match file {
            Some(path) => Ok(Self::File(path)),
            None => env::var(VARIABLE).map(Self::Url),
        }
    }

    pub(crate) async fn open(&self, timing: &Timing) -> Result<Arc<dyn LeaseStore>, StoreError> {
        match self {
            Self::File(path) => {
                let builder = SqliteStore::builder().busy_limit(timing.call_timeout() / 2);
                Ok(Arc::new(builder.open(path)?))
            }
            Self::Url(url) => open_store(url).await,
        }
    }
}

/// An error and what led to it, in one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        match StoreChoice::prepare(Some(url)) {
            Ok(store) => panic!("{url}: {} is ready", store.kind),
            Err(refusal) => refusal.to_string(),
        }
    }

    #[test]
    fn a_store_that_processes_cannot_share_is_refused() {
        assert!(refusal("memory:").contains("give sqlite:PATH"));
        assert!(refusal("leases.db").contains("no URL of a store"));
        let text = refusal("postgres://u:hunter2@h/db");
        assert!(
            text.contains("`postgres`") && !text.contains("hunter2"),
            "{text}"
        );
    }

    #[test]
    fn a_store_is_prepared_before_its_nodes_start() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("leases.db");
        let store = StoreChoice::prepare(Some(&format!("sqlite:{}", file.display())))
            .unwrap_or_else(|refusal| panic!("{refusal}"));
        assert_eq!((store.kind, store.observes), ("sqlite", false));
        assert!(file.exists());
    }
}
