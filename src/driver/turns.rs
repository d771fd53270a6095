use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures::{FutureExt as _, future::BoxFuture};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::per_store;
use crate::store::LeaseStore;

/// How many requests of the locks of one thread are under way in a store at once, besides renewals. More would only
/// wait in its client, and their time would run out there: ten thousand locks that start at once would then all ask
/// again, and again.
const UNDER_WAY: usize = 64;

/// The turns of one store, first come, first served.
#[derive(Debug)]
struct Turns {
    semaphore: Arc<Semaphore>,
    /// Kept, so that no other store gets its address.
    _store: Arc<dyn LeaseStore>,
}

/// The right to send one request. It ends when it is dropped.
pub(super) type Turn = OwnedSemaphorePermit;

/// The place of one lock in the queue of its store.
#[derive(Default)]
pub(super) struct Queue {
    turns: Option<Arc<Turns>>,
    waiting: Option<BoxFuture<'static, Turn>>,
}

impl Queue {
    /// Ready when a request may be sent.
    pub(super) fn poll(&mut self, store: &Arc<dyn LeaseStore>, cx: &mut Context<'_>) -> Poll<Turn> {
        if let Some(turn) = self.without_waiting(store) {
            return Poll::Ready(turn);
        }
        let semaphore = self.turns(store).semaphore.clone();
        let waiting = self.waiting.get_or_insert_with(|| {
            let turn = semaphore.acquire_owned();
            turn.map(|turn| turn.expect("it is never closed")).boxed()
        });
        let turn = ready!(waiting.poll_unpin(cx));
        self.leave();
        Poll::Ready(turn)
    }

    /// The turn of a request that need not wait, unless this lock waits for one already.
    pub(super) fn without_waiting(&mut self, store: &Arc<dyn LeaseStore>) -> Option<Turn> {
        if self.waiting.is_some() {
            return None;
        }
        let semaphore = self.turns(store).semaphore.clone();
        semaphore.try_acquire_owned().ok()
    }

    /// Waits no longer.
    pub(super) fn leave(&mut self) {
        self.waiting = None;
    }

    fn turns(&mut self, store: &Arc<dyn LeaseStore>) -> &Arc<Turns> {
        self.turns.get_or_insert_with(|| {
            let new = || Turns {
                semaphore: Arc::new(Semaphore::new(UNDER_WAY)),
                _store: store.clone(),
            };
            per_store::shared(store, |_| true, || Arc::new(new()))
        })
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("waits", &self.waiting.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
