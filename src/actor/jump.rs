//! Timers run on the ordinary monotonic clock, which stands still while the machine sleeps; leases
//! do not. One watcher per thread compares the two clocks and wakes every lock after a jump.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use actix::WeakAddr;

use super::{LockActor, messages::Wake};
use crate::clock::{BootClock, Clock as _, Moment};

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// More than the two readings can lie apart on a busy machine, less than any useful margin.
const JUMP: Duration = Duration::from_millis(20);

thread_local! {
    static LOCKS: RefCell<Option<Vec<WeakAddr<LockActor>>>> = const { RefCell::new(None) };
}

/// Wakes this lock of the present thread whenever the machine has slept.
pub(super) fn watch(lock: WeakAddr<LockActor>) {
    LOCKS.with_borrow_mut(|locks| {
        let running = locks.is_some();
        locks.get_or_insert_default().push(lock);
        if !running {
            actix::spawn(run());
        }
    });
}

async fn run() {
    let mut gap = Gap::new(BootClock.now(), Instant::now());
    // The loop ends with the thread's runtime; the list must not outlive it.
    let _guard = Forget;
    loop {
        actix::clock::sleep(LOOK_EVERY).await;
        let jumped = gap.has_jumped(BootClock.now(), Instant::now());
        LOCKS.with_borrow_mut(|locks| {
            for lock in locks.iter_mut() {
                lock.retain(|lock| match lock.upgrade() {
                    Some(lock) if jumped => {
                        lock.do_send(Wake);
                        true
                    }
                    lock => lock.is_some(),
                });
            }
        });
    }
}

struct Forget;

impl Drop for Forget {
    fn drop(&mut self) {
        // At the end of the thread the list may be gone already.
        let _ = LOCKS.try_with(RefCell::take);
    }
}

/// What the sleep-proof clock is ahead of the other one.
#[derive(Debug)]
struct Gap {
    boot: Moment,
    monotonic: Instant,
}

impl Gap {
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
