//! The write-ahead log, kept short: on a small volume a long one leaves no room for anything else.

use rusqlite::Connection;

use super::{
    busy_timeout::BusyTimeout,
    failure::{Answer, Failure, is_busy},
};

/// How long the log gets before it is written back, in bytes. SQLite's own limit is 1000 pages, 4 MB.
const LIMIT: i64 = 256 * 1024;

/// Switches to the write-ahead log. SQLite does not call the busy handler for this.
pub(super) fn switch_on(connection: &Connection, busy_timeout: &BusyTimeout) -> Answer<()> {
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
                "the journal mode stays {mode:?} instead of \"wal\": use a local file system"
            )))
        };
    }
}

/// Has this connection write the log back when it has grown to the limit, and cut it to that.
pub(super) fn limit(connection: &Connection) -> Answer<()> {
    let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    connection.pragma_update(None, "wal_autocheckpoint", (LIMIT / page).max(1))?;
    connection.pragma_update(None, "journal_size_limit", LIMIT)?;
    Ok(())
}

/// Writes back what the log has, as far as nobody stands in the way. The table then has its place in
/// the file: there may be no room for it later.
pub(super) fn write_back(connection: &Connection) {
    checkpoint(connection, "PASSIVE");
}

/// Writes everything back, so that the log begins anew in the room that it has. False if that cannot
/// be done now.
pub(super) fn begin_anew(connection: &Connection) -> bool {
    checkpoint(connection, "RESTART")
}

fn checkpoint(connection: &Connection, mode: &str) -> bool {
    let statement = format!("PRAGMA wal_checkpoint({mode})");
    let blocked = connection.query_row(&statement, [], |row| row.get(0));
    // What stands in the way of a request is told by its own error.
    blocked.is_ok_and(|blocked: i64| blocked == 0)
}
