use std::{future::Future, sync::Arc, time::Duration};

use tenure::{Fault, FaultyStore, MemoryStore, TokioClock};

use crate::locks::{Bed, lock_rules};

/// Under paused time.
pub(crate) fn paused<T>(test: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().unwrap();
    runtime.block_on(test)
}

async fn bed() -> Bed {
    let clock = Arc::new(TokioClock::new());
    let store = Arc::new(MemoryStore::with_clock(clock.clone()));
    // The first of the two takes time, so that there is something to cancel.
    let slow = FaultyStore::new(store.clone());
    slow.always(Fault::Delay(Duration::from_millis(6)));
    Bed {
        stores: [Arc::new(slow), store],
        clock,
        observed: false,
        prefix: "locks".to_owned(),
        here: true,
    }
}

lock_rules!(paused: bed());
