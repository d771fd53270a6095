use std::{future::Future, sync::Arc};

use tenure::{MemoryStore, TokioClock};

use crate::{locks::Bed, once::once_rules};

/// Under paused time.
pub(crate) fn paused<T>(test: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().unwrap();
    runtime.block_on(test)
}

async fn bed() -> Bed {
    let clock = Arc::new(TokioClock::new());
    let store = Arc::new(MemoryStore::with_clock(clock.clone()));
    Bed {
        stores: [store.clone(), store],
        clock,
        observed: false,
        prefix: "once".to_owned(),
        here: true,
    }
}

once_rules!(paused: bed());
