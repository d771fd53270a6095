use super::*;
use crate::{
    conformance::{Capabilities, Subject, not_applicable},
    store::RegisterStore,
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
        let mut capabilities = Capabilities::new(Duration::from_secs(10));
        capabilities.can_watch = true;
        capabilities.watch_tells_acquisitions = true;
        capabilities.registers = true;
        capabilities
    }

    async fn client(&self) -> Arc<dyn LeaseStore> {
        Arc::new(self.store.clone())
    }

    async fn registers(&self) -> Option<Arc<dyn RegisterStore>> {
        Some(Arc::new(self.store.clone()))
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }
}

crate::conformance!(Memory::new());

#[test]
fn the_cases_that_do_not_apply_are_known() {
    assert_eq!(
        not_applicable(&Memory::new().capabilities()),
        [
            "unknown_fields_are_kept",
            "a_record_of_a_newer_format_is_not_written",
            "a_write_that_gets_no_answer_fails_within_its_limit",
            "a_put_that_gets_no_answer_fails_within_its_limit",
        ]
    );
}
