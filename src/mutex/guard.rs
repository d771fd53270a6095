use std::{future::Future, sync::Arc, time::Duration};

use futures::channel::oneshot;

use super::{
    LockError,
    acquisition_end::AbandonOnDrop,
    direct_release::DirectRelease,
    mutex_config::MutexConfig,
    overdue::OverdueWatch,
    task::{GrantedLock, HolderCommand},
    unlock::UnlockOutcome,
};
use crate::{
    leadership::{Leadership, NotEnoughTime, Reason},
    lease::{FencingToken, Lease, ResourceName},
};

/// A held lock that renews itself until it is released, dropped or lost.
///
/// Tenure renews it on its own thread, so your work may block its thread without losing the lock. A guard
/// belongs to one acquisition: no other guard of the resource is granted before
/// [`is_current`](Self::is_current) returns `false` here, under the [assumptions](crate#the-guarantee) of the
/// crate about clocks and stores.
///
/// Dropping a guard releases the lock in the background. If your process may end right afterwards, call
/// [`release`](Self::release) and wait for it instead.
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
/// // The work is dropped if the lock is lost. It sends the token with what it writes.
/// guard.run(send_invoices(guard.token().get())).await?;
/// guard.release().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "the lock is released when its guard is dropped"]
pub struct Guard {
    config: Arc<MutexConfig>,
    leadership: Leadership,
    end: Arc<oneshot::Sender<()>>,
    commands: Option<oneshot::Sender<HolderCommand>>,
    /// Dropped before `_alive`: when the mutex sees no guard, it already sees the pending release.
    _abandon_on_drop: AbandonOnDrop,
    /// The mutex has a `Weak` of it, and so knows whether its guard still exists.
    _alive: Arc<()>,
}

impl Guard {
    pub(super) fn new(
        config: Arc<MutexConfig>,
        granted: GrantedLock,
        alive: Arc<()>,
        abandon_on_drop: AbandonOnDrop,
    ) -> Self {
        Self {
            config,
            leadership: granted.leadership,
            end: granted.end,
            commands: Some(granted.commands),
            _alive: alive,
            _abandon_on_drop: abandon_on_drop,
        }
    }

    /// The fencing token of this acquisition. Send it with every write.
    #[must_use]
    pub fn token(&self) -> FencingToken {
        self.leadership.token()
    }

    /// The resource that is locked.
    #[must_use]
    pub fn resource(&self) -> &ResourceName {
        self.leadership.resource()
    }

    /// The acquisition: resource, holder and token.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        self.leadership.lease()
    }

    /// A handle that answers "is it still held?". Clone it for the tasks and threads that do the work.
    #[must_use]
    pub fn leadership(&self) -> &Leadership {
        &self.leadership
    }

    /// Whether the lock is still held. Once `false`, it stays `false`. See [`Leadership::is_current`].
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.leadership.is_current()
    }

    /// How long the lock stays held without a further renewal; zero once it is lost.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.leadership.remaining()
    }

    /// Checks that at least this much time is left, for instance before a step that must not be interrupted.
    ///
    /// # Errors
    /// [`NotEnoughTime`] if less is left.
    pub fn require(&self, at_least: Duration) -> Result<(), NotEnoughTime> {
        self.leadership.require(at_least)
    }

    /// Waits until the lock is lost, and returns the reason: another holder has it, an operator evicted it,
    /// [`max_hold`](super::MutexOptions::max_hold) is over, or it was not renewed before its deadline.
    ///
    /// # Cancel safety
    /// You may drop the future and call this again at any time.
    pub async fn lost(&self) -> Reason {
        self.leadership.lost().await
    }

    /// Runs a future, and drops it if the lock is lost before it completes.
    ///
    /// The work is dropped when the task that awaits this is next polled. The library wakes that task when the
    /// lock is lost, at the latest at the deadline, unless the thread of the lock is blocked: see
    /// [`Leadership::run`].
    ///
    /// # Errors
    /// [`LockError::Lost`] if the lock was lost first.
    ///
    /// # Cancel safety
    /// That of the given future.
    pub async fn run<F: Future>(&self, work: F) -> Result<F::Output, LockError> {
        let done = self.leadership.run(work).await;
        done.map_err(|reason| self.lost_by(reason))
    }

    /// Releases the lock and waits for the store to confirm it.
    ///
    /// If [`min_hold`](super::MutexOptions::min_hold) is set, other holders acquire the lock only when that
    /// time is over.
    ///
    /// # Errors
    /// - [`LockError::Lost`] if the lock was lost before, so the work under it was not protected to its end.
    /// - [`LockError::NotHeld`] or [`LockError::Store`] if the store did not confirm the release. The lease
    ///   then expires on its own.
    ///
    /// # Cancel safety
    /// Dropping the future does not stop the release.
    pub async fn release(self) -> Result<(), LockError> {
        self.release_after(true).await
    }

    /// Releases a lock that no work has used: `min_hold` does not apply.
    pub(super) async fn release_unused(self) -> Result<(), LockError> {
        self.release_after(false).await
    }

    /// The same in the background.
    pub(super) fn release_unused_later(mut self) {
        self.commands = None;
    }

    async fn release_after(mut self, used: bool) -> Result<(), LockError> {
        if let Some(overdue) = DirectRelease::watch(&self.config)
            && let Some(outcome) = self.release_directly(overdue).await
        {
            return outcome;
        }
        let (reply, replied) = oneshot::channel();
        self.send_release(used, Some(reply));
        match replied.await {
            Ok(outcome) => outcome,
            // The task that renewed the lock has ended before. The leadership has the reason.
            Err(_) => Err(self.lost_by(self.leadership.lost().await)),
        }
    }

    /// Releases the lock from here. `None` if it was lost before: the task knows why.
    async fn release_directly(&mut self, overdue: OverdueWatch) -> Option<Result<(), LockError>> {
        // Before the release is sent.
        if !self.leadership.give_up() {
            return None;
        }
        let commands = self.commands.take()?;
        // It fails if the task has ended, and then nothing renews the lease either.
        let _ = commands.send(HolderCommand::Forget);
        let (config, lease) = (self.config.clone(), self.lease().clone());
        let release = DirectRelease::new(config, lease, overdue, self.end.clone());
        Some(match release.run().await {
            Ok(UnlockOutcome::Released) => Ok(()),
            Ok(UnlockOutcome::NotHeld(_)) => Err(match self.leadership.lost().await {
                Reason::Shutdown => LockError::NotHeld {
                    resource: self.resource().clone(),
                },
                reason => self.lost_by(reason),
            }),
            Err(error) => Err(error),
        })
    }

    /// Tells the task to release the lock, unless it was told before.
    fn send_release(&mut self, used: bool, reply: Option<oneshot::Sender<Result<(), LockError>>>) {
        if let Some(commands) = self.commands.take() {
            // If the task has ended, the lock is no longer held. Dropping the reply tells the caller.
            let _ = commands.send(HolderCommand::Release { used, reply });
        }
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
        self.send_release(true, None);
    }
}
