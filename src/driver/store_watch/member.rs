use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    task::{Context, Poll},
    time::Duration,
};

use futures::task::AtomicWaker;
use tokio::task::JoinHandle;

use crate::{
    election::RecordEvent,
    lease::ResourceName,
    store::{LeaseStore, StoreEvent},
};

/// The locks that share the watch of a store.
#[derive(Debug)]
pub(super) struct Members {
    inner: Mutex<Inner>,
    /// The task that passes the events on. None if there was no runtime for it.
    task: OnceLock<JoinHandle<()>>,
    _store: Arc<dyn LeaseStore>,
}

#[derive(Debug)]
struct Inner {
    by_resource: HashMap<ResourceName, Vec<Weak<Member>>>,
    alive_every: Duration,
    pushed: bool,
    cannot_push: bool,
}

impl Members {
    pub(super) fn new(store: Arc<dyn LeaseStore>, alive_every: Duration) -> Self {
        let inner = Inner {
            by_resource: HashMap::new(),
            alive_every,
            pushed: false,
            cannot_push: false,
        };
        Self {
            inner: Mutex::new(inner),
            task: OnceLock::new(),
            _store: store,
        }
    }

    pub(super) fn served_by(&self, task: JoinHandle<()>) {
        // It is called once.
        let _ = self.task.set(task);
    }

    /// Whether the runtime of the task still runs. A task that has ended because the store cannot push has nothing
    /// to do for another lock either.
    pub(super) fn is_served(&self) -> bool {
        let inner = self.inner();
        let ended = self.task.get().is_some_and(JoinHandle::is_finished);
        inner.cannot_push || !ended
    }

    /// The store cannot push: another lock need not ask again.
    pub(super) fn cannot_push(&self) {
        self.inner().cannot_push = true;
    }

    /// How often the stream must yield something, for the most impatient member so far.
    pub(super) fn alive_every(&self) -> Duration {
        self.inner().alive_every
    }

    pub(super) fn want_alive_every(&self, alive_every: Duration) {
        let inner = &mut *self.inner();
        inner.alive_every = inner.alive_every.min(alive_every);
    }

    pub(super) fn join(&self, resource: &ResourceName) -> Arc<Member> {
        let inner = &mut *self.inner();
        let member = Arc::new(Member::default());
        if inner.pushed {
            // It has asked the store before it joined, so it may have missed an event.
            member.tell(|news| {
                news.pushed = Some(true);
                news.event = Some(RecordEvent::Lost);
            });
        }
        let present = inner.by_resource.entry(resource.clone()).or_default();
        present.retain(|member| member.strong_count() > 0);
        present.push(Arc::downgrade(&member));
        member
    }

    /// Passes an event on to those whom it concerns.
    pub(super) fn dispatch(&self, event: &StoreEvent) {
        let inner = &mut *self.inner();
        match event {
            StoreEvent::Changed(resource) => inner.tell(resource, RecordEvent::Changed),
            StoreEvent::Acquired { resource, ttl } => {
                inner.tell(resource, RecordEvent::Acquired { ttl: *ttl });
            }
            StoreEvent::LookAtAll => inner.tell_all(|news| news.event = Some(RecordEvent::Lost)),
            StoreEvent::RegisterChanged(_) | StoreEvent::Alive => {}
        }
    }

    /// Tells all whether the stream works.
    pub(super) fn set_pushed(&self, pushed: bool) {
        let inner = &mut *self.inner();
        if std::mem::replace(&mut inner.pushed, pushed) != pushed {
            inner.tell_all(|news| news.pushed = Some(pushed));
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn tell(&mut self, resource: &ResourceName, event: RecordEvent) {
        let Some(members) = self.by_resource.get_mut(resource) else {
            return;
        };
        members.retain(|member| {
            let member = member.upgrade();
            if let Some(member) = &member {
                member.tell(|news| news.event = Some(event));
            }
            member.is_some()
        });
        if members.is_empty() {
            self.by_resource.remove(resource);
        }
    }

    fn tell_all(&mut self, tell: impl Fn(&mut WatchNews)) {
        self.by_resource.retain(|_, members| {
            members.retain(|member| {
                let member = member.upgrade();
                if let Some(member) = &member {
                    member.tell(&tell);
                }
                member.is_some()
            });
            !members.is_empty()
        });
    }
}

/// What the watch of a store has told a lock since it last looked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WatchNews {
    /// The last event of the record.
    pub(crate) event: Option<RecordEvent>,
    /// Whether the stream works, if that has changed.
    pub(crate) pushed: Option<bool>,
}

/// One lock in the watch.
#[derive(Debug, Default)]
pub(super) struct Member {
    news: Mutex<WatchNews>,
    waker: AtomicWaker,
}

impl Member {
    fn tell(&self, tell: impl FnOnce(&mut WatchNews)) {
        tell(&mut self.news.lock().unwrap_or_else(PoisonError::into_inner));
        self.waker.wake();
    }

    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<WatchNews> {
        self.waker.register(cx.waker());
        let news = std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner));
        if news == WatchNews::default() {
            Poll::Pending
        } else {
            Poll::Ready(news)
        }
    }
}
