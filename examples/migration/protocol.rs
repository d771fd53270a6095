//! What a process tells. Moments are nanoseconds of the machine's boot clock.

use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Event {
    /// It has begun the migration, as the holder of this token.
    Began { token: u64 },
    /// It kills itself, this many rows into the migration.
    Dies { rows: u32 },
    /// The migration is committed.
    Committed { rows: u32, at: u64 },
    /// The migration is done, here or by another, and it goes on.
    WentOn {
        here: bool,
        token: u64,
        /// Who has done it, if another did.
        by: Option<String>,
        at: u64,
        /// What it sees: the version of the schema, and the rows in the new table.
        version: u32,
        rows: u32,
    },
}
