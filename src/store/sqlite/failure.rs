use rusqlite::ErrorCode;

use crate::store::StoreErrorKind;
pub(super) use crate::store::failure::{Failure, RequestResult};

impl Failure {
    pub(super) fn misconfigured(message: impl Into<String>) -> Self {
        Self::new(StoreErrorKind::Misconfigured, message)
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StoreErrorKind::Unavailable, message)
    }

    /// The error of a commit. Only if the commit could not begin is it certain that nothing was applied.
    pub(super) fn at_commit(error: rusqlite::Error) -> Self {
        if is_busy(&error) {
            return error.into();
        }
        let message = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => {
                "the commit failed because the disk is full; after a crash, the log may still apply \
                 it: free some space"
            }
            _ => {
                "the commit failed; after a crash, the log may still apply it: look for disk errors"
            }
        };
        Self::new(StoreErrorKind::Unknown, message).because(error)
    }

    /// Whether the disk was full.
    pub(super) fn is_full(&self) -> bool {
        let cause = self.cause::<rusqlite::Error>();
        cause.and_then(rusqlite::Error::sqlite_error_code) == Some(ErrorCode::DiskFull)
    }
}

pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::FileLockingProtocolFailed
        )
    )
}

impl From<rusqlite::Error> for Failure {
    /// An error before the commit, so that nothing was applied.
    fn from(error: rusqlite::Error) -> Self {
        use StoreErrorKind::{Corrupt, Denied, Misconfigured, Unavailable};
        let (kind, message) = match error.sqlite_error_code() {
            _ if is_busy(&error) => (
                Unavailable,
                "another connection kept the database locked past the busy limit: keep other \
                 transactions on this file short",
            ),
            Some(ErrorCode::NotADatabase) => (
                Corrupt,
                "the file is not an SQLite database, or is encrypted; nothing was overwritten: give \
                 the path of another file",
            ),
            Some(ErrorCode::DatabaseCorrupt) => (
                Corrupt,
                "the database is damaged: stop every process that uses it, and restore it or repair it \
                 with `.recover` of the sqlite3 shell",
            ),
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen) => (
                Misconfigured,
                "the file, or its companion -wal or -shm, cannot be opened for writing: allow the \
                 process to read and write the file and its directory",
            ),
            Some(ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied) => (
                Denied,
                "access was denied: allow the process to read and write the file and its directory",
            ),
            Some(ErrorCode::DiskFull) => (Unavailable, "the disk is full: free some space"),
            Some(ErrorCode::SystemIoFailure) => (
                Unavailable,
                "the file system failed: look for disk errors, a full disk, and locks that it does not support",
            ),
            Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch) => (
                Misconfigured,
                "the table `tenure_leases` or `tenure_registers` refuses the row: remove the constraints \
                 and triggers that were added to it",
            ),
            // A statement that does not fit the schema.
            Some(ErrorCode::Unknown) => (
                Misconfigured,
                "the table `tenure_leases` or `tenure_registers` is missing or has changed: call `prepare`",
            ),
            _ => (Unavailable, "the request failed before its commit"),
        };
        Self::new(kind, message).because(error)
    }
}
