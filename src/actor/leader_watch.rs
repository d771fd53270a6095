use thiserror::Error;
use tokio::sync::watch;

use super::KnownLeader;

/// The lock was shut down, or its thread has ended: its leader does not change any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the lock was shut down, or its thread has ended")]
pub struct LockEnded;

/// Shows who leads, and waits for changes, on any thread and any runtime. [`LockHandle::watch_leader`] returns it.
///
/// It gives you copies. A receiver of tokio lends the value instead, and the lock's thread, which renews all leases
/// of the process, would wait for as long as you hold it.
///
/// [`LockHandle::watch_leader`]: super::LockHandle::watch_leader
#[derive(Clone, Debug)]
pub struct LeaderWatch(watch::Receiver<Option<KnownLeader>>);

impl LeaderWatch {
    pub(super) fn new(receiver: watch::Receiver<Option<KnownLeader>>) -> Self {
        Self(receiver)
    }

    /// Who leads now, as far as the lock knows; `None` also once the lock has ended.
    pub fn leader(&mut self) -> Option<KnownLeader> {
        self.0.borrow_and_update().clone()
    }

    /// Waits until the leader is another than the last that this watch has returned, and returns it.
    ///
    /// The first call returns at once if the lock already knows a leader. Of several changes in a row it may
    /// return only the last.
    ///
    /// # Errors
    /// [`LockEnded`].
    ///
    /// # Cancel safety
    /// You may drop the future: no change is lost.
    pub async fn changed(&mut self) -> Result<Option<KnownLeader>, LockEnded> {
        self.0.changed().await.map_err(|_| LockEnded)?;
        Ok(self.leader())
    }

    /// Waits until somebody leads, and returns the leader. Returns at once if somebody does.
    ///
    /// # Errors
    /// [`LockEnded`].
    ///
    /// # Cancel safety
    /// You may drop the future: no change is lost.
    pub async fn known(&mut self) -> Result<KnownLeader, LockEnded> {
        let mut leader = self.leader();
        loop {
            match leader {
                Some(leader) => return Ok(leader),
                None => leader = self.changed().await?,
            }
        }
    }

    /// Whether [`changed`](Self::changed) would return at once.
    ///
    /// # Errors
    /// [`LockEnded`].
    pub fn has_changed(&self) -> Result<bool, LockEnded> {
        self.0.has_changed().map_err(|_| LockEnded)
    }
}
