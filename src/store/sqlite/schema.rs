use rusqlite::Connection;

use super::failure::{Failure, RequestResult};

/// A table of the store.
struct Table {
    name: &'static str,
    /// Name, type and constraint.
    required: &'static [(&'static str, &'static str, &'static str)],
    /// The columns that may be added to an older table.
    optional: &'static [(&'static str, &'static str)],
    /// `WITHOUT ROWID` is for rows that are short.
    options: &'static str,
}

const TABLES: [Table; 2] = [
    Table {
        name: "tenure_leases",
        required: &[
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
        ],
        // The long texts come last, so that a renewal need not read past them.
        optional: &[
            ("min_reader", "INTEGER"),
            ("since", "INTEGER"),
            ("metadata", "TEXT"),
            ("history", "TEXT"),
        ],
        options: "STRICT, WITHOUT ROWID",
    },
    Table {
        name: "tenure_registers",
        required: &[
            ("name", "TEXT", "NOT NULL PRIMARY KEY"),
            ("scope", "TEXT", "NOT NULL"),
            ("version", "INTEGER", "NOT NULL"),
            ("value", "TEXT", "NOT NULL"),
        ],
        optional: &[],
        options: "STRICT",
    },
];

/// The statements that create what an existing file lacks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PendingMigration(Vec<String>);

impl PendingMigration {
    /// Compares the tables with the expected layout. It changes nothing.
    pub(super) fn check(connection: &Connection) -> RequestResult<Self> {
        let mut missing = Vec::new();
        for table in &TABLES {
            missing.extend(table.missing(connection)?);
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

impl Table {
    /// The statements that create what is missing.
    fn missing(&self, connection: &Connection) -> RequestResult<Vec<String>> {
        let index = format!("{}_scope", self.name);
        let mut objects = connection
            .prepare("SELECT type FROM sqlite_schema WHERE name IN (?1, ?2) COLLATE NOCASE")?;
        let objects: Vec<String> = objects
            .query_map([self.name, &index], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        if objects.is_empty() {
            return Ok(vec![self.create(), self.create_index()]);
        }
        let mut found = connection.prepare("SELECT name, type, pk FROM pragma_table_info(?1)")?;
        let found: Vec<(String, String, i64)> = found
            .query_map([self.name], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let mut wrong = Vec::new();
        if !objects.iter().any(|kind| kind == "table") {
            wrong.push("it is not a table".to_owned());
        }
        let mut missing = Vec::new();
        let required = (self.required.iter()).map(|(name, kind, _)| (*name, *kind, false));
        let optional = (self.optional.iter()).map(|(name, kind)| (*name, *kind, true));
        for (name, kind, optional) in required.chain(optional) {
            match (found.iter()).find(|(found, ..)| found.eq_ignore_ascii_case(name)) {
                Some((_, found, _)) if !found.eq_ignore_ascii_case(kind) => {
                    wrong.push(format!("`{name}` is {found:?} instead of {kind}"));
                }
                Some(_) => {}
                None if optional => {
                    missing.push(format!(
                        "ALTER TABLE {} ADD COLUMN {name} {kind}",
                        self.name
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
                "the table `{}` has another layout ({}); nothing was changed: rename it, or give the path of \
                 another file",
                self.name,
                wrong.join(", ")
            )));
        }
        if !objects.iter().any(|kind| kind == "index") {
            missing.push(self.create_index());
        }
        Ok(missing)
    }

    fn create(&self) -> String {
        let required = (self.required.iter())
            .map(|(name, kind, constraint)| format!("{name} {kind} {constraint}"));
        let optional = (self.optional.iter()).map(|(name, kind)| format!("{name} {kind}"));
        let columns: Vec<_> = required.chain(optional).collect();
        let (name, columns, options) = (self.name, columns.join(", "), self.options);
        format!("CREATE TABLE {name} ({columns}) {options}")
    }

    fn create_index(&self) -> String {
        let name = self.name;
        format!("CREATE INDEX IF NOT EXISTS {name}_scope ON {name} (scope)")
    }
}
