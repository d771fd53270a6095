//! Timers run on the ordinary monotonic clock, which stands still while the machine sleeps; leases
//! do not. One watcher per thread compares the two clocks and wakes every driver after a jump.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use crate::clock::{BootClock, Clock as _, Moment};

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// More than the two readings can lie apart on a busy machine, less than any useful margin.
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
        // While nothing is borrowed: a runtime that ends drops the task at once.
        actix::spawn(run(ClearOnDrop));
    }
}

/// The loop ends with the thread's runtime; the list must not outlive it.
async fn run(_list: ClearOnDrop) {
    let mut gap = ClockGap::new(BootClock.now(), Instant::now());
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

struct ClearOnDrop;

impl Drop for ClearOnDrop {
    fn drop(&mut self) {
        // At the end of the thread the list may be gone already.
        let _ = DRIVERS.try_with(RefCell::take);
    }
}

/// What the sleep-proof clock is ahead of the other one.
#[derive(Debug)]
struct ClockGap {
    boot: Moment,
    monotonic: Instant,
}

impl ClockGap {
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
