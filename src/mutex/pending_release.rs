use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::{
    FutureExt as _,
    channel::oneshot,
    future::{BoxFuture, Shared, join_all},
};

/// Tells a mutex of an acquisition that nobody wants any more and that is still being given back, so
/// that its next one does not meet it: a guard would find the lock taken, a plain lock would take it
/// for one that another mutex of its owner holds.
#[derive(Clone)]
pub(super) struct PendingRelease(Arc<Inner>);

struct Inner {
    begun: AtomicBool,
    over: Shared<oneshot::Receiver<()>>,
}

impl PendingRelease {
    /// A farewell that is over when the sender is dropped.
    pub(super) fn new() -> (Self, oneshot::Sender<()>) {
        let (end, over) = oneshot::channel();
        let (begun, over) = (AtomicBool::new(false), over.shared());
        (Self(Arc::new(Inner { begun, over })), end)
    }

    /// Nobody wants it any more.
    pub(super) fn begin(&self) {
        self.0.begun.store(true, Ordering::SeqCst);
    }
}

impl fmt::Debug for PendingRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingRelease")
            .field("begun", &self.0.begun)
            .finish_non_exhaustive()
    }
}

/// The acquisitions of one mutex that are not yet over.
#[derive(Debug, Default)]
pub(super) struct PendingReleases(Mutex<Vec<PendingRelease>>);

impl PendingReleases {
    /// Adds one; gives what must be over before it may begin, if there is any.
    pub(super) fn add(&self, pending_release: PendingRelease) -> Option<BoxFuture<'static, ()>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Asked, not only looked at: nobody else asks for the end of one that was not left.
        all.retain(|one| one.0.over.clone().now_or_never().is_none());
        let begun: Vec<_> = all
            .iter()
            .filter(|one| one.0.begun.load(Ordering::SeqCst))
            .map(|one| one.0.over.clone())
            .collect();
        all.push(pending_release);
        (!begun.is_empty()).then(|| join_all(begun).map(drop).boxed())
    }
}

/// Begins a farewell when it is dropped, unless it was disarmed.
#[derive(Debug)]
pub(super) struct ReleaseOnDrop(Option<PendingRelease>);

impl ReleaseOnDrop {
    pub(super) fn new(pending_release: PendingRelease) -> Self {
        Self(Some(pending_release))
    }

    pub(super) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for ReleaseOnDrop {
    fn drop(&mut self) {
        if let Some(pending_release) = &self.0 {
            pending_release.begin();
        }
    }
}

#[cfg(test)]
mod tests;
