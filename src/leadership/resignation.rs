use std::{
    task::{Context, Poll},
    time::Duration,
};

use futures::task::AtomicWaker;

use crate::sync::{AtomicU64, Ordering};

/// The wish of a holder to give its leadership up. Any thread may submit it; the task of the lock polls it.
#[derive(Debug)]
pub(super) struct Resignation {
    /// The hold-off in nanoseconds, plus 1; zero if nobody has resigned.
    hold_off: AtomicU64,
    waker: AtomicWaker,
}

// Not derived: the atomics of loom have no default.
impl Default for Resignation {
    fn default() -> Self {
        Self {
            hold_off: AtomicU64::new(0),
            waker: AtomicWaker::new(),
        }
    }
}

impl Resignation {
    /// Only the first one counts.
    pub(super) fn submit(&self, hold_off: Duration) {
        let nanos = u64::try_from(hold_off.as_nanos()).unwrap_or(u64::MAX);
        let value = nanos.saturating_add(1);
        let first = (self.hold_off).compare_exchange(0, value, Ordering::SeqCst, Ordering::SeqCst);
        if first.is_ok() {
            self.waker.wake();
        }
    }

    pub(super) fn hold_off(&self) -> Option<Duration> {
        let nanos = self.hold_off.load(Ordering::SeqCst).checked_sub(1)?;
        Some(Duration::from_nanos(nanos))
    }

    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Duration> {
        // Registered first, so that a submission at this moment either is seen below or wakes the task.
        self.waker.register(cx.waker());
        self.hold_off().map_or(Poll::Pending, Poll::Ready)
    }
}
