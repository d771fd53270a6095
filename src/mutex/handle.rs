use std::{
    fmt,
    sync::{Arc, PoisonError, Weak},
    time::Duration,
};

use futures::channel::oneshot;

use super::{
    Guard, LockError,
    lock_config::{LockConfig, LockMode},
    pending_release::{PendingRelease, PendingReleases, ReleaseOnDrop},
    task::{GrantedLock, HolderCommand, LockTask, WaitLimit},
    unlock::{UnlockOutcome, unlock},
};
use crate::{
    clock::Moment,
    leadership::{Leadership, Reason},
    lease::{CandidateId, Claim, Lease, ResourceName},
    timing::Timing,
};

/// A lock of one name, for one owner: plain, or with a guard.
///
/// | | [`lock`](Self::lock) | [`guard`](Self::guard) |
/// | --- | --- | --- |
/// | lasts | one ttl, until it is locked again | renewed until it is given back or lost |
/// | same name, same owner, elsewhere | locks again and unlocks | waits like everybody else |
/// | tells of its loss | no | yes |
///
/// The guard is the safer form. The plain lock excludes *owners*, not processes: with the default
/// owner, the host's name, all processes of one host hold it together. A lock that is to exclude
/// processes of one host needs owners of its own, or a guard.
///
/// All futures of a mutex may be awaited on any runtime; what they begin is done on the library's own
/// thread.
#[derive(Debug)]
pub struct Mutex {
    config: Arc<LockConfig>,
    state: std::sync::Mutex<HandleState>,
    pending_releases: PendingReleases,
}

/// What this handle holds, as far as it knows.
#[derive(Debug)]
enum HandleState {
    Nothing,
    Locked {
        lease: Lease,
        until: Moment,
    },
    Guarded {
        mark: Weak<()>,
        leadership: Leadership,
    },
}

impl Mutex {
    pub(super) fn new(config: LockConfig) -> Self {
        Self {
            config: Arc::new(config),
            state: std::sync::Mutex::new(HandleState::Nothing),
            pending_releases: PendingReleases::default(),
        }
    }

    /// The resource that it locks.
    #[must_use]
    pub fn resource(&self) -> &ResourceName {
        &self.config.plain.resource
    }

    /// Who locks.
    #[must_use]
    pub fn owner(&self) -> &CandidateId {
        &self.config.plain.candidate
    }

    /// Its times; the waiting interval is `poll_every`.
    #[must_use]
    pub fn timing(&self) -> &Timing {
        &self.config.plain.timing
    }

    /// Locks it for one ttl, waiting for as long as another owner has it. Locked by the same owner,
    /// here or elsewhere, it is locked again: a new token and a whole ttl from now.
    ///
    /// A store that does not answer is asked on, with a warning in the log.
    ///
    /// # Errors
    /// [`LockError::HeldByThisHandle`], at once, if this handle has a guard; [`LockError::Store`] for errors
    /// that waiting does not mend.
    ///
    /// # Cancel safety
    /// Nothing is left behind in the store, also when the lock is granted at that moment. Only what
    /// another mutex of this owner was seen to hold, and would have been *locked again*, stays locked for
    /// up to a ttl: that mutex may rely on it.
    pub async fn lock(&self) -> Result<Lease, LockError> {
        self.lock_by(WaitLimit::Forever).await
    }

    /// The same without waiting: asks once.
    ///
    /// # Errors
    /// [`LockError::Held`] by another owner, [`LockError::HeldByThisHandle`] by a guard of this handle;
    /// [`LockError::Store`] for any error of the store.
    ///
    /// # Cancel safety
    /// As [`lock`](Self::lock).
    pub async fn try_lock(&self) -> Result<Lease, LockError> {
        self.lock_by(WaitLimit::Once).await
    }

    /// The same, waiting for at most this long. Zero never gets it; see
    /// [`try_lock`](Self::try_lock).
    ///
    /// # Errors
    /// [`LockError::Timeout`]; [`LockError::Store`], of any kind, if the store was not answering then; or as
    /// [`lock`](Self::lock).
    ///
    /// # Cancel safety
    /// As [`lock`](Self::lock).
    pub async fn lock_timeout(&self, limit: Duration) -> Result<Lease, LockError> {
        self.lock_by(self.until(limit)).await
    }

    /// Unlocks it for everybody, whichever mutex of this name and owner has locked it.
    ///
    /// # Errors
    /// [`LockError::NotHeld`] if the owner does not hold it; [`LockError::Lost`] if it had run out since
    /// it was locked here, and nobody had taken it yet; [`LockError::Store`]. One that was locked by another
    /// mutex, has run out and was taken by nobody is unlocked without a word of that.
    ///
    /// # Cancel safety
    /// Dropped before its end it may or may not have unlocked. Without a token of its own to name, for
    /// instance in another process than `lock`, a request that is delayed on its way may unlock what
    /// the same owner has locked since.
    pub async fn unlock(&self) -> Result<(), LockError> {
        let known = match &*self.state() {
            HandleState::Locked { lease, until } => Some((lease.clone(), *until)),
            _ => None,
        };
        let lapsed = known
            .as_ref()
            .is_some_and(|(_, until)| *until <= self.now());
        let claim = match &known {
            Some((lease, _)) => Claim::Lease(lease.clone()),
            None => Claim::Holder {
                resource: self.resource().clone(),
                holder: self.owner().clone(),
            },
        };
        let unlocked = self.give_back(claim).await?;
        if let (Some((lease, _)), UnlockOutcome::No(record)) = (&known, &unlocked)
            && let Some(record) = record.as_ref().filter(|record| record.is_held())
            && record.holder.as_ref() == Some(self.owner())
        {
            // Another mutex of this owner has locked it again. Its token is named, so that a request
            // that comes late unlocks nothing that is locked after this.
            let token = record.token;
            let lease = Lease {
                token,
                ..lease.clone()
            };
            let unlocked = self.give_back(Claim::Lease(lease)).await?;
            self.forget(known.as_ref());
            return self.judge(&unlocked, false);
        }
        self.forget(known.as_ref());
        self.judge(&unlocked, lapsed)
    }

