use std::{ops::Deref, time::Duration};

use super::{Guard, LockError, Mutex, task::WaitLimit};

/// Acquires a guard of each of these locks, or of none; waits while other holders have them.
///
/// It acquires them one after the other in the order of their names, so two callers that want the same locks
/// do not deadlock.
///
/// # Errors
/// - [`LockError::NamedTwice`] if two of them have the same name.
/// - [`LockError::Lost`] if one was lost before the last was acquired.
/// - Otherwise as [`Mutex::guard`].
///
/// Before it returns an error, it releases the locks that it has acquired.
///
/// # Cancel safety
/// If you drop the future, the locks that it has acquired are released in the background.
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
    Guards::acquire(mutexes, |_| WaitLimit::Forever).await
}

/// Acquires all of these locks or none, but asks for each once and does not wait.
///
/// # Errors
/// - [`LockError::Held`] if another holder has one of them.
/// - [`LockError::Store`] for any error of the store.
/// - Otherwise as [`lock_all`].
///
/// # Cancel safety
/// As [`lock_all`].
pub async fn try_lock_all<'a>(
    mutexes: impl IntoIterator<Item = &'a Mutex>,
) -> Result<Guards, LockError> {
    Guards::acquire(mutexes, |_| WaitLimit::Once).await
}

/// Acquires all of these locks or none, and waits for at most `limit` for all of them together.
///
/// # Errors
/// - [`LockError::Timeout`] if one of them was still held at the limit.
/// - [`LockError::Store`], of any kind, if the store was failing at the limit.
/// - Otherwise as [`lock_all`].
///
/// # Cancel safety
/// As [`lock_all`].
pub async fn lock_all_timeout<'a>(
    mutexes: impl IntoIterator<Item = &'a Mutex>,
    limit: Duration,
) -> Result<Guards, LockError> {
    Guards::acquire(mutexes, |first| first.until(limit)).await
}

/// The guards that [`lock_all`] acquired, in the order of their names.
///
/// [`release`](Self::release) and dropping release the last one first.
#[derive(Debug)]
#[must_use = "the locks are released when their guards are dropped"]
pub struct Guards(Vec<Guard>);

impl Guards {
    async fn acquire<'a>(
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
        let mut acquired = PartlyAcquired(Vec::with_capacity(mutexes.len()));
        let Some(first) = mutexes.first() else {
            return Ok(Self(Vec::new()));
        };
        let wait_limit = wait_limit(first);
        match acquired.fill(mutexes, wait_limit).await {
            Ok(()) => Ok(Self(std::mem::take(&mut acquired.0))),
            Err(error) => {
                while let Some(guard) = acquired.0.pop() {
                    // Whether the store confirms it or not, the caller has no lock.
                    let _ = guard.release_unused().await;
                }
                Err(error)
            }
        }
    }

    /// Releases all locks, the last one first.
    ///
    /// # Errors
    /// The first error of [`Guard::release`]. The other locks are released nevertheless.
    ///
    /// # Cancel safety
    /// If you drop the future, the remaining locks are released in the background.
    pub async fn release(mut self) -> Result<(), LockError> {
        let mut outcome = Ok(());
        while let Some(guard) = self.0.pop() {
            outcome = outcome.and(guard.release().await);
        }
        outcome
    }

    /// Whether all of the locks are still held.
    #[must_use]
    pub fn are_current(&self) -> bool {
        self.0.iter().all(Guard::is_current)
    }
}

/// The locks that [`Guards::acquire`] has so far. Dropping it releases them; no work has run under them.
struct PartlyAcquired(Vec<Guard>);

impl PartlyAcquired {
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

impl Drop for PartlyAcquired {
    fn drop(&mut self) {
        while let Some(guard) = self.0.pop() {
            guard.release_unused_later();
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
