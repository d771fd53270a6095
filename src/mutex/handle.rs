use std::{
    fmt,
    sync::{Arc, PoisonError, Weak},
    time::Duration,
};

use futures::channel::oneshot;

use super::{
    Guard, LockError,
    acquisition_end::{AbandonOnDrop, AcquisitionEnd, OpenAcquisitions},
    mutex_config::{LockKind, MutexConfig},
    task::{FirstBid, GrantedLock, HolderCommand, LockTask, WaitLimit},
    unlock::{UnlockOutcome, unlock},
};
use crate::{
    clock::Moment,
    leadership::{Leadership, Reason},
    lease::{CandidateId, Lease, ReleaseTarget, ResourceName},
    timing::Timing,
};

/// A lock of one name; [`guard()`](Self::guard) gives a [`Guard`], [`lock()`](Self::lock) gives none.
///
/// | | [`guard()`](Self::guard) | [`lock()`](Self::lock) |
/// | --- | --- | --- |
/// | lasts | until you release it or it is lost; it renews itself | one ttl; call `lock()` again to keep it |
/// | ends when it is dropped | yes | no: call [`unlock()`](Self::unlock), or it expires |
/// | another mutex of the same name and owner | waits, as every other holder does | locks again, and may unlock |
/// | reports its loss | yes | no |
///
/// Prefer the guard. A plain lock excludes *owners*, not processes: the default owner is the name of the host,
/// so all processes of one host hold it together. To exclude processes of one host, use a guard or give each
/// an [owner](super::MutexOptions::owner) of its own.
///
/// While an operator has [paused](crate::Operator::pause) the resource, a lock that is held goes on, calls that wait
/// go on waiting, and calls that do not wait return [`LockError::Paused`].
///
/// You may await the futures of a mutex on any runtime. The requests run on the library's lock thread, unless the
/// manager was [built for the current runtime](super::LockManagerBuilder::build_on_current_runtime).
#[derive(Debug)]
pub struct Mutex {
    config: Arc<MutexConfig>,
    state: std::sync::Mutex<MutexState>,
    open_acquisitions: OpenAcquisitions,
}

/// What this handle holds, as far as it knows.
#[derive(Debug)]
enum MutexState {
    Nothing,
    Locked {
        lease: Lease,
        until: Moment,
    },
    Guarded {
        guard_alive: Weak<()>,
        leadership: Leadership,
    },
}

impl Mutex {
    pub(super) fn new(config: MutexConfig) -> Self {
        Self {
            config: Arc::new(config),
            state: std::sync::Mutex::new(MutexState::Nothing),
            open_acquisitions: OpenAcquisitions::default(),
        }
    }

    /// The resource that this mutex locks.
    #[must_use]
    pub fn resource(&self) -> &ResourceName {
        &self.config.plain.resource
    }

    /// The owner: mutexes of the same name and owner share the plain lock.
    #[must_use]
    pub fn owner(&self) -> &CandidateId {
        &self.config.plain.candidate
    }

    /// The times of its leases. While it waits for a lock, it asks every `poll_every`.
    #[must_use]
    pub fn timing(&self) -> &Timing {
        &self.config.plain.timing
    }

    /// Locks for one ttl, without a guard; waits while another owner holds the lock.
    ///
    /// If the same owner already holds the lock, here or in another process, this locks again: with a new
    /// token, and for a whole ttl from now. If the store does not answer, this retries and logs a warning.
    ///
    /// # Errors
    /// - [`LockError::HeldByThisHandle`], at once, if this handle has a guard.
    /// - [`LockError::Store`] if the store fails in a way that a retry does not fix.
    ///
    /// # Cancel safety
    /// Dropping the future is safe: if the lock was already granted, it is released. One case differs: if
    /// another mutex of the same owner holds the lock, and this call would have locked *again*, the lock stays
    /// locked for up to a ttl, because that mutex may rely on it.
    pub async fn lock(&self) -> Result<Lease, LockError> {
        self.lock_by(WaitLimit::Forever).await
    }

    /// Locks for one ttl as [`lock`](Self::lock) does, but asks once and does not wait.
    ///
    /// # Errors
    /// - [`LockError::Held`] if another owner holds the lock.
    /// - [`LockError::Paused`] if the resource is paused.
    /// - [`LockError::HeldByThisHandle`] if this handle has a guard.
    /// - [`LockError::Store`] for any error of the store.
    ///
    /// # Cancel safety
    /// As [`lock`](Self::lock).
    pub async fn try_lock(&self) -> Result<Lease, LockError> {
        self.lock_by(WaitLimit::Once).await
    }

