//! Timers use the monotonic clock, which does not advance while the machine sleeps. Leases expire meanwhile. One
//! watcher per thread compares that clock with the boot clock, and wakes every driver after a jump.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use crate::clock::{BootClock, Clock as _, Moment};

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A larger change of the gap between the clocks is a jump. It is longer than the time between the two readings
/// on a busy machine, and shorter than any useful margin.
const JUMP: Duration = Duration::from_millis(20);

/// Wakes a driver if the argument is true. Returns false when the driver has ended.
type TickCallback = Box<dyn Fn(bool) -> bool>;

thread_local! {
    static DRIVERS: RefCell<Option<Vec<TickCallback>>> = const { RefCell::new(None) };
}

/// Calls `wake` every 250 ms, with true if the machine has slept, until it returns false. Call it on a thread
/// that runs actors.
pub(crate) fn watch(wake: impl Fn(bool) -> bool + 'static) {
    let running = DRIVERS.with_borrow_mut(|drivers| {
        let running = drivers.is_some();
        drivers.get_or_insert_default().push(Box::new(wake));
        running
    });
    if !running {
        // `DRIVERS` must not be borrowed here: a runtime that is ending drops the task at once, which borrows it.
        actix::spawn(run(ClearDriversOnDrop));
    }
}

/// Wakes the drivers of this thread. The loop ends with the thread's runtime, and then the list is cleared.
async fn run(_list: ClearDriversOnDrop) {
    let mut gap = SuspendDetector::new(BootClock.now(), Instant::now());
    loop {
        actix::clock::sleep(LOOK_EVERY).await;
        let jumped = gap.has_jumped(BootClock.now(), Instant::now());
        DRIVERS.with_borrow_mut(|drivers| {
            if let Some(drivers) = drivers {
                drivers.retain(|wake| wake(jumped));
            }
        });
    }
}

struct ClearDriversOnDrop;

impl Drop for ClearDriversOnDrop {
    fn drop(&mut self) {
        // When the thread ends, the list may have been dropped before.
        let _ = DRIVERS.try_with(RefCell::take);
    }
}

/// How far the boot clock is ahead of the monotonic clock.
#[derive(Debug)]
struct SuspendDetector {
    boot: Moment,
    monotonic: Instant,
}

impl SuspendDetector {
    fn new(boot: Moment, monotonic: Instant) -> Self {
        Self { boot, monotonic }
    }

    fn has_jumped(&mut self, boot: Moment, monotonic: Instant) -> bool {
        let awake = monotonic.saturating_duration_since(self.monotonic);
        let jumped = self.boot.until(boot) > awake + JUMP;
        *self = Self { boot, monotonic };
        jumped
    }
}

#[cfg(test)]
mod tests;
