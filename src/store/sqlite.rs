use std::{fmt, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;

mod busy_timeout;
mod failure;
mod fencing;
mod files;
mod identity;
mod log;
mod row;
mod schema;
mod session;
mod worker;

use self::{
    failure::{Answer, Failure},
    files::Files,
    session::{HostClock, Session},
    worker::Worker,
};
use super::{
    AcquireOutcome, Eviction, LeaseStore, Operation, ReleaseOutcome, RenewOutcome, StoreError,
};
use crate::{
    clock::{BootClock, Clock},
    lease::{Bid, Claim, FencingToken, Lease, LeaseRecord, ResourceName, Scope},
};

const KIND: &str = "sqlite";

/// Leases in an SQLite file, shared by the processes of **one host**. Clones share a connection.
///
/// The file may be an application's own database: the leases live in the table `tenure_leases`. All
/// processes must give a path to the same file, none of them over a network file system (NFS, SMB, or
/// a volume that several hosts mount): its log is shared memory, and its locks are the host's.
///
/// ```
/// # use std::time::Duration;
/// # use tenure::{LeaseStore, SqliteStore, lease::{CandidateId, ResourceName}, store::{AcquireOutcome, AttemptId, Bid}};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let store = SqliteStore::open(directory.path().join("leases.db"))?;
/// let bid = Bid {
///     resource: ResourceName::new("jobs/nightly")?,
///     candidate: CandidateId::generate(),
///     attempt: AttemptId::new(1),
///     ttl: Duration::from_secs(15),
///     metadata: None,
///     reentrant: false,
/// };
/// assert!(matches!(store.acquire(&bid).await?, AcquireOutcome::Granted { .. }));
/// let record = store.read(&bid.resource).await?.ok_or("no record")?;
/// assert_eq!(record.holder, Some(bid.candidate));
/// # Ok(())
/// # }
/// ```
///
/// # Clock
///
/// The host's [`BootClock`], named in each record by boot id, time namespace and its offset. A lease
/// under another name (from before a restart of the machine, or from a container with a time
/// namespace of its own) is *observed*: it is free once this store has counted its whole ttl since it
/// first saw the present token and version, and never at once; `remaining` tells how long that still
/// takes. Its renewal from here is [`Lost`](RenewOutcome::Lost). Where the system has no boot id
/// (other than Linux), the leases of every other process are observed so.
///
/// # Atomic primitive
///
/// `BEGIN IMMEDIATE`: read the row, decide, write it, commit. What changes nothing, like the bid of a
/// follower, is one read without the write lock.
///
/// # Requests
///
/// One per operation, on a thread of the store's own (`tenure-sqlite`), which ends with the last
/// clone: no method blocks, and no runtime is needed. A request waits for the write transactions of
/// other connections in short random sleeps, for at most
/// [`busy_limit`](SqliteStoreBuilder::busy_limit) since it was made, and is then
/// [`Unavailable`](super::StoreErrorKind::Unavailable). Requests of one store wait for each other: for
/// lists of very many records, open a second one.
///
/// A disk that hangs keeps the thread: such a request is not answered within its limit.
///
/// # Settings
///
/// The file is switched to the write-ahead log (`journal_mode = WAL`, which stays with the file),
/// and every commit is flushed to the disk (`synchronous = FULL`, `fullfsync` on macOS). Transactions
/// are serializable.
///
/// # Room on the disk
///
/// Leave 1 MB for it, and 5 KB for each resource with metadata. The log is written back when it has grown to
/// 256 KiB, and is cut to that again where a long transaction of your application has made it longer. While
/// others fill the disk, leases that exist are still renewed and released, in the room that the file and its
/// log have. A new lease may find none: that is [`Unavailable`](super::StoreErrorKind::Unavailable) or
/// [`Unknown`](super::StoreErrorKind::Unknown) until there is some, and nothing needs to be opened again.
///
/// If connections of your application fill the disk with the log itself, it can be written back only when
/// there is room in the file for what the log holds: free some space.
///
/// # Least privileges
///
/// Reading and writing the file **and its directory**, where SQLite keeps the companions `-wal` and
/// `-shm`.
///
/// # What can be lost
///
/// Nothing that was granted, through a crash of the process or the machine, if the disk keeps what it
/// was told to flush. Outside the guarantee:
///
/// - A restored backup takes tokens back, and so does a deleted file.
/// - A file that is deleted or replaced, or whose companions are, while it is in use: those who opened
///   the old one and those who open the new one do not see each other. On Unix the former notice it at
///   their next request, which is [`Misconfigured`](super::StoreErrorKind::Misconfigured) until the
///   store is opened again; they may still lead until their deadline.
/// - A process that opens the file otherwise than by SQLite, or with a second copy of SQLite linked
///   into it, drops its locks when it closes it: that is POSIX's rule for locks on files.
#[derive(Clone)]
pub struct SqliteStore {
    worker: Worker,
    path: Arc<Path>,
    /// For transactions on connections of others.
    clock: HostClock,
    files: Arc<Files>,
}

/// How an [`SqliteStore`] is opened.
#[derive(Clone, Debug)]
#[must_use]
pub struct SqliteStoreBuilder {
    busy_limit: Duration,
    clock: HostClock,
}

impl SqliteStoreBuilder {
    /// How long a request waits for the write transactions of other connections, those of your
    /// application included. Default 500 ms.
    ///
    /// A call whose own limit is shorter waits for no longer than that.
    pub fn busy_limit(mut self, limit: Duration) -> Self {
        self.busy_limit = limit;
        self
    }

    /// Another clock than the [`BootClock`], for instance one that a test moves by hand.
    ///
    /// Stores whose clocks have the same identity compare their moments; a lease under another
    /// identity is observed.
    pub fn clock(mut self, clock: Arc<dyn Clock>, identity: impl Into<Arc<str>>) -> Self {
        let identity = identity.into();
        self.clock = HostClock { clock, identity };
        self
    }

    /// Opens the file as [`SqliteStore::open`] does.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<SqliteStore, StoreError> {
        let path = path.as_ref();
        let clock = self.clock.clone();
        let started = Session::open(path, self.clock, self.busy_limit).and_then(|session| {
            let files = Arc::clone(&session.files);
            let worker = Worker::start(session)
                .map_err(|error| Failure::unavailable("no thread can be started").because(error));
            Ok((worker?, files))
        });
        let (worker, files) = started
            .map_err(|failure| failure.of(KIND, Operation::Open, &path.display().to_string()))?;
        Ok(SqliteStore {
            worker,
            path: path.into(),
            clock,
            files,
        })
    }
}