    /// Locks for one ttl as [`lock`](Self::lock) does, but waits for at most `limit`.
    ///
    /// A `limit` of zero never acquires the lock; use [`try_lock`](Self::try_lock).
    ///
    /// # Errors
    /// - [`LockError::Timeout`] if the lock was still held or paused at the limit.
    /// - [`LockError::Store`], of any kind, if the store was failing at the limit.
    /// - Otherwise as [`lock`](Self::lock).
    ///
    /// # Cancel safety
    /// As [`lock`](Self::lock).
    pub async fn lock_timeout(&self, limit: Duration) -> Result<Lease, LockError> {
        self.lock_by(self.until(limit)).await
    }

    /// Releases the plain lock of this owner, whichever mutex of this name and owner has locked it.
    ///
    /// # Errors
    /// - [`LockError::NotHeld`] if the owner does not hold the lock.
    /// - [`LockError::Lost`] if this mutex locked it, the lock has expired since, and no one else has acquired
    ///   it yet. If another mutex locked it, the same case returns `Ok`.
    /// - [`LockError::Store`] if the store failed three times.
    ///
    /// # Cancel safety
    /// If you drop the future, the lock may or may not be released. A mutex that has not locked, for instance
    /// in another process, knows no token to name: if its request is delayed, it may release what the same
    /// owner has locked since.
    pub async fn unlock(&self) -> Result<(), LockError> {
        let known = match &*self.state() {
            MutexState::Locked { lease, until } => Some((lease.clone(), *until)),
            _ => None,
        };
        let expired = known
            .as_ref()
            .is_some_and(|(_, until)| *until <= self.now());
        let claim = match &known {
            Some((lease, _)) => ReleaseTarget::Lease(lease.clone()),
            None => ReleaseTarget::Holder {
                resource: self.resource().clone(),
                holder: self.owner().clone(),
            },
        };
        let unlocked = self.release(claim).await?;
        if let (Some((lease, _)), UnlockOutcome::NotHeld(record)) = (&known, &unlocked)
            && let Some(record) = record.as_ref().filter(|record| record.is_held())
            && record.holder.as_ref() == Some(self.owner())
        {
            // Another mutex of this owner has locked again. This names its token, so a request that
            // arrives late does not release a later lock.
            let token = record.token;
            let lease = Lease {
                token,
                ..lease.clone()
            };
            let unlocked = self.release(ReleaseTarget::Lease(lease)).await?;
            self.forget(known.as_ref());
            return self.unlock_result(&unlocked, false);
        }
        self.forget(known.as_ref());
        self.unlock_result(&unlocked, expired)
    }

    /// Acquires the lock and returns a [`Guard`] that renews it; waits while another holder has it.
    ///
    /// If the store does not answer, this retries and logs a warning.
    ///
    /// # Errors
    /// - [`LockError::HeldByThisHandle`], at once, if this handle already has a guard or called
    ///   [`lock`](Self::lock) less than a ttl ago: waiting would deadlock.
    /// - [`LockError::Store`] if the store fails in a way that a retry does not fix.
    ///
    /// # Cancel safety
    /// Dropping the future is safe: if the lock was already granted, it is released.
    pub async fn guard(&self) -> Result<Guard, LockError> {
        self.guard_by(WaitLimit::Forever).await
    }

    /// Acquires the lock as [`guard`](Self::guard) does, but asks once and does not wait.
    ///
    /// # Errors
    /// - [`LockError::Held`] if another holder has the lock.
    /// - [`LockError::Paused`] if the resource is paused.
    /// - [`LockError::HeldByThisHandle`] as for [`guard`](Self::guard).
    /// - [`LockError::Store`] for any error of the store.
    ///
    /// # Cancel safety
    /// As [`guard`](Self::guard).
    pub async fn try_guard(&self) -> Result<Guard, LockError> {
        self.guard_by(WaitLimit::Once).await
    }

    /// Acquires the lock as [`guard`](Self::guard) does, but waits for at most `limit`.
    ///
    /// A `limit` of zero never acquires the lock; use [`try_guard`](Self::try_guard).
    ///
    /// # Errors
    /// - [`LockError::Timeout`] if the lock was still held or paused at the limit.
    /// - [`LockError::Store`], of any kind, if the store was failing at the limit.
    /// - Otherwise as [`guard`](Self::guard).
    ///
    /// # Cancel safety
    /// As [`guard`](Self::guard).
    pub async fn guard_timeout(&self, limit: Duration) -> Result<Guard, LockError> {
        self.guard_by(self.until(limit)).await
    }

