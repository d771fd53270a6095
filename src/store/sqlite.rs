use std::{
    fmt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use async_trait::async_trait;
#[cfg(target_os = "linux")]
use futures::stream::BoxStream;

mod busy_timeout;
mod clock_identity;
mod doorbell;
mod failure;
mod fencing;
mod files;
mod operations;
mod renewal;
mod row;
mod schema;
mod session;
mod wal;
mod worker;

use self::{
    failure::{Failure, RequestResult},
    files::Files,
    session::{HostClock, Session},
    worker::Worker,
};
#[cfg(target_os = "linux")]
use super::StoreEvent;
use super::{
    AcquireOutcome, EvictionMode, InstructOutcome, LeaseStore, Operation, ReleaseOutcome,
    RenewOutcome, StoreError,
};
use crate::{
    clock::{BootClock, Clock},
    lease::{
        Bid, EndReason, FencingToken, Instruction, Lease, LeaseRecord, ReleaseTarget, ResourceName,
        Scope,
    },
};

const KIND: &str = "sqlite";

/// How many records one transaction of a batch or a purge writes. The requests of other callers and of other
/// processes get their turn between two transactions.
const AT_ONCE: usize = 1_000;

/// Leases in an SQLite file, shared by the processes of **one host**.
///
/// # Set-up
///
/// [`open`](Self::open) creates the file and the table `tenure_leases` if they are missing. The file may be
/// your application's own database. All processes must open the same file. Do not put it on a network file
/// system (NFS, SMB, or a volume that several hosts mount): SQLite's log index is shared memory, and its
/// locks belong to the host. Clones of the store share a connection.
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
///     waited: None,
///     internal: false,
/// };
/// let limit = Duration::from_secs(1);
/// assert!(matches!(store.acquire(&bid, limit).await?, AcquireOutcome::Granted { .. }));
/// let record = store.read(&bid.resource, limit).await?.ok_or("no record")?;
/// assert_eq!(record.holder, Some(bid.candidate));
/// # Ok(())
/// # }
/// ```
///
/// # Clock
///
/// The host's [`BootClock`]. Each record names it by boot id, time namespace and the namespace's offset.
///
/// A lease under another clock (from before a restart of the machine, or from a container with its own time
/// namespace) is *observed*: it becomes free once this store has counted its whole ttl since it first saw the
/// present token and version. It is never free at once; `remaining` says how long the rest takes. Renewing
/// it from here is [`Lost`](RenewOutcome::Lost). If the system has no boot id (every system except Linux),
/// the store observes the leases of every other process.
///
/// # Atomic primitive
///
/// A `BEGIN IMMEDIATE` transaction: read the row, decide, write it, commit. A request that changes nothing,
/// such as a follower's bid, is one read without the write lock.
///
/// # Requests
///
/// One per operation. They run on the store's thread (`tenure-sqlite`), which ends with the last clone: no
/// method blocks, and no runtime is needed.
///
/// A request waits in short random sleeps for the write transactions of other connections. After
/// [`busy_limit`](SqliteStoreBuilder::busy_limit), counted from the call, it fails with
/// [`Unavailable`](super::StoreErrorKind::Unavailable). The requests of one store run one after the other. If
/// the limit of a call passes before its turn, it does not run, and fails with
/// [`Unavailable`](super::StoreErrorKind::Unavailable): to list very many records, open a second store.
///
/// If the disk hangs, so does the thread: then a request is not answered within its limit.
///
/// # Settings
///
/// The store switches the file to the write-ahead log (`journal_mode = WAL`, which stays with the file). Every
/// commit is flushed to the disk (`synchronous = FULL`, on macOS also `fullfsync`). Transactions are
/// serializable.
///
/// # Disk space
///
/// Leave 1 MB, and 5 KB for each resource with metadata. SQLite writes the log back when it has grown to
/// 256 KiB. If a long transaction of your application has made it longer, it is cut to that size again.
///
/// While a connection of your application keeps a **read** transaction open, SQLite cannot reuse the log, which
/// grows with every write. Keep read transactions short, too.
///
/// If something else fills the disk, existing leases are still renewed and released, in the space that the
/// file and its log already have. Acquiring a new lease may fail with
/// [`Unavailable`](super::StoreErrorKind::Unavailable) or [`Unknown`](super::StoreErrorKind::Unknown). Free
/// some space; you need not open the store again.
///
/// If your application's connections fill the disk with the log itself, SQLite can write it back only when the
/// file has space for what the log holds: free some space.
///
/// # Least privileges
///
/// Reading and writing the file **and its directory**, where SQLite keeps the companion files `-wal` and
/// `-shm`.
///
/// # What each error means
///
/// | kind | what happened | what to do |
/// | --- | --- | --- |
/// | [`Unavailable`](super::StoreErrorKind::Unavailable) | other connections kept the file locked, earlier requests took the time, or the disk is full | keep write transactions below `busy_limit`; list through a second store; free some space |
/// | [`Unknown`](super::StoreErrorKind::Unknown) | a commit failed, so it may have been applied | the lock asks again; look at the disk |
/// | [`Denied`](super::StoreErrorKind::Denied) | the process may not search the directory | grant it the privileges above |
/// | [`Misconfigured`](super::StoreErrorKind::Misconfigured) | no such directory, no write access, a table of another layout, or a file that was replaced | the message says it; after a replacement, open the store again |
/// | [`Corrupt`](super::StoreErrorKind::Corrupt) | the file or a row is damaged, or it is not an SQLite database | restore it, then raise the tokens |
///
/// # What can be lost
///
/// A crash of the process or of the machine loses nothing that was granted, if the disk keeps what it was told
/// to flush. Outside the guarantee:
///
/// - A restored backup takes tokens back, and so does a deleted file.
/// - If the file or its companion files are deleted or replaced while in use, processes that opened the old
///   file and processes that open the new one do not see each other. On Unix, the next request to the old
///   one fails with [`Misconfigured`](super::StoreErrorKind::Misconfigured) until the store is opened again.
///   Until its deadline, the former leader may still lead.
/// - If a process opens the file without SQLite, or with a second copy of SQLite linked into it, its locks are
///   dropped when it closes the file: that is POSIX's rule for file locks.
#[derive(Clone)]
pub struct SqliteStore {
    worker: Worker,
    path: Arc<Path>,
    /// For transactions on the application's connections.
    clock: HostClock,
    files: Arc<Files>,
    #[cfg(target_os = "linux")]
    listeners: Arc<doorbell::Listeners>,
}

/// Builds an [`SqliteStore`] with settings of your own; see [`SqliteStore::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct SqliteStoreBuilder {
    busy_limit: Duration,
    clock: HostClock,
}

