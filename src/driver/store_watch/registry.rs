use std::{
    cell::RefCell,
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::task::JoinHandle;

use super::member::Members;
use crate::store::LeaseStore;

/// An open watch, and the task that serves it: `None` if there was no runtime for it.
struct OpenWatch {
    members: Weak<Members>,
    task: Option<JoinHandle<()>>,
}

impl OpenWatch {
    /// The members, unless the runtime of the task has ended, so that nobody serves them.
    fn served_members(&self) -> Option<Arc<Members>> {
        let members = self.members.upgrade()?;
        let gone = self.task.as_ref().is_some_and(JoinHandle::is_finished);
        (!gone).then_some(members)
    }
}

thread_local! {
    /// The watches by the address of the store. All locks of a process run on one thread of the library, so there is
    /// one watch of each store; a lock on another runtime opens its own, because it may outlive that thread's.
    static OPEN: RefCell<HashMap<usize, OpenWatch>> = RefCell::default();
}

/// The members of the watch of this store. If there is none, `serve` starts the task that serves it.
pub(super) fn members_of(
    store: &Arc<dyn LeaseStore>,
    alive_every: Duration,
    serve: impl FnOnce(Weak<Members>) -> Option<JoinHandle<()>>,
) -> Arc<Members> {
    // The task keeps the store, so another store cannot have this address while the watch is open.
    let address = Arc::as_ptr(store).cast::<()>().addr();
    OPEN.with_borrow_mut(|open| {
        if let Some(members) = open.get(&address).and_then(OpenWatch::served_members) {
            members.want_alive_every(alive_every);
            return members;
        }
        open.retain(|_, watch| watch.members.strong_count() > 0);
        let members = Arc::new(Members::new(alive_every));
        let task = serve(Arc::downgrade(&members));
        let watch = OpenWatch {
            members: Arc::downgrade(&members),
            task,
        };
        open.insert(address, watch);
        members
    })
}
