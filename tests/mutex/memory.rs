use std::{sync::Arc, time::Duration};

use tenure::testing::{Fault, FaultyStore};

use crate::{
    locks::lock_rules,
    store_under_test::{StoreUnderTest, memory, paused},
};

async fn store_under_test() -> StoreUnderTest {
    let mut store_under_test = memory();
    // The first store is slow, so that a wait can be cancelled.
    let slow = FaultyStore::new(store_under_test.stores[0].clone());
    slow.always(Fault::Delay(Duration::from_millis(6)));
    store_under_test.stores[0] = Arc::new(slow);
    store_under_test
}

lock_rules!(paused: store_under_test());
