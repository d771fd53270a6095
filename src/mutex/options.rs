use std::time::Duration;

use crate::lease::{CandidateId, InvalidName, ResourceName};

/// What a [`Mutex`](super::Mutex) is made of besides what its
/// [`LockManager`](super::LockManager) gives it. Everything is checked when the mutex is made.
///
/// ```
/// # use std::time::Duration;
/// # use tenure::MutexOptions;
/// let options = MutexOptions::new("invoices")
///     .ttl(Duration::from_secs(60))
///     .max_hold(Duration::from_secs(3600));
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until a mutex is made with them"]
pub struct MutexOptions {
    pub(super) name: Result<ResourceName, InvalidName>,
    pub(super) owner: Option<Result<CandidateId, InvalidName>>,
    pub(super) ttl: Option<Duration>,
    pub(super) max_hold: Option<Duration>,
    pub(super) min_hold: Option<Duration>,
}

impl MutexOptions {
    /// A mutex of this name; everything else as the manager has it.
    pub fn new<N>(name: N) -> Self
    where
        N: TryInto<ResourceName>,
        N::Error: Into<InvalidName>,
    {
        Self {
            name: name.try_into().map_err(Into::into),
            owner: None,
            ttl: None,
            max_hold: None,
            min_hold: None,
        }
    }

    /// Who locks: mutexes of the same name and owner lock and unlock each other. Default: the
    /// manager's owner.
    pub fn owner<N>(mut self, owner: N) -> Self
    where
        N: TryInto<CandidateId>,
        N::Error: Into<InvalidName>,
    {
        self.owner = Some(owner.try_into().map_err(Into::into));
        self
    }

    /// How long it stays locked without being locked again, and without the renewals of its guard.
    /// Default: the manager's ttl; 10 ms to 366 days where the other times follow from it, and not below
    /// the store's minimum.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// How long a guard holds it at most, however well it is renewed: for a job that may hang and must
    /// not keep the lock for ever. Counted from when the lock was asked for; not shorter than the ttl.
    /// The guard is lost then, with [`Reason::MaxHold`](crate::Reason::MaxHold). Default: no limit.
    pub fn max_hold(mut self, longest: Duration) -> Self {
        self.max_hold = Some(longest);
        self
    }

    /// How long nobody else gets the lock after a guard of it was granted, however early the guard is
    /// given back: for a short job that many hosts begin by clocks that do not agree. At least 1 ms.
    /// Default: not at all.
    ///
    /// The rest of the time is written to the store when the guard is given back, so that it also holds
    /// if the process ends then. A process that dies before leaves its lease to run out, which may be
    /// earlier; so may a guard that is lost, as by a shorter [`max_hold`](Self::max_hold), and a store
    /// that takes no write for as long as the lease lasts.
    ///
    /// On DynamoDB, which has no clock, the lock may stay closed for nearly twice as long. Each process counts
    /// the rest from when it first sees it. One that is already waiting sees it within a poll; but if the
    /// first one comes shortly before the rest is over, it waits for all of the rest again. Example: the
    /// shortest time is 60 s and the guard is given back after 1 s. If nobody asks before 59 s, the next
    /// guard is granted at 118 s.
    pub fn min_hold(mut self, shortest: Duration) -> Self {
        self.min_hold = Some(shortest);
        self
    }
}

impl<N> From<N> for MutexOptions
where
    N: TryInto<ResourceName>,
    N::Error: Into<InvalidName>,
{
    fn from(name: N) -> Self {
        Self::new(name)
    }
}