    pub(super) fn until(&self, limit: Duration) -> WaitLimit {
        WaitLimit::Until {
            moment: self.now() + limit,
            after: limit,
        }
    }

    async fn lock_by(&self, wait_limit: WaitLimit) -> Result<Lease, LockError> {
        self.check_held(LockKind::Plain)?;
        let (granted, abandon_on_drop) = self.contend(LockKind::Plain, wait_limit).await?;
        let (lease, until) = (
            granted.leadership.lease().clone(),
            self.now() + granted.leadership.remaining(),
        );
        let stays = granted.commands.send(HolderCommand::StopRenewing).is_ok();
        if !stays || until <= self.now() {
            return Err(self.lost(Reason::Expired));
        }
        abandon_on_drop.disarm();
        let known = lease.clone();
        *self.state() = MutexState::Locked {
            lease: known,
            until,
        };
        Ok(lease)
    }

    pub(super) async fn guard_by(&self, wait_limit: WaitLimit) -> Result<Guard, LockError> {
        self.check_held(LockKind::Guarded)?;
        let (granted, abandon_on_drop) = self.contend(LockKind::Guarded, wait_limit).await?;
        let alive = Arc::new(());
        *self.state() = MutexState::Guarded {
            guard_alive: Arc::downgrade(&alive),
            leadership: granted.leadership.clone(),
        };
        Ok(Guard::new(
            self.config.clone(),
            granted,
            alive,
            abandon_on_drop,
        ))
    }

    async fn contend(
        &self,
        mode: LockKind,
        wait_limit: WaitLimit,
    ) -> Result<(GrantedLock, AbandonOnDrop), LockError> {
        let (acquisition_end, end) = AcquisitionEnd::new();
        let after = self.open_acquisitions.add(acquisition_end.clone());
        let (waiter, granted) = oneshot::channel();
        let task = LockTask::new(&self.config, mode, wait_limit, waiter, after, end);
        let executor = &self.config.executor;
        let abandon_on_drop = AbandonOnDrop::new(acquisition_end);
        let task = match FirstBid::new(Box::new(task), executor) {
            Ok(first_bid) => first_bid.await,
            Err(task) => task,
        };
        let granted = executor.spawn(task, granted)?.await??;
        Ok((granted, abandon_on_drop))
    }

    /// Refuses to wait for a lock that this handle holds: that would be a deadlock.
    fn check_held(&self, mode: LockKind) -> Result<(), LockError> {
        let remaining = match &*self.state() {
            MutexState::Guarded {
                guard_alive,
                leadership,
            } if guard_alive.strong_count() > 0 => leadership.remaining(),
            MutexState::Locked { until, .. } if mode == LockKind::Guarded => {
                self.now().until(*until)
            }
            _ => return Ok(()),
        };
        // A guard that has lost the lock does not block the next one.
        if remaining.is_zero() {
            return Ok(());
        }
        let resource = self.resource().clone();
        Err(LockError::HeldByThisHandle {
            resource,
            remaining,
        })
    }

    async fn release(&self, claim: ReleaseTarget) -> Result<UnlockOutcome, LockError> {
        let (store, timing) = (self.config.store.clone(), *self.timing());
        let work = async move { unlock(store, claim, timing, None).await };
        Ok(self.config.executor.run(work).await??)
    }

    fn unlock_result(&self, unlocked: &UnlockOutcome, expired: bool) -> Result<(), LockError> {
        match unlocked {
            UnlockOutcome::Released if expired => Err(self.lost(Reason::Expired)),
            UnlockOutcome::Released => Ok(()),
            UnlockOutcome::NotHeld(_) => Err(LockError::NotHeld {
                resource: self.resource().clone(),
            }),
        }
    }

    fn lost(&self, reason: Reason) -> LockError {
        LockError::Lost {
            resource: self.resource().clone(),
            reason,
        }
    }

    /// Forgets the lease that was released, but not one that was locked meanwhile.
    fn forget(&self, known: Option<&(Lease, Moment)>) {
        let mut state = self.state();
        if let (MutexState::Locked { lease, .. }, Some((known, _))) = (&*state, known)
            && lease == known
        {
            *state = MutexState::Nothing;
        }
    }

    fn now(&self) -> Moment {
        self.config.plain.clock.now()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, MutexState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Mutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {}", self.resource(), self.owner())
    }
}
