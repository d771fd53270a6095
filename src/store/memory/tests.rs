use super::*;
use crate::{
    conformance::{Capabilities, Subject},
    testing::ManualClock,
};

struct Memory {
    store: MemoryStore,
    clock: ManualClock,
}

impl Memory {
    fn new() -> Self {
        let clock = ManualClock::new();
        Self {
            store: MemoryStore::with_clock(Arc::new(clock.clone())),
            clock,
        }
    }
}

#[async_trait]
impl Subject for Memory {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Duration::from_secs(10))
    }

    async fn client(&self) -> Arc<dyn LeaseStore> {
        Arc::new(self.store.clone())
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }
}

crate::conformance!(Memory::new());
