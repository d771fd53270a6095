use std::{
    fmt,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

mod busy_timeout;
mod clock_identity;
mod doorbell;
mod failure;
mod fencing;
mod files;
mod lease_store;
mod operations;
mod registers;
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
use super::{Operation, StoreError};
use crate::clock::{BootClock, Clock};

const KIND: &str = "sqlite";

/// Leases in an SQLite file, shared by the processes of **one host**.
///
/// # Set-up
///
/// [`open`](Self::open) creates the file and the tables `tenure_leases` and `tenure_registers` if they are missing. The file may be
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
///     replaces: None,
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
/// it from here is [`Lost`](super::RenewOutcome::Lost). If the system has no boot id (every system except Linux),
/// the store observes the leases of every other process.
///
/// The first token of a record is the time of day of the process that writes it. A purge goes by the time of day,
/// too. It deletes an expired lease under another clock only after its release.
///
/// # Atomic primitive
///
/// A `BEGIN IMMEDIATE` transaction: read the row, decide, write it, commit. A request that changes nothing,
/// such as a follower's bid, is one read without the write lock.
///
/// A renewal reads and writes only the columns that it needs: damage in the others, such as the history, does not
/// end a lease.
///
/// # Requests
///
/// One per operation. They run on the store's thread (`tenure-sqlite`), which ends with the last clone: no
/// method blocks, and no runtime is needed.
///
/// [`renew_many`](super::LeaseStore::renew_many) and [`purge`](super::LeaseStore::purge) write up to 1,000 records in one
/// transaction. If there are more, other requests and other processes get their turn after each 1,000.
///
/// A request waits in short random sleeps for the write transactions of other connections. After
/// [`busy_limit`](SqliteStoreBuilder::busy_limit), counted from the call, it fails with
/// [`Unavailable`](super::StoreErrorKind::Unavailable). The requests of one store run one after the other. If
/// the limit of a call passes before its turn, it does not run, and fails with
/// [`Unavailable`](super::StoreErrorKind::Unavailable): to list very many records, open a second store.
///
/// If the disk hangs, so does the thread: then a request is not answered within its limit.
///
/// # Push
///
/// On Linux, the store pushes. After the commit of an acquisition, a release, an eviction, an instruction or a
/// renewal with a shorter ttl, it appends a line with the name of the resource to the file `<database>-wake`.
/// Other renewals append nothing. Each store that [watches](super::LeaseStore::watch) is woken by inotify and reads the
/// new lines, on one thread (`tenure-wake`) for all its streams. The thread wakes twice every `alive_every`, to
/// check that the file is still the one that others write to.
///
/// The lines are hints, and nothing depends on them. If a process ends between the commit and its line, or cannot
/// write the file, the others look at their next poll. If the file cannot be used, the store warns once, and
/// no request fails. You may delete the file at any time.
///
/// Other systems have no push: the locks poll.
///
/// # Settings
///
/// The store switches the file to the write-ahead log (`journal_mode = WAL`, which stays with the file). Every
/// commit is flushed to the disk (`synchronous = FULL`, on macOS also `fullfsync`). Transactions are
/// serializable.
///
/// # Disk space
///
/// Leave 1 MB, 5 KB for each resource with metadata, and what the registers hold. The file `-wake` is begun again when it has grown to
/// 64 KiB. SQLite writes the log back when it has grown to
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
/// `-shm`, and the store the file `-wake`. That one is created with the permissions of the database.
///
/// A store that watches uses one inotify instance (`fs.inotify.max_user_instances`, often 128 for each user).
///
/// # What each error means
///
/// | kind | what happened | what to do |
/// | --- | --- | --- |
/// | [`Unavailable`](super::StoreErrorKind::Unavailable) | other connections kept the file locked, earlier requests took the time, or the disk is full | keep write transactions below `busy_limit`; list through a second store; free some space |
/// | [`Unknown`](super::StoreErrorKind::Unknown) | a commit failed, so it may have been applied | the lock asks again; look at the disk |
/// | [`Denied`](super::StoreErrorKind::Denied) | the process may not search the directory | grant it the privileges above |
/// | [`Misconfigured`](super::StoreErrorKind::Misconfigured) | no such directory, no write access, a table of another layout, or a file that was replaced | the message says it; after a replacement, open the store again |
/// | [`Corrupt`](super::StoreErrorKind::Corrupt) | the file or a row is damaged, or it is not an SQLite database | restore it, then raise the tokens to the time of day in milliseconds |
///
/// # What can be lost
///
/// A crash of the process or of the machine loses nothing that was granted, if the disk keeps what it was told
/// to flush. Outside the guarantee:
///
/// - A restored backup takes tokens back. In a new file, tokens begin with the time of day: they are greater than
///   those of a deleted one, unless the clock was set back.
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
    ///   file cannot be written, or one of its tables has another layout.
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

#[cfg(test)]
mod tests;