impl SqliteStore {
    /// Opens a file, and creates it and its table if they are missing.
    ///
    /// It blocks, for some milliseconds or, while others lock the file, at most about
    /// [`busy_limit`](SqliteStoreBuilder::busy_limit).
    ///
    /// # Errors
    ///
    /// Nothing that was there is changed by an error of one of these kinds:
    ///
    /// - [`Corrupt`](super::StoreErrorKind::Corrupt): the file is no SQLite database, or is damaged.
    /// - [`Misconfigured`](super::StoreErrorKind::Misconfigured): the directory does not exist, the
    ///   file cannot be written, or its table `tenure_leases` is of another layout.
    /// - [`Denied`](super::StoreErrorKind::Denied): the process may not look into the directory.
    /// - [`Unavailable`](super::StoreErrorKind::Unavailable): others kept the file locked, or the disk
    ///   is full.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::builder().open(path)
    }

    /// Settings other than the defaults.
    pub fn builder() -> SqliteStoreBuilder {
        SqliteStoreBuilder {
            busy_limit: Duration::from_millis(500),
            clock: HostClock {
                clock: Arc::new(BootClock),
                identity: identity::of_boot_clock().into(),
            },
        }
    }

    async fn call<T: Send + 'static>(
        &self,
        operation: Operation,
        limit: Duration,
        work: impl FnOnce(&mut Session) -> Answer<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let done = self.worker.call(limit, work).await;
        done.map_err(|failure| failure.of(KIND, operation, &self.path.display().to_string()))
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SqliteStore").field(&self.path).finish()
    }
}

#[async_trait]
impl LeaseStore for SqliteStore {
    fn kind(&self) -> &'static str {
        KIND
    }

    /// 10 ms: a commit waits for the disk.
    fn min_ttl(&self) -> Duration {
        Duration::from_millis(10)
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        self.call(Operation::Prepare, Duration::MAX, Session::prepare)
            .await
    }

    async fn acquire(&self, bid: &Bid, limit: Duration) -> Result<AcquireOutcome, StoreError> {
        let bid = bid.clone();
        self.call(Operation::Acquire, limit, move |session| {
            session.acquire(&bid)
        })
        .await
    }

    async fn renew(
        &self,
        lease: &Lease,
        ttl: Duration,
        limit: Duration,
    ) -> Result<RenewOutcome, StoreError> {
        let lease = lease.clone();
        self.call(Operation::Renew, limit, move |session| {
            session.renew(&lease, ttl)
        })
        .await
    }

    async fn release(&self, claim: &Claim, limit: Duration) -> Result<ReleaseOutcome, StoreError> {
        let claim = claim.clone();
        self.call(Operation::Release, limit, move |session| {
            session.release(&claim)
        })
        .await
    }

    async fn read(
        &self,
        resource: &ResourceName,
        limit: Duration,
    ) -> Result<Option<LeaseRecord>, StoreError> {
        let resource = resource.clone();
        self.call(Operation::Read, limit, move |session| {
            session.read(&resource)
        })
        .await
    }

    async fn list(&self, scope: &Scope, limit: Duration) -> Result<Vec<LeaseRecord>, StoreError> {
        let scope = scope.clone();
        self.call(Operation::List, limit, move |session| session.list(&scope))
            .await
    }

    async fn evict(
        &self,
        resource: &ResourceName,
        token: FencingToken,
        eviction: Eviction,
        limit: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        let resource = resource.clone();
        self.call(Operation::Evict, limit, move |session| {
            session.evict(&resource, token, eviction)
        })
        .await
    }
}

#[cfg(test)]
mod tests;
