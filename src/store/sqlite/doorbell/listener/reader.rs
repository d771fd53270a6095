use std::{io, os::fd::OwnedFd, sync::Arc};

use rustix::{
    fs::inotify::{self, CreateFlags, WatchFlags},
    io::Errno,
};

use super::super::{BellFile, BellPlace, LONGEST, entry};
use crate::store::StoreEvent;

/// The file of a doorbell, and how far it was read.
#[derive(Debug)]
pub(super) struct BellReader {
    place: Arc<BellPlace>,
    file: BellFile,
    inotify: OwnedFd,
    offset: u64,
}

impl BellReader {
    /// Reads what is written from now on.
    pub(super) fn open(place: &Arc<BellPlace>) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        for _ in 0..10 {
            let file = BellFile::open(place)?;
            // `ATTRIB` reports that the file was deleted while it is open.
            let flags = WatchFlags::MODIFY | WatchFlags::ATTRIB | WatchFlags::MOVE_SELF;
            match inotify::add_watch(&inotify, &place.path, flags) {
                // It was deleted meanwhile.
                Err(Errno::NOENT) => continue,
                added => added?,
            };
            let offset = file.length()?;
            // Otherwise the watch may be on a newer file.
            if file.is_at(&place.path) {
                return Ok(Self {
                    place: place.clone(),
                    file,
                    inotify,
                    offset,
                });
            }
        }
        Err(io::Error::other("it is replaced again and again"))
    }

    pub(super) fn ring(&mut self, entries: &[u8]) -> io::Result<()> {
        self.file.append(entries)
    }

    /// Ready to be read when something was written.
    pub(super) fn notices(&self) -> &OwnedFd {
        &self.inotify
    }

    /// Whether inotify has reported anything since the last call.
    pub(super) fn take_notices(&mut self) -> io::Result<bool> {
        let mut any = false;
        let mut notices = [0; 4096];
        loop {
            match rustix::io::read(&self.inotify, &mut notices) {
                Ok(0) | Err(Errno::AGAIN) => return Ok(any),
                Ok(_) => any = true,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The events of the new lines. A line without its end is read again later.
    pub(super) fn read(&mut self) -> io::Result<Vec<StoreEvent>> {
        let length = self.file.length()?;
        let Some(new) = length.checked_sub(self.offset) else {
            // Somebody has truncated it.
            self.offset = length;
            return Ok(vec![StoreEvent::LookAtAll]);
        };
        if new > LONGEST {
            self.offset = length;
            return Ok(vec![StoreEvent::LookAtAll]);
        }
        let bytes = self.file.read_at(self.offset, new as usize)?;
        let complete = bytes.iter().rposition(|byte| *byte == b'\n');
        let complete = complete.map_or(0, |last| last + 1);
        self.offset += complete as u64;
        let lines = bytes[..complete].split(|byte| *byte == b'\n');
        Ok(lines
            .filter_map(|line| entry::parse(line, &self.place.clock))
            .collect())
    }

    /// Whether others write to another file by now.
    pub(super) fn is_left(&self) -> bool {
        !self.file.is_at(&self.place.path)
    }
}
