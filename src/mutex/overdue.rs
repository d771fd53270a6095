use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures::task::AtomicWaker;

use super::executor::Executor;
use crate::driver::watch_for_suspend;

/// Notices that a request in the task of a caller takes long. The caller may be on a runtime without timers, or on
/// none, so the library's thread looks after it.
#[derive(Debug)]
pub(super) struct OverdueWatch(Arc<Watched>);

#[derive(Debug)]
struct Watched {
    since: Instant,
    overdue: AtomicBool,
    waker: AtomicWaker,
}

/// What is being watched. A request that ended leaves a dead entry until the next look.
static WATCHED: Mutex<Vec<Weak<Watched>>> = Mutex::new(Vec::new());

impl OverdueWatch {
    /// A request is overdue after this time at the latest: the thread looks every 250 ms.
    pub(super) const LONGEST: Duration = Duration::from_millis(500);
    const OVERDUE: Duration = Duration::from_millis(200);

    /// Starts to watch a request that begins now. `None` if nothing can look after it.
    pub(super) fn start(executor: &Executor) -> Option<Self> {
        static LOOKS: OnceLock<bool> = OnceLock::new();
        if !executor.watches_for_suspend() {
            return None;
        }
        let looks = LOOKS.get_or_init(|| {
            executor.start(async {
                watch_for_suspend(|_| {
                    look();
                    true
                });
            })
        });
        looks.then(|| {
            let watched = Arc::new(Watched {
                since: Instant::now(),
                overdue: AtomicBool::new(false),
                waker: AtomicWaker::new(),
            });
            let mut all = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
            if all.len() == all.capacity() {
                all.retain(|watched| watched.strong_count() > 0);
            }
            all.push(Arc::downgrade(&watched));
            Self(watched)
        })
    }

    /// Ready once the request is overdue.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.waker.register(cx.waker());
        if self.0.overdue.load(Ordering::SeqCst) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

fn look() {
    let mut all = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|watched| {
        let Some(watched) = watched.upgrade() else {
            return false;
        };
        let overdue = watched.since.elapsed() >= OverdueWatch::OVERDUE;
        if overdue {
            watched.overdue.store(true, Ordering::SeqCst);
            watched.waker.wake();
        }
        !overdue
    });
}
