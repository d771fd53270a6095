use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{
        FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
    },
    path::Path,
};

use rustix::fs::OFlags;

use super::BellPlace;

/// The file of a doorbell, open for appending and reading. A file only grows, until it is deleted.
#[derive(Debug)]
pub(in super::super) struct BellFile {
    file: File,
    /// Device and inode.
    id: (u64, u64),
}

impl BellFile {
    /// Opens the file, or creates it with the permissions of the database.
    pub(super) fn open(place: &BellPlace) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).append(true);
        // Nothing but a regular file is written to or waited for.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        options.custom_flags(flags.bits().cast_signed());
        let file = match options.open(&place.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(place, &options)?,
            opened => opened?,
        };
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let id = (found.dev(), found.ino());
        Ok(Self { file, id })
    }

    fn create(place: &BellPlace, options: &OpenOptions) -> io::Result<File> {
        let database = place.database.metadata()?;
        let mode = database.mode() & 0o666;
        let created = (options.clone().create_new(true).mode(mode)).open(&place.path);
        match created {
            // Another process was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.open(&place.path),
            Ok(file) => {
                // As SQLite does for its companion files: the umask does not count, and a file that root creates
                // belongs to the owner of the database.
                file.set_permissions(Permissions::from_mode(mode))?;
                let ours = file.metadata()?;
                if (ours.uid(), ours.gid()) != (database.uid(), database.gid()) {
                    // Only root may.
                    let _ = fchown(&file, Some(database.uid()), Some(database.gid()));
                }
                Ok(file)
            }
            failed => failed,
        }
    }

    pub(super) fn remove(place: &BellPlace) -> io::Result<()> {
        match std::fs::remove_file(&place.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Whether the path still names this file.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        let found = path.symlink_metadata();
        found.is_ok_and(|found| (found.dev(), found.ino()) == self.id)
    }

    pub(super) fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// In one write, so that lines of several processes do not mix.
    pub(super) fn append(&mut self, entries: &[u8]) -> io::Result<()> {
        self.file.write_all(entries)
    }

    pub(super) fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let mut read = 0;
        while read < length {
            match self
                .file
                .read_at(&mut bytes[read..], offset + read as u64)?
            {
                0 => break,
                more => read += more,
            }
        }
        bytes.truncate(read);
        Ok(bytes)
    }
}
