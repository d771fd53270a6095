//! Plain locks and guards, in real time.

use std::{future::Future, sync::Arc};

use tenure::{BootClock, LeaseStore};

use crate::{
    locks::Bed,
    support::{Server, unique},
};

/// The sockets of the clients live here, the locks do not.
fn threads(test: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test);
}

async fn store(server: Server) -> Arc<dyn LeaseStore> {
    Arc::new(server.store().await)
}

async fn bed(server: Server) -> Bed {
    Bed {
        stores: [store(server).await, store(server).await],
        clock: Arc::new(BootClock),
        observed: true,
        prefix: unique(),
        here: false,
    }
}

mod dynoxide {
    use super::{bed, threads};
    use crate::{locks::lock_rules, support::DYNOXIDE};

    lock_rules! {
        #[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
        threads: bed(DYNOXIDE)
    }
}

mod dynamodb_local {
    use super::{bed, threads};
    use crate::{locks::lock_rules, support::LOCAL};

    lock_rules! {
        #[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
        threads: bed(LOCAL)
    }
}
