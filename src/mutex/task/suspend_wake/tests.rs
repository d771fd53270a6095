use std::{
    sync::atomic::AtomicU32,
    task::{Wake, Waker},
};

use super::*;

/// Counts how often the task is woken.
#[derive(Default)]
struct WakeCount(AtomicU32);

impl Wake for WakeCount {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn only_a_suspend_wakes_the_task() {
    let (suspend_wake, wakes) = (Arc::<SuspendWake>::default(), Arc::<WakeCount>::default());
    suspend_wake.waker.register(&Waker::from(wakes.clone()));
    let tick = suspend_wake.tick_callback();
    assert!(tick(false), "the task still exists");
    assert!(!suspend_wake.take());
    assert_eq!(wakes.0.load(Ordering::SeqCst), 0);
    assert!(tick(true), "the task still exists");
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
    assert!(suspend_wake.take());
    assert!(!suspend_wake.take(), "it was taken before");
}

#[test]
fn a_watch_ends_with_its_task() {
    let suspend_wake = Arc::<SuspendWake>::default();
    let tick = suspend_wake.tick_callback();
    drop(suspend_wake);
    assert!(!tick(false));
    assert!(!tick(true));
}

#[test]
fn the_watcher_of_the_thread_does_not_keep_the_task() {
    actix::System::new().block_on(async {
        let suspend_wake = Arc::<SuspendWake>::default();
        suspend_wake.start_watch();
        assert_eq!(Arc::weak_count(&suspend_wake), 1, "it is watched");
        assert_eq!(Arc::strong_count(&suspend_wake), 1);
    });
}
