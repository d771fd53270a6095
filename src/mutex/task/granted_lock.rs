use std::sync::Arc;

use futures::channel::oneshot;

use crate::{leadership::Leadership, mutex::LockError};

/// A lock that was just granted. Dropping `commands` releases it as unused.
#[derive(Debug)]
pub(in crate::mutex) struct GrantedLock {
    pub(in crate::mutex) leadership: Leadership,
    pub(in crate::mutex) commands: oneshot::Sender<HolderCommand>,
    /// The acquisition is over when the task and the holder have dropped it.
    pub(in crate::mutex) end: Arc<oneshot::Sender<()>>,
}

#[derive(Debug)]
pub(in crate::mutex) enum HolderCommand {
    /// Stop renewing the lease and do not release it: a plain lock, which lasts one ttl.
    StopRenewing,
    /// Forget the lease: the holder has given up the leadership, and releases the lock itself.
    Forget,
    /// Release the lock and send the outcome, if a caller waits for it.
    Release {
        /// The caller had the lock, so `min_hold` applies.
        used: bool,
        reply: Option<oneshot::Sender<Result<(), LockError>>>,
    },
}
