//! What a process reports. Moments are nanoseconds of the machine's boot clock.

use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Event {
    /// It has begun the migration, as the holder of this token.
    Began { token: u64 },
    /// It kills itself after this many rows of the migration.
    Dies { rows: u32 },
    /// The migration is committed.
    Committed { rows: u32, at: u64 },
    /// The migration is done, by this process or another one, and it continues.
    Continued {
        by_this_process: bool,
        token: u64,
        /// The process that did it, if it was another one.
        by: Option<String>,
        at: u64,
        /// What it sees: the version of the schema, and the rows in the new table.
        version: u32,
        rows: u32,
    },
}
