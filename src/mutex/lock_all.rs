use std::{ops::Deref, time::Duration};

use super::{Guard, LockError, Mutex, task::WaitLimit};

/// Takes all these locks or none, waiting for as long as others hold them: one after the other in the
/// order of their names, so that two who want the same locks do not wait for each other.
///
/// # Errors
/// [`LockError::NamedTwice`]; [`LockError::Lost`] if one of them was lost before the last was taken;
/// otherwise as [`Mutex::guard`]. What was taken has been given back by then.
///
/// # Cancel safety
/// What was taken is given back in the background.
///
/// # Examples
///
/// ```
/// # use std::sync::Arc;
/// # use tenure::{LockManager, MemoryStore, lock_all};
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let locks = LockManager::new(Arc::new(MemoryStore::new()))?;
/// let (from, to) = (locks.mutex("account/7")?, locks.mutex("account/3")?);
/// let both = lock_all([&from, &to]).await?;
/// assert_eq!(both[0].resource().as_str(), "account/3");
/// both.release().await?;
/// # Ok(())
/// # }
/// ```
pub async fn lock_all<'a>(
    mutexes: impl IntoIterator<Item = &'a Mutex>,
) -> Result<Guards, LockError> {
    Guards::take(mutexes, |_| WaitLimit::Forever).await
}

/// The same without waiting: each lock is asked for once.
///
/// # Errors
/// [`LockError::Held`], or as [`lock_all`].
///
/// # Cancel safety
/// As [`lock_all`].
pub async fn try_lock_all<'a>(
    mutexes: impl IntoIterator<Item = &'a Mutex>,
) -> Result<Guards, LockError> {
    Guards::take(mutexes, |_| WaitLimit::Once).await
}

/// The same, waiting for at most this long for all of them together.
///
/// # Errors
/// [`LockError::Timeout`], or as [`lock_all`].
///
/// # Cancel safety
/// As [`lock_all`].
pub async fn lock_all_timeout<'a>(
    mutexes: impl IntoIterator<Item = &'a Mutex>,
    limit: Duration,
) -> Result<Guards, LockError> {
    Guards::take(mutexes, |first| first.until(limit)).await
}

/// The guards of several locks that were taken together, in the order of their names. Given back, or
/// dropped, the last one goes first.
#[derive(Debug)]
#[must_use = "the locks are given back when their guards are dropped"]
pub struct Guards(Vec<Guard>);

impl Guards {
    async fn take<'a>(
        mutexes: impl IntoIterator<Item = &'a Mutex>,
        wait_limit: impl FnOnce(&Mutex) -> WaitLimit,
    ) -> Result<Self, LockError> {
        let mut mutexes: Vec<_> = mutexes.into_iter().collect();
        mutexes.sort_by_key(|mutex| mutex.resource());
        if let Some(pair) = mutexes
            .windows(2)
            .find(|pair| pair[0].resource() == pair[1].resource())
        {
            let resource = pair[0].resource().clone();
            return Err(LockError::NamedTwice { resource });
        }
        let mut taken = UndoOnDrop(Vec::with_capacity(mutexes.len()));
        let Some(first) = mutexes.first() else {
            return Ok(Self(Vec::new()));
        };
        let wait_limit = wait_limit(first);
        match taken.fill(mutexes, wait_limit).await {
            Ok(()) => Ok(Self(std::mem::take(&mut taken.0))),
            Err(error) => {
                while let Some(guard) = taken.0.pop() {
                    // Whether the store confirms it or not, the caller has no lock.
                    let _ = guard.undo().await;
                }
                Err(error)
            }
        }
    }

    /// Gives all locks back, the last one first.
    ///
    /// # Errors
    /// The first error that one of them had, as [`Guard::release`]; the others are given back
    /// nevertheless.
    ///
    /// # Cancel safety
    /// The locks are given back also if the future is dropped.
    pub async fn release(mut self) -> Result<(), LockError> {
        let mut outcome = Ok(());
        while let Some(guard) = self.0.pop() {
            outcome = outcome.and(guard.release().await);
        }
        outcome
    }

    /// Whether all of them are still held.
    #[must_use]
    pub fn are_current(&self) -> bool {
        self.0.iter().all(Guard::is_current)
    }
}

/// Locks that are not yet all of them: nobody has worked under them.
struct UndoOnDrop(Vec<Guard>);

impl UndoOnDrop {
    async fn fill(&mut self, mutexes: Vec<&Mutex>, wait_limit: WaitLimit) -> Result<(), LockError> {
        for mutex in mutexes {
            self.0.push(mutex.guard_by(wait_limit).await?);
        }
        match self.0.iter().find(|guard| !guard.is_current()) {
            Some(lost) => Err(lost.lost_by(lost.lost().await)),
            None => Ok(()),
        }
    }
}

impl Drop for UndoOnDrop {
    fn drop(&mut self) {
        while let Some(guard) = self.0.pop() {
            guard.undo_later();
        }
    }
}

impl Deref for Guards {
    type Target = [Guard];

    fn deref(&self) -> &[Guard] {
        &self.0
    }
}

impl Drop for Guards {
    fn drop(&mut self) {
        while self.0.pop().is_some() {}
    }
}
