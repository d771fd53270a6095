//! Locks for async code without actors: a guard that renews its lease, and a plain lock that lasts one ttl.
//! Both drive the same election as a lock actor does, and decide nothing themselves.

mod acquisition_end;
mod direct_release;
mod error;
mod executor;
mod guard;
mod handle;
mod is_for_good;
mod lock_all;
mod manager;
mod mutex_config;
mod options;
mod overdue;
mod task;
mod unlock;

pub use error::LockError;
pub(crate) use executor::Executor;
pub use guard::Guard;
pub use handle::Mutex;
pub(crate) use is_for_good::is_for_good;
pub use lock_all::{Guards, lock_all, lock_all_timeout, try_lock_all};
pub use manager::{LockManager, LockManagerBuilder};
pub use options::MutexOptions;
