use std::{future::Future, sync::Arc};

use tenure::{BootClock, SqliteStore};

use crate::{locks::Bed, once::once_rules};

/// On a runtime with several threads, which is not where the locks run.
fn threads(test: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test);
}

async fn bed() -> Bed {
    let folder = tempfile::tempdir().unwrap().keep();
    let open = || Arc::new(SqliteStore::open(folder.join("leases.db")).unwrap());
    Bed {
        stores: [open(), open()],
        clock: Arc::new(BootClock),
        observed: false,
        prefix: "once".to_owned(),
        here: false,
    }
}

once_rules!(threads: bed());
