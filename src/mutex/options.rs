use std::time::Duration;

use crate::lease::{CandidateId, InvalidName, Metadata, ResourceName};

/// The options of one [`Mutex`](super::Mutex): its name, and what differs from its
/// [`LockManager`](super::LockManager).
///
/// [`LockManager::mutex`](super::LockManager::mutex) checks them.
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
    pub(super) metadata: Option<Result<Metadata, InvalidName>>,
}

impl MutexOptions {
    /// Options for a mutex of this name. Everything else is as in the manager.
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
            metadata: None,
        }
    }

    /// The owner. Default: that of the manager.
    ///
    /// Mutexes of the same name and owner share the plain lock: each may lock it again and unlock it.
    pub fn owner<N>(mut self, owner: N) -> Self
    where
        N: TryInto<CandidateId>,
        N::Error: Into<InvalidName>,
    {
        self.owner = Some(owner.try_into().map_err(Into::into));
        self
    }

    /// Publishes a text in the record while the lock is held, for instance the address of this process. Default:
    /// that of the manager.
    ///
    /// At most 4 KiB.
    pub fn metadata(mut self, text: impl AsRef<str>) -> Self {
        self.metadata = Some(Metadata::new(text));
        self
    }

    /// How long the lock lasts without being renewed or locked again. Default: the ttl of the manager.
    ///
    /// Range: 10 ms to 366 days if the other times follow from the ttl, and at least the minimum of the store.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// The longest time that a guard holds the lock, counted from the request for it. Default: no limit.
    ///
    /// Use it for a job that may hang. When the time is over, the guard is lost with
    /// [`Reason::MaxHold`](crate::Reason::MaxHold). At least one ttl.
    pub fn max_hold(mut self, longest: Duration) -> Self {
        self.max_hold = Some(longest);
        self
    }

    /// The shortest time from the grant of a guard to the grant of the next one, however early the first is
    /// released. At least 1 ms. Default: none.
    ///
    /// Use it for a short job that many hosts start by clocks that do not agree.
    ///
    /// When the guard is released, the rest of the time is written to the store, so it also holds if the
    /// process ends then. The next guard may be granted earlier if the process dies before the release, if the
    /// guard is lost (for instance by a shorter [`max_hold`](Self::max_hold)), or if the store accepts no write
    /// until the lease has expired: in these cases the lease expires on its own.
    ///
    /// On DynamoDB, which has no clock, the time may be nearly twice as long. Each process counts the rest from
    /// when it first sees the record. A process that is already waiting sees it within one poll. One that
    /// starts to wait shortly before the rest is over waits for all of it again. For example, if `shortest` is
    /// 60 s, the guard is released after 1 s and no process asks before 59 s, the next guard is granted at
    /// 118 s.
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