impl SqliteStoreBuilder {
    /// Sets how long a request waits for the write transactions of other connections, those of your
    /// application included. Default 500 ms.
    ///
    /// If a call has a shorter limit, that one counts.
    pub fn busy_limit(mut self, limit: Duration) -> Self {
        self.busy_limit = limit;
        self
    }

    /// Sets the clock. Default [`BootClock`]. A test can pass one that it moves by hand.
    ///
    /// Stores with the same `identity` compare their moments. A lease under another identity is observed.
    pub fn clock(mut self, clock: Arc<dyn Clock>, identity: impl Into<Arc<str>>) -> Self {
        let identity = identity.into();
        (self.clock.clock, self.clock.identity) = (clock, identity);
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
            #[cfg(target_os = "linux")]
            let listeners = Arc::new(session.doorbell.listeners());
            let worker = Worker::start(session).map_err(|error| {
                Failure::unavailable("cannot start the thread of the store").because(error)
            });
            Ok(SqliteStore {
                worker: worker?,
                path: path.into(),
                clock,
                files,
                #[cfg(target_os = "linux")]
                listeners,
            })
        });
        started.map_err(|failure| failure.of(KIND, Operation::Open, &path.display().to_string()))
    }
}

impl SqliteStore {
    /// Opens a file. Creates it and its table if they are missing.
    ///
    /// It blocks for some milliseconds, or for at most about
    /// [`busy_limit`](SqliteStoreBuilder::busy_limit) while other connections lock the file.
    ///
    /// # Errors
    ///
    /// An error of one of these kinds leaves the file as it was, except that after `Unavailable` the file may
    /// be new, or may have been switched to the write-ahead log:
    ///
    /// - [`Corrupt`](super::StoreErrorKind::Corrupt): the file is damaged, or is not an SQLite database.
    /// - [`Misconfigured`](super::StoreErrorKind::Misconfigured): the directory does not exist, the
    ///   file cannot be written, or its table `tenure_leases` has another layout.
    /// - [`Denied`](super::StoreErrorKind::Denied): the process may not search the directory.
    /// - [`Unavailable`](super::StoreErrorKind::Unavailable): other connections kept the file locked, or the
    ///   disk is full.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::builder().open(path)
    }

    /// A builder, to open a file with settings other than the defaults.
    pub fn builder() -> SqliteStoreBuilder {
        SqliteStoreBuilder {
            busy_limit: Duration::from_millis(500),
            clock: HostClock {
                clock: Arc::new(BootClock),
                identity: clock_identity::of_boot_clock().into(),
                wall: SystemTime::now,
            },
        }
    }

    async fn call<T: Send + 'static>(
        &self,
        operation: Operation,
        limit: Duration,
        work: impl FnOnce(&mut Session) -> RequestResult<T> + Send + 'static,
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

    fn location(&self) -> String {
        self.path.display().to_string()
    }

    /// 10 ms, because a commit waits for the disk.
    fn min_ttl(&self) -> Duration {
        Duration::from_millis(10)
    }

    /// The requests run on the store's own thread.
    fn runs_in_callers_task(&self) -> bool {
        true
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

    async fn release(
        &self,
        claim: &ReleaseTarget,
        reason: Option<EndReason>,
        limit: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        let claim = claim.clone();
        self.call(Operation::Release, limit, move |session| {
            session.release(&claim, reason)
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
        eviction: EvictionMode,
        limit: Duration,
    ) -> Result<ReleaseOutcome, StoreError> {
        let resource = resource.clone();
        self.call(Operation::Evict, limit, move |session| {
            session.evict(&resource, token, eviction)
        })
        .await
    }

    async fn instruct(
        &self,
        resource: &ResourceName,
        instruction: &Instruction,
        limit: Duration,
    ) -> Result<InstructOutcome, StoreError> {
        let (resource, instruction) = (resource.clone(), instruction.clone());
        self.call(Operation::Instruct, limit, move |session| {
            session.instruct(&resource, &instruction)
        })
        .await
    }

    async fn purge(
        &self,
        scope: &Scope,
        untouched_for: Duration,
        limit: Duration,
    ) -> Result<u64, StoreError> {
        let begun = Instant::now();
        let mut purged = 0;
        loop {
            let scope = scope.clone();
            let left = limit.saturating_sub(begun.elapsed());
            let deleted = self.call(Operation::Purge, left, move |session| {
                session.purge(&scope, untouched_for, AT_ONCE)
            });
            let deleted = deleted.await?;
            purged += deleted as u64;
            if deleted < AT_ONCE {
                return Ok(purged);
            }
        }
    }

    async fn renew_many(
        &self,
        leases: &[(Lease, Duration)],
        limit: Duration,
    ) -> Vec<Result<RenewOutcome, StoreError>> {
        let begun = Instant::now();
        let place = self.location();
        let mut outcomes = Vec::with_capacity(leases.len());
        for part in leases.chunks(AT_ONCE) {
            let asked = part.to_vec();
            let left = limit.saturating_sub(begun.elapsed());
            let renewed = self
                .worker
                .call(left, move |session| session.renew_many(&asked))
                .await;
            let renewed = renewed.unwrap_or_else(|failure| {
                let failure = failure.for_each();
                part.iter().map(|_| Err(failure())).collect()
            });
            outcomes.extend(renewed.into_iter().map(|outcome| {
                outcome.map_err(|failure| failure.of(KIND, Operation::Renew, &place))
            }));
        }
        outcomes
    }

    #[cfg(target_os = "linux")]
    fn watch(&self, alive_every: Duration) -> Option<BoxStream<'static, StoreEvent>> {
        Some(self.listeners.listen(alive_every))
    }
}

#[cfg(test)]
mod tests;
