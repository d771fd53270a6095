use std::{future::Future, sync::Arc, time::Duration};

use futures::channel::oneshot;

use super::{
    LockError,
    pending_release::ReleaseOnDrop,
    task::{GrantedLock, HolderCommand},
};
use crate::{
    leadership::{Leadership, NotEnoughTime, Reason},
    lease::{FencingToken, Lease, ResourceName},
};

/// A lock that is held and renews itself, until it is given back, dropped or lost.
///
/// It is renewed on the library's own thread, so that work that blocks its thread does not lose it.
/// It belongs to one acquisition and is never held by two: nobody else is granted the lock before
/// [`is_current`](Self::is_current) answers false here, provided what the [crate](crate#the-guarantee)
/// assumes of clocks and stores.
///
/// Dropping it gives the lock back in the background, which a process that ends at once does not wait
/// for: end with [`release`](Self::release).
///
/// # Examples
///
/// ```
/// # use std::sync::Arc;
/// # use tenure::{LockManager, MemoryStore};
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # async fn send_invoices(token: u64) {}
/// let locks = LockManager::new(Arc::new(MemoryStore::new()))?;
/// let guard = locks.mutex("invoices")?.guard().await?;
/// // The work is dropped if the lock is lost, and the token goes along with what it writes.
/// guard.run(send_invoices(guard.token().get())).await?;
/// guard.release().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "the lock is given back when its guard is dropped"]
pub struct Guard {
    leadership: Leadership,
    commands: Option<oneshot::Sender<HolderCommand>>,
    /// Goes before the mark: once there is no guard, the mutex knows that one is being given back.
    _release_on_drop: ReleaseOnDrop,
    /// By it the mutex knows that there is a guard.
    _mark: Arc<()>,
}

impl Guard {
    pub(super) fn new(held: GrantedLock, mark: Arc<()>, release_on_drop: ReleaseOnDrop) -> Self {
        Self {
            leadership: held.leadership,
            commands: Some(held.commands),
            _mark: mark,
            _release_on_drop: release_on_drop,
        }
    }

    /// The fencing token of this acquisition, to be passed along with every write.
    #[must_use]
    pub fn token(&self) -> FencingToken {
        self.leadership.token()
    }

    /// The resource that is locked.
    #[must_use]
    pub fn resource(&self) -> &ResourceName {
        self.leadership.resource()
    }

    /// The acquisition as a whole.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        self.leadership.lease()
    }

    /// The answer to "is it still held?" as a handle of its own, to give to those who do the work.
    #[must_use]
    pub fn leadership(&self) -> &Leadership {
        &self.leadership
    }

    /// Whether it is still held. Once false, it stays false. See [`Leadership::is_current`].
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.leadership.is_current()
    }

    /// How long it stays held without a further renewal; zero once it is lost.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.leadership.remaining()
    }

    /// Asks for at least this much time, for instance before a step that must not be interrupted.
    ///
    /// # Errors
    /// [`NotEnoughTime`] if less is left.
    pub fn require(&self, at_least: Duration) -> Result<(), NotEnoughTime> {
        self.leadership.require(at_least)
    }

    /// Completes, with the reason, when the lock is lost: another has it, an operator evicted it, its
    /// longest time is over, or it could not be renewed before its deadline.
    ///
    /// # Cancel safety
    /// May be dropped and called again at any time.
    pub async fn lost(&self) -> Reason {
        self.leadership.lost().await
    }

    /// Runs a future for as long as the lock is held, and drops it when the lock is lost.
    ///
    /// # Errors
    /// [`LockError::Lost`], if that came first.
    ///
    /// # Cancel safety
    /// As the given future.
    pub async fn run<F: Future>(&self, work: F) -> Result<F::Output, LockError> {
        let done = self.leadership.run(work).await;
        done.map_err(|reason| self.lost_by(reason))
    }

    /// Gives the lock back and tells how that went. With
    /// [`min_hold`](super::MutexOptions::min_hold) it is no longer held here, and others get it
    /// when that time is over.
    ///
    /// # Errors
    /// [`LockError::Lost`] if it was lost before, so that the work under it was not protected to the
    /// end; [`LockError::NotHeld`] or [`LockError::Store`] if the store did not confirm it, and the lease
    /// is left to run out.
    ///
    /// # Cancel safety
    /// The lock is given back also if the future is dropped.
    pub async fn release(self) -> Result<(), LockError> {
        self.give_back(true).await
    }

    /// Gives it back as if it had not been taken: nobody is kept from it for longer.
    pub(super) async fn undo(self) -> Result<(), LockError> {
        self.give_back(false).await
    }

    /// The same in the background.
    pub(super) fn undo_later(mut self) {
        self.commands = None;
    }

    async fn give_back(mut self, used: bool) -> Result<(), LockError> {
        let (answer, answered) = oneshot::channel();
        let told = self.order(used, Some(answer));
        match answered.await {
            Ok(outcome) if told => outcome,
            // Whoever renewed it has given up long ago, and has said why.
            _ => Err(self.lost_by(self.leadership.lost().await)),
        }
    }

    /// Has it given back, unless that was ordered before.
    fn order(
        &mut self,
        used: bool,
        answer: Option<oneshot::Sender<Result<(), LockError>>>,
    ) -> bool {
        let order = HolderCommand::GiveBack { used, answer };
        let commands = self.commands.take();
        commands.is_some_and(|commands| commands.send(order).is_ok())
    }

    pub(super) fn lost_by(&self, reason: Reason) -> LockError {
        LockError::Lost {
            resource: self.resource().clone(),
            reason,
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.order(true, None);
    }
}
