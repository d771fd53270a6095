//! Locks, guards and work that is done once, in real time.

use std::sync::Arc;

use tenure::{LeaseStore, clock::BootClock};

use crate::{
    store_under_test::StoreUnderTest,
    support::{Server, unique},
};

async fn store(server: Server) -> Arc<dyn LeaseStore> {
    Arc::new(server.store().await)
}

async fn store_under_test(server: Server) -> StoreUnderTest {
    StoreUnderTest {
        stores: [store(server).await, store(server).await],
        clock: Arc::new(BootClock),
        observed: true,
        prefix: unique(),
        here: false,
    }
}

mod dynoxide {
    use super::store_under_test;
    use crate::{
        locks::lock_rules, once::once_rules, store_under_test::threads, support::DYNOXIDE,
    };

    lock_rules! {
        #[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
        threads: store_under_test(DYNOXIDE)
    }

    once_rules! {
        #[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
        threads: store_under_test(DYNOXIDE)
    }
}

mod dynamodb_local {
    use super::store_under_test;
    use crate::{locks::lock_rules, once::once_rules, store_under_test::threads, support::LOCAL};

    lock_rules! {
        #[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
        threads: store_under_test(LOCAL)
    }

    once_rules! {
        #[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
        threads: store_under_test(LOCAL)
    }
}
