use std::{
    io,
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use super::failure::{Failure, RequestResult};
use crate::store::StoreErrorKind;

/// The absolute path, if a database can be there. SQLite's own messages do not distinguish a missing directory
/// from a missing permission.
pub(super) fn check_path(path: &Path) -> RequestResult<PathBuf> {
    if path == Path::new(":memory:") || path.as_os_str().is_empty() {
        let message = "a database in memory cannot be shared: give the path of a file, or use the \
                       memory store";
        return Err(Failure::misconfigured(message));
    }
    // An absolute path also keeps SQLite from reading `file:` as a URI.
    let path = std::path::absolute(path)
        .map_err(|error| Failure::misconfigured("the path cannot be resolved").because(error))?;
    match path.metadata() {
        Ok(found) if found.is_file() => return Ok(path),
        Ok(found) if found.is_dir() => {
            let message = "this is a directory: give the path of a file in it";
            return Err(Failure::misconfigured(message));
        }
        Ok(_) => {
            return Err(Failure::misconfigured(
                "this is not a regular file: give the path of a regular file",
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(cannot_look("the file", error)),
    }
    let directory = path.parent().unwrap_or(&path);
    match directory.metadata() {
        Ok(found) if found.is_dir() => Ok(path),
        Ok(_) => Err(Failure::misconfigured(format!(
            "{} is not a directory: give a path in a directory",
            directory.display()
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let message = format!("the directory {} does not exist", directory.display());
            Err(Failure::misconfigured(message + ": create it first"))
        }
        Err(error) => Err(cannot_look("the directory", error)),
    }
}

fn cannot_look(what: &str, error: io::Error) -> Failure {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, PermissionDenied};
    let (kind, message) = match error.kind() {
        PermissionDenied => (
            StoreErrorKind::Denied,
            format!("{what} cannot be accessed: allow the process to search its directories"),
        ),
        NotADirectory | InvalidFilename | InvalidInput => (
            StoreErrorKind::Misconfigured,
            format!(
                "{what} cannot exist: a part of the path is not a directory or not a valid name"
            ),
        ),
        _ => (
            StoreErrorKind::Unavailable,
            format!("{what} cannot be accessed: check the file system"),
        ),
    };
    Failure::new(kind, message).because(error)
}

/// The database and its companion files as they were opened. If a file was deleted or replaced, SQLite
/// continues with the old one while other processes open the new one: both would lead.
///
/// The companion files keep their inodes while a connection is open, because only the last connection removes
/// them.
#[derive(Debug)]
pub(super) struct Files {
    #[cfg(unix)]
    opened: Vec<(PathBuf, Inode)>,
    #[cfg(not(unix))]
    real: PathBuf,
}

#[cfg(unix)]
type Inode = (u64, u64);

#[cfg(unix)]
impl Files {
    /// Call it once the log is open, which is after the first read.
    pub(super) fn opened(path: &Path, connection: &Connection) -> RequestResult<Self> {
        let real = path
            .canonicalize()
            .map_err(|error| changed(path).because(error))?;
        let companion = |suffix: &str| {
            let mut name = real.clone().into_os_string();
            name.push(suffix);
            PathBuf::from(name)
        };
        // The path as it was given, so that a changed symbolic link is noticed.
        let opened = [path.to_owned(), companion("-wal"), companion("-shm")]
            .into_iter()
            .map(|path| Ok((path.clone(), inode(&path)?)))
            .collect::<RequestResult<_>>()?;
        check_unmoved(path, connection)?;
        Ok(Self { opened })
    }

    /// Checks that a connection of the application is to the same database file.
    pub(super) fn check_same(&self, connection: &Connection) -> RequestResult<()> {
        let path = connection.path().filter(|path| !path.is_empty());
        let path = Path::new(path.ok_or_else(another)?);
        let (_, main) = &self.opened[0];
        if inode(path)? != *main {
            return Err(another());
        }
        check_unmoved(path, connection)
    }

    pub(super) fn check(&self) -> RequestResult<()> {
        for (path, opened) in &self.opened {
            if inode(path)? != *opened {
                return Err(changed(path));
            }
        }
        Ok(())
    }
}

/// Checks that the path still names the file that the connection has opened.
#[cfg(unix)]
fn check_unmoved(path: &Path, connection: &Connection) -> RequestResult<()> {
    let mut moved = 0;
    connection.file_control(Some("main"), rusqlite::FileControl::HasMoved(&mut moved))?;
    match moved {
        0 => Ok(()),
        _ => Err(changed(path)),
    }
}

fn another() -> Failure {
    Failure::misconfigured("the connection is to another database: open the file of the leases")
}

#[cfg(unix)]
fn inode(path: &Path) -> RequestResult<Inode> {
    use std::os::unix::fs::MetadataExt as _;
    match path.metadata() {
        Ok(found) => Ok((found.dev(), found.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(changed(path)),
        Err(error) => Err(cannot_look("the file", error)),
    }
}

#[cfg(unix)]
fn changed(path: &Path) -> Failure {
    let name = path.file_name().unwrap_or(path.as_os_str());
    Failure::misconfigured(format!(
        "{} was deleted or replaced while it was in use, so other processes do not see what this one \
         writes: open the store again, and if anything checks tokens, raise those in the new file above \
         those in the old one",
        name.display()
    ))
}

#[cfg(not(unix))]
impl Files {
    /// An open file cannot be deleted or replaced here.
    pub(super) fn opened(path: &Path, _connection: &Connection) -> RequestResult<Self> {
        let real = path.canonicalize();
        let real = real.map_err(|error| cannot_look("the file", error))?;
        Ok(Self { real })
    }

    pub(super) fn check(&self) -> RequestResult<()> {
        Ok(())
    }

    /// Checks that a connection of the application is to the same database file.
    pub(super) fn check_same(&self, connection: &Connection) -> RequestResult<()> {
        let path = connection.path().filter(|path| !path.is_empty());
        let path = Path::new(path.ok_or_else(another)?);
        if path.canonicalize().is_ok_and(|path| path == self.real) {
            Ok(())
        } else {
            Err(another())
        }
    }
}
