//! Locks for plain async code, on the same leases: a ttl lock that its owner locks and unlocks, and a
//! guard that renews itself. A guard drives the same election as a lock actor does; it decides
//! nothing.

mod error;
mod farewell;
mod guard;
mod handle;
mod manager;
mod options;
mod place;
mod several;
mod shape;
mod task;
mod unlock;

pub use error::LockError;
pub use guard::Guard;
pub use handle::Mutex;
pub use manager::{LockManager, LockManagerBuilder};
pub use options::MutexOptions;
pub(crate) use place::Place;
pub use several::{Guards, lock_all, lock_all_timeout, try_lock_all};
pub(crate) use task::is_for_good;
