use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll},
    time::Duration,
};

use futures::stream::BoxStream;

use crate::{
    lease::ResourceName,
    store::{LeaseStore, StoreEvent},
};

/// The events that a store pushes when a record changed. The lock polls as well, so an event may be lost.
#[derive(Default)]
pub(crate) struct ChangeHints {
    stream: Option<BoxStream<'static, StoreEvent>>,
    /// The stream panicked, so the lock only polls.
    broken: bool,
}

/// How many events are taken at a time, so that a stream that is always ready delays no other lock.
const AT_ONCE: usize = 16;

impl ChangeHints {
    /// Opens the stream of the store, if it has one and it is not open yet.
    pub(crate) fn listen(&mut self, store: &dyn LeaseStore, alive_every: Duration) {
        if self.stream.is_none() && !self.broken {
            let stream = catch_unwind(AssertUnwindSafe(|| store.watch(alive_every)));
            self.broken = stream.is_err();
            self.stream = stream.unwrap_or_default();
        }
    }

    pub(crate) fn stop(&mut self) {
        self.stream = None;
    }

    /// Whether there was an event.
    pub(crate) fn poll(&mut self, resource: &ResourceName, cx: &mut Context<'_>) -> bool {
        let mut hinted = false;
        for _ in 0..AT_ONCE {
            let Some(stream) = &mut self.stream else {
                return hinted;
            };
            match catch_unwind(AssertUnwindSafe(|| stream.as_mut().poll_next(cx))) {
                Ok(Poll::Ready(Some(StoreEvent::Changed(changed)))) => {
                    hinted |= changed == *resource;
                }
                Ok(Poll::Ready(Some(StoreEvent::LookAtAll))) => hinted = true,
                Ok(Poll::Ready(Some(StoreEvent::Acquired { .. } | StoreEvent::Alive))) => {}
                Ok(Poll::Ready(None)) => self.stream = None,
                Ok(Poll::Pending) => return hinted,
                Err(_) => {
                    self.broken = true;
                    self.stream = None;
                }
            }
        }
        cx.waker().wake_by_ref();
        hinted
    }
}

impl fmt::Debug for ChangeHints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeHints")
            .field("listening", &self.stream.is_some())
            .field("broken", &self.broken)
            .finish()
    }
}
