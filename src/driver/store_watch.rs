mod member;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _, stream::BoxStream};
use tokio::time::{sleep, timeout};

use self::member::{Member, Members};
use super::per_store;
use crate::{
    lease::ResourceName,
    store::{LeaseStore, StoreEvent},
};

pub(crate) use self::member::WatchNews;

/// The part of one lock in the watch of its store, which all locks of a process share.
///
/// The lock polls as well, so nothing depends on an event.
#[derive(Debug, Default)]
pub(crate) struct StoreWatch {
    joined: Option<(Arc<Members>, Arc<Member>)>,
}

impl StoreWatch {
    /// Joins the watch of the store, or opens it, if that has not happened yet. Needs a tokio runtime; without one,
    /// there is no watch.
    pub(crate) fn join(
        &mut self,
        store: &Arc<dyn LeaseStore>,
        resource: &ResourceName,
        poll_every: Duration,
    ) {
        if self.joined.is_some() {
            return;
        }
        // Then silence is noticed within half a poll.
        let alive_every = (poll_every / 4).max(Duration::from_millis(1));
        let members = per_store::shared(store, Members::is_served, || {
            let members = Arc::new(Members::new(store.clone(), alive_every));
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                let task = runtime.spawn(run(Arc::downgrade(&members), store.clone()));
                members.served_by(task);
            }
            members
        });
        members.want_alive_every(alive_every);
        let member = members.join(resource);
        self.joined = Some((members, member));
    }

    pub(crate) fn leave(&mut self) {
        self.joined = None;
    }

    /// Ready when the store has pushed something, or its watch has come or gone.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<WatchNews> {
        match &self.joined {
            Some((_, member)) => member.poll(cx),
            None => Poll::Pending,
        }
    }
}

/// How often a silent or broken stream is opened again at first; the pause doubles up to a hundred times this.
const REOPEN_AFTER: Duration = Duration::from_millis(300);

/// Passes the events of a store on, until it has no members.
async fn run(members: Weak<Members>, store: Arc<dyn LeaseStore>) {
    let mut failures = 0;
    loop {
        let Some(alive_every) = members.upgrade().map(|members| members.alive_every()) else {
            return;
        };
        let opened = catch_unwind(AssertUnwindSafe(|| store.watch(alive_every)));
        let Ok(Some(stream)) = opened else {
            // The store cannot push, or its code panics: the locks poll.
            return give_up(&members);
        };
        let end = pass_on(&members, stream, alive_every).await;
        if let Some(members) = members.upgrade() {
            members.set_pushed(false);
        }
        match end {
            StreamEnd::Panicked => return give_up(&members),
            StreamEnd::Reopen => continue,
            StreamEnd::Failed { worked: true } => failures = 0,
            StreamEnd::Failed { worked: false } => failures += 1,
        }
        let pause = REOPEN_AFTER * 2u32.saturating_pow(failures).min(100);
        sleep(pause).await;
    }
}

fn give_up(members: &Weak<Members>) {
    if let Some(members) = members.upgrade() {
        members.cannot_push();
    }
}

enum StreamEnd {
    Panicked,
    /// A lock with a shorter `poll_every` has joined.
    Reopen,
    Failed {
        /// Whether there was any event.
        worked: bool,
    },
}

async fn pass_on(
    members: &Weak<Members>,
    mut stream: BoxStream<'static, StoreEvent>,
    alive_every: Duration,
) -> StreamEnd {
    let mut worked = false;
    loop {
        let next = timeout(alive_every * 2, stream.next());
        let event = match AssertUnwindSafe(next).catch_unwind().await {
            Ok(Ok(Some(event))) => event,
            Ok(Ok(None) | Err(_)) => return StreamEnd::Failed { worked },
            Err(_) => return StreamEnd::Panicked,
        };
        let Some(members) = members.upgrade() else {
            return StreamEnd::Failed { worked };
        };
        if !worked {
            // What was pushed before the stream was open is lost.
            members.dispatch(&StoreEvent::LookAtAll);
            members.set_pushed(true);
            worked = true;
        }
        members.dispatch(&event);
        if members.alive_every() < alive_every {
            return StreamEnd::Reopen;
        }
    }
}

#[cfg(test)]
mod tests;