    /// Waits for the lock as long as another holds it, and gives it with a guard that renews it.
    ///
    /// A store that does not answer is asked on, with a warning in the log.
    ///
    /// # Errors
    /// [`LockError::HeldByThisHandle`], at once, if this very handle holds it, with a guard or locked for
    /// less than a ttl: waiting for it would deadlock. [`LockError::Store`] for errors that waiting does not
    /// mend.
    ///
    /// # Cancel safety
    /// Nothing is left behind in the store, also when the lock is granted at that moment.
    pub async fn guard(&self) -> Result<Guard, LockError> {
        self.guard_by(WaitLimit::Forever).await
    }

    /// The same without waiting: asks once.
    ///
    /// # Errors
    /// [`LockError::Held`], [`LockError::HeldByThisHandle`], [`LockError::Store`] for any error of the store.
    ///
    /// # Cancel safety
    /// As [`guard`](Self::guard).
    pub async fn try_guard(&self) -> Result<Guard, LockError> {
        self.guard_by(WaitLimit::Once).await
    }

    /// The same, waiting for at most this long. Zero never gets it; see
    /// [`try_guard`](Self::try_guard).
    ///
    /// # Errors
    /// [`LockError::Timeout`]; [`LockError::Store`], of any kind, if the store was not answering then; or as
    /// [`guard`](Self::guard).
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
        self.check_held(LockMode::Plain)?;
        let (held, release_on_drop) = self.contend(LockMode::Plain, wait_limit).await?;
        let (lease, until) = (
            held.leadership.lease().clone(),
            self.now() + held.leadership.remaining(),
        );
        let stays = held.commands.send(HolderCommand::LeaveToHolder).is_ok();
        if !stays || until <= self.now() {
            return Err(self.lost(Reason::Expired));
        }
        release_on_drop.disarm();
        let known = lease.clone();
        *self.state() = HandleState::Locked {
            lease: known,
            until,
        };
        Ok(lease)
    }

    pub(super) async fn guard_by(&self, wait_limit: WaitLimit) -> Result<Guard, LockError> {
        self.check_held(LockMode::Guarded)?;
        let (held, release_on_drop) = self.contend(LockMode::Guarded, wait_limit).await?;
        let mark = Arc::new(());
        *self.state() = HandleState::Guarded {
            mark: Arc::downgrade(&mark),
            leadership: held.leadership.clone(),
        };
        Ok(Guard::new(held, mark, release_on_drop))
    }

    async fn contend(
        &self,
        form: LockMode,
        wait_limit: WaitLimit,
    ) -> Result<(GrantedLock, ReleaseOnDrop), LockError> {
        let (pending_release, end) = PendingRelease::new();
        let after = self.pending_releases.add(pending_release.clone());
        let (waiter, waiting) = oneshot::channel();
        let task = LockTask::new(&self.config, form, wait_limit, waiter, after, end);
        if !self.config.executor.spawn(task) {
            return Err(LockError::Stopped);
        }
        let release_on_drop = ReleaseOnDrop::new(pending_release);
        let held = waiting.await.map_err(|_| LockError::Stopped)??;
        Ok((held, release_on_drop))
    }

    /// Refuses to wait for what this handle holds: that would be a deadlock.
    fn check_held(&self, form: LockMode) -> Result<(), LockError> {
        let remaining = match &*self.state() {
            HandleState::Guarded { mark, leadership } if mark.strong_count() > 0 => {
                leadership.remaining()
            }
            HandleState::Locked { until, .. } if form == LockMode::Guarded => {
                self.now().until(*until)
            }
            _ => return Ok(()),
        };
        // A guard that has lost the lock is in nobody's way.
        if remaining.is_zero() {
            return Ok(());
        }
        let resource = self.resource().clone();
        Err(LockError::HeldByThisHandle {
            resource,
            remaining,
        })
    }

    async fn give_back(&self, claim: Claim) -> Result<UnlockOutcome, LockError> {
        let (store, timing) = (self.config.store.clone(), *self.timing());
        let work = async move { unlock(store, claim, timing).await };
        Ok(self.config.executor.run(work).await??)
    }

    fn judge(&self, unlocked: &UnlockOutcome, lapsed: bool) -> Result<(), LockError> {
        match unlocked {
            UnlockOutcome::Yes if lapsed => Err(self.lost(Reason::Expired)),
            UnlockOutcome::Yes => Ok(()),
            UnlockOutcome::No(_) => Err(LockError::NotHeld {
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

    /// Forgets what was unlocked, and not what was locked meanwhile.
    fn forget(&self, known: Option<&(Lease, Moment)>) {
        let mut state = self.state();
        if let (HandleState::Locked { lease, .. }, Some((known, _))) = (&*state, known)
            && lease == known
        {
            *state = HandleState::Nothing;
        }
    }

    fn now(&self) -> Moment {
        self.config.plain.clock.now()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, HandleState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Mutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {}", self.resource(), self.owner())
    }
}
