use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use futures::{
    FutureExt as _,
    channel::oneshot,
    future::{BoxFuture, Shared, join_all},
};

/// An acquisition of a mutex that may still have to be released.
///
/// The next acquisition of the mutex waits for it. Otherwise a guard would find the lock held, and a plain
/// lock would take it for one that another mutex of its owner holds.
#[derive(Clone, Debug)]
pub(super) struct AcquisitionEnd(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    begun: AtomicBool,
    done: Shared<oneshot::Receiver<()>>,
}

impl AcquisitionEnd {
    /// Dropping the sender says that the acquisition is over.
    pub(super) fn new() -> (Self, oneshot::Sender<()>) {
        let (end, done) = oneshot::channel();
        let (begun, done) = (AtomicBool::new(false), done.shared());
        (Self(Arc::new(Inner { begun, done })), end)
    }

    /// The caller has dropped its guard or its wait: the release begins.
    pub(super) fn begin(&self) {
        self.0.begun.store(true, Ordering::SeqCst);
    }
}

/// The acquisitions of one mutex that are not yet over.
#[derive(Debug, Default)]
pub(super) struct OpenAcquisitions(Mutex<Vec<AcquisitionEnd>>);

impl OpenAcquisitions {
    /// Adds one, and returns a future of the releases that must be done before it may bid, if there are any.
    pub(super) fn add(&self, acquisition_end: AcquisitionEnd) -> Option<BoxFuture<'static, ()>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Polls each one: nothing else polls one whose release has not begun.
        all.retain(|one| one.0.done.clone().now_or_never().is_none());
        let begun: Vec<_> = all
            .iter()
            .filter(|one| one.0.begun.load(Ordering::SeqCst))
            .map(|one| one.0.done.clone())
            .collect();
        all.push(acquisition_end);
        (!begun.is_empty()).then(|| join_all(begun).map(drop).boxed())
    }
}

/// Begins the release when it is dropped, unless it was disarmed.
#[derive(Debug)]
pub(super) struct AbandonOnDrop(Option<AcquisitionEnd>);

impl AbandonOnDrop {
    pub(super) fn new(acquisition_end: AcquisitionEnd) -> Self {
        Self(Some(acquisition_end))
    }

    pub(super) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        if let Some(acquisition_end) = &self.0 {
            acquisition_end.begin();
        }
    }
}

#[cfg(test)]
mod tests;
