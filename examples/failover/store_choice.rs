//! The store in which the nodes contend.

use std::{env, io, path::PathBuf, process::Command, sync::Arc, time::Duration};

use tenure::{LeaseStore, SqliteStore, StoreError, Timing, open_store};
use thiserror::Error as ThisError;
use tokio::{runtime, time::timeout};

/// The nodes get the URL in their environment: it may contain a password, and all users can read command
/// lines.
const VARIABLE: &str = "TENURE_FAILOVER_STORE";
/// For finding a server, and for creating an index or a table.
const PREPARE_LIMIT: Duration = Duration::from_secs(30);

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
    /// Whether challengers judge a lease by how long they saw it unchanged.
    pub(crate) observes: bool,
}

#[derive(Debug, ThisError)]
pub(crate) enum Refusal {
    #[error(
        "processes cannot share `memory:`, because each has a memory of its own: give sqlite:PATH, \
         mongodb://… or dynamodb://TABLE"
    )]
    Memory,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the store did not answer within {PREPARE_LIMIT:?}: check that the server runs")]
    Late,
    #[error("cannot create a runtime")]
    Runtime(#[from] io::Error),
}

impl StoreChoice {
    /// Checks that the store of a URL can be used, and adds what it lacks.
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
        let prepared = async { timeout(PREPARE_LIMIT, prepare).await };
        runtime.block_on(prepared).unwrap_or(Err(Refusal::Late))
    }

    /// Passes the choice to a node that is about to be started.
    pub(crate) fn pass_to(&self, node: &mut Command) {
        match self {
            Self::File(path) => node.arg(path).env_remove(VARIABLE),
            Self::Url(url) => node.env(VARIABLE, url),
        };
    }

    /// The choice that was passed to this node.
    pub(crate) fn passed(file: Option<PathBuf>) -> Result<Self, env::VarError> {
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
        assert!(refusal("leases.db").contains("not the URL of a store"));
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
