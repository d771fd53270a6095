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
        watch_for_suspend(self.tick_callback());
    }

    /// Wakes the task if the argument is true. Returns false when the task has ended.
    fn tick_callback(self: &Arc<Self>) -> impl Fn(bool) -> bool + 'static {
        let suspend_wake = Arc::downgrade(self);
        move |jumped| {
            let Some(suspend_wake) = suspend_wake.upgrade() else {
                return false;
            };
            if jumped {
                suspend_wake.is_over.store(true, Ordering::SeqCst);
                suspend_wake.waker.wake();
            }
            true
        }
    }

    /// Whether a suspend has ended since the last call.
    pub(super) fn take(&self) -> bool {
        self.is_over.swap(false, Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests;
