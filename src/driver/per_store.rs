use std::{
    any::{Any, TypeId},
    cell::RefCell,
    collections::HashMap,
    sync::{Arc, Weak},
};

use crate::store::LeaseStore;

type Shared = dyn Any + Send + Sync;

thread_local! {
    /// What the locks of this thread share, by its type and the address of the store. All locks of a process run on
    /// one thread of the library, so they share one; a lock on another runtime has its own, because a task that
    /// serves it ends with its runtime.
    static SHARED: RefCell<HashMap<(TypeId, usize), Weak<Shared>>> = RefCell::default();
}

/// What the locks of this thread share of this type for this store, if it is `usable`, or else a new one.
///
/// A `T` must keep the store, so that no other store gets its address while the `T` lives.
pub(super) fn shared<T: Send + Sync + 'static>(
    store: &Arc<dyn LeaseStore>,
    usable: impl Fn(&T) -> bool,
    make: impl FnOnce() -> Arc<T>,
) -> Arc<T> {
    let key = (TypeId::of::<T>(), Arc::as_ptr(store).cast::<()>().addr());
    SHARED.with_borrow_mut(|shared| {
        let present = shared.get(&key).and_then(Weak::upgrade);
        let present = present.and_then(|present| present.downcast::<T>().ok());
        if let Some(present) = present.filter(|present| usable(present)) {
            return present;
        }
        shared.retain(|_, shared| shared.strong_count() > 0);
        let made = make();
        let weak: Weak<Shared> = Arc::downgrade(&(made.clone() as Arc<Shared>));
        shared.insert(key, weak);
        made
    })
}
