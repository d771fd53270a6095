use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures::task::AtomicWaker;

use crate::driver::watch_for_suspend;

/// Wakes a task after the machine was suspended.
#[derive(Debug, Default)]
pub(super) struct SuspendWake {
    pub(super) waker: AtomicWaker,
    is_over: AtomicBool,
}

impl SuspendWake {
    /// Watches for a suspend for as long as the task exists.
    pub(super) fn start_watch(self: &Arc<Self>) {
        let suspend_wake = Arc::downgrade(self);
        watch_for_suspend(move |jumped| match suspend_wake.upgrade() {
            Some(suspend_wake) if jumped => {
                suspend_wake.is_over.store(true, Ordering::SeqCst);
                suspend_wake.waker.wake();
                true
            }
            suspend_wake => suspend_wake.is_some(),
        });
    }

    /// Whether a suspend has ended since the last call.
    pub(super) fn take(&self) -> bool {
        self.is_over.swap(false, Ordering::SeqCst)
    }
}
