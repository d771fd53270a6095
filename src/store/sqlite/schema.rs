use rusqlite::Connection;

use super::failure::{Failure, RequestResult};

/// Name, type and constraint; the columns that may be added to an older table come last.
const REQUIRED: [(&str, &str, &str); 16] = [
    ("name", "TEXT", "NOT NULL PRIMARY KEY"),
    ("scope", "TEXT", "NOT NULL"),
    ("token", "INTEGER", "NOT NULL"),
    ("version", "INTEGER", "NOT NULL"),
    ("holder", "TEXT", ""),
    ("attempt", "BLOB", ""),
    ("ttl", "INTEGER", "NOT NULL"),
    ("expires_at", "INTEGER", "NOT NULL"),
    ("clock", "TEXT", "NOT NULL"),
    ("closing", "INTEGER", "NOT NULL"),
    ("edition", "INTEGER", "NOT NULL"),
    ("internal", "INTEGER", "NOT NULL"),
    ("touched", "INTEGER", "NOT NULL"),
    ("pause_note", "TEXT", ""),
    ("pause_since", "INTEGER", ""),
    ("hand_over", "TEXT", ""),
];

/// The long texts come last, so that a renewal need not read past them.
const OPTIONAL: [(&str, &str); 4] = [
    ("min_reader", "INTEGER"),
    ("since", "INTEGER"),
    ("metadata", "TEXT"),
    ("history", "TEXT"),
];

const INDEX: &str = "CREATE INDEX IF NOT EXISTS tenure_leases_scope ON tenure_leases (scope)";

/// The statements that create what an existing file lacks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PendingMigration(Vec<String>);

impl PendingMigration {
    /// Compares the table with the expected layout. It changes nothing.
    pub(super) fn check(connection: &Connection) -> RequestResult<Self> {
        let mut objects = connection.prepare(
            "SELECT type FROM sqlite_schema WHERE name IN ('tenure_leases', 'tenure_leases_scope') \
             COLLATE NOCASE",
        )?;
        let objects: Vec<String> = objects
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        if objects.is_empty() {
            return Ok(Self(vec![create(), INDEX.to_owned()]));
        }
        let mut found = connection.prepare("SELECT name, type, pk FROM pragma_table_info(?1)")?;
        let found: Vec<(String, String, i64)> = found
            .query_map(["tenure_leases"], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let mut wrong = Vec::new();
        if !objects.iter().any(|kind| kind == "table") {
            wrong.push("it is not a table".to_owned());
        }
        let mut missing = Vec::new();
        let optional = OPTIONAL.iter().map(|(name, kind)| (*name, *kind, true));
        let required = REQUIRED.iter().map(|(name, kind, _)| (*name, *kind, false));
        for (name, kind, optional) in required.chain(optional) {
            match found
                .iter()
                .find(|(found, ..)| found.eq_ignore_ascii_case(name))
            {
                Some((_, found, _)) if !found.eq_ignore_ascii_case(kind) => {
                    wrong.push(format!("`{name}` is {found:?} instead of {kind}"));
                }
                Some(_) => {}
                None if optional => {
                    missing.push(format!(
                        "ALTER TABLE tenure_leases ADD COLUMN {name} {kind}"
                    ));
                }
                None => wrong.push(format!("`{name}` is missing")),
            }
        }
        let keys = found.iter().filter(|(.., key)| *key > 0);
        let keys: Vec<_> = keys.map(|(name, ..)| name.to_ascii_lowercase()).collect();
        if keys != ["name"] {
            wrong.push("`name` is not its primary key".to_owned());
        }
        if !wrong.is_empty() {
            return Err(Failure::misconfigured(format!(
                "the table `tenure_leases` has another layout ({}); nothing was changed: rename it, or \
                 give the path of another file",
                wrong.join(", ")
            )));
        }
        if !objects.iter().any(|kind| kind == "index") {
            missing.push(INDEX.to_owned());
        }
        Ok(Self(missing))
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.0.is_empty()
    }

    /// Call it in the same transaction as [`check`](Self::check).
    pub(super) fn add(&self, connection: &Connection) -> RequestResult<()> {
        for statement in &self.0 {
            connection.execute_batch(statement)?;
        }
        Ok(())
    }
}

fn create() -> String {
    let required = REQUIRED
        .iter()
        .map(|(name, kind, constraint)| format!("{name} {kind} {constraint}"));
    let optional = OPTIONAL.iter().map(|(name, kind)| format!("{name} {kind}"));
    let columns: Vec<_> = required.chain(optional).collect();
    format!(
        "CREATE TABLE tenure_leases ({}) STRICT, WITHOUT ROWID",
        columns.join(", ")
    )
}
