//! Locks, guards and work that is done once, in real time.

use std::sync::Arc;

use tenure::{BootClock, LeaseStore};

use crate::{
    bed::Bed,
    support::{Server, unique},
};

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
    use super::bed;
    use crate::{bed::threads, locks::lock_rules, once::once_rules, support::DYNOXIDE};

    lock_rules! {
        #[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
        threads: bed(DYNOXIDE)
    }

    once_rules! {
        #[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
        threads: bed(DYNOXIDE)
    }
}

mod dynamodb_local {
    use super::bed;
    use crate::{bed::threads, locks::lock_rules, once::once_rules, support::LOCAL};

    lock_rules! {
        #[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
        threads: bed(LOCAL)
    }

    once_rules! {
        #[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
        threads: bed(LOCAL)
    }
}
