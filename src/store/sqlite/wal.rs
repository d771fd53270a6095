//! Keeps the write-ahead log short, because on a small volume a long log leaves no space for anything else.

use rusqlite::Connection;

use super::{
    busy_timeout::BusyTimeout,
    failure::{Failure, RequestResult, is_busy},
};

/// The length at which the log is written back, in bytes. SQLite's default is 1000 pages, 4 MB.
const LIMIT: i64 = 256 * 1024;

/// Switches to the write-ahead log. SQLite does not call the busy handler for this.
pub(super) fn switch_on(connection: &Connection, busy_timeout: &BusyTimeout) -> RequestResult<()> {
    loop {
        let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0));
        let mode: String = match mode {
            Err(error) if is_busy(&error) && busy_timeout.pause() => continue,
            mode => mode?,
        };
        return if mode.eq_ignore_ascii_case("wal") {
            Ok(())
        } else {
            Err(Failure::misconfigured(format!(
                "the journal mode is {mode:?} and cannot become \"wal\": use a local file system"
            )))
        };
    }
}

/// Lets this connection write the log back when it has grown to the limit, and cut it to the limit.
pub(super) fn limit(connection: &Connection) -> RequestResult<()> {
    let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    connection.pragma_update(None, "wal_autocheckpoint", (LIMIT / page).max(1))?;
    connection.pragma_update(None, "journal_size_limit", LIMIT)?;
    Ok(())
}

/// Writes back the log as far as other connections allow. Then the file has its space for the table, which may
/// not be there later.
pub(super) fn write_back(connection: &Connection) {
    checkpoint(connection, "PASSIVE");
}

/// Writes the whole log back, so that it starts again from its beginning and needs no new space. Returns
/// `false` if that is impossible now.
pub(super) fn restart(connection: &Connection) -> bool {
    checkpoint(connection, "RESTART")
}

fn checkpoint(connection: &Connection, mode: &str) -> bool {
    let statement = format!("PRAGMA wal_checkpoint({mode})");
    let blocked = connection.query_row(&statement, [], |row| row.get(0));
    // If a request fails for the same reason, its own error says so.
    blocked.is_ok_and(|blocked: i64| blocked == 0)
}
