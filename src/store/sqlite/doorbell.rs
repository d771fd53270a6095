//! The doorbell: a file beside the database to which each store appends what it has changed, after the commit.
//! Stores that watch read it when inotify reports a write. (inotify on the log would report a write before its
//! commit is visible, and each renewal, too.)

mod entry;
#[cfg(target_os = "linux")]
mod file;
#[cfg(target_os = "linux")]
mod listener;

#[cfg(target_os = "linux")]
use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::store::StoreEvent;

use self::entry::ClockMark;
#[cfg(target_os = "linux")]
pub(super) use self::{file::BellFile, listener::Listeners};

/// Where the doorbell of a database is.
#[derive(Debug)]
pub(super) struct BellPlace {
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    path: PathBuf,
    /// The doorbell gets its permissions.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    database: PathBuf,
    clock: ClockMark,
    #[cfg(target_os = "linux")]
    warned: AtomicBool,
}

impl BellPlace {
    pub(super) fn beside(database: &Path, clock: &str) -> Self {
        // All links to the database lead to one doorbell.
        let database = database.canonicalize().unwrap_or(database.to_owned());
        let mut path = database.clone().into_os_string();
        path.push("-wake");
        Self {
            path: path.into(),
            database,
            clock: ClockMark::of(clock),
            #[cfg(target_os = "linux")]
            warned: AtomicBool::new(false),
        }
    }

    /// Says once that locks poll.
    #[cfg(target_os = "linux")]
    fn warn(&self, error: &io::Error) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            event!(
                warn,
                "tenure.watch_refused",
                store = "sqlite",
                location = %self.path.display(),
                error = %error,
                "the doorbell of the leases cannot be used, so locks of other processes poll: allow the process \
                 to write this file, and look at the free space and at fs.inotify.max_user_instances"
            );
        }
    }
}

/// The writing end.
#[derive(Debug)]
pub(super) struct Doorbell {
    place: Arc<BellPlace>,
    #[cfg(target_os = "linux")]
    file: Option<BellFile>,
}

/// Above this length, the next ring begins a new file.
#[cfg(target_os = "linux")]
const LONGEST: u64 = 64 * 1024;

impl Doorbell {
    pub(super) fn new(place: BellPlace) -> Self {
        Self {
            place: Arc::new(place),
            #[cfg(target_os = "linux")]
            file: None,
        }
    }

    /// The reading end.
    #[cfg(target_os = "linux")]
    pub(super) fn listeners(&self) -> Listeners {
        Listeners::new(self.place.clone())
    }

    /// Tells the stores that watch. Call it after the commit. The lease does not depend on it, so it does not fail.
    pub(super) fn ring(&mut self, events: &[StoreEvent]) {
        let entries: String = events
            .iter()
            .filter_map(|event| entry::format(event, &self.place.clock))
            .collect();
        if entries.is_empty() {
            return;
        }
        #[cfg(target_os = "linux")]
        if let Err(error) = self.append(entries.as_bytes()) {
            self.place.warn(&error);
        }
    }

    #[cfg(target_os = "linux")]
    fn append(&mut self, entries: &[u8]) -> io::Result<()> {
        // A file that was deleted has no new readers, and the present ones leave it.
        let current = self.file.take().filter(|file| file.is_at(&self.place.path));
        let mut file = current.map_or_else(|| BellFile::open(&self.place), Ok)?;
        if file.length()? > LONGEST {
            // Not truncated: a reader that was suspended could not tell that the file has grown again. A reader of
            // a deleted file looks at all records, and sees what was committed before.
            BellFile::remove(&self.place)?;
            file = BellFile::open(&self.place)?;
        }
        self.file.insert(file).append(entries)
    }
}
