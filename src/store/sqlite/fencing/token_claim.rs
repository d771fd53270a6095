use rusqlite::{ToSql, Transaction, types::ValueRef};

/// The value of the row's token after a claim.
pub(super) enum RowToken {
    Nothing,
    Token(i64),
    /// A value of this type.
    Other(String),
    Several,
}

/// The two statements of a claim.
pub(super) struct ClaimStatements {
    update: String,
    look: String,
}

impl ClaimStatements {
    pub(super) fn new<'a>(table: &str, field: &str, key: impl Iterator<Item = &'a str>) -> Self {
        let table = quoted(table);
        // With its table in front, an unknown column is an error. Without it, SQLite would take the quoted name
        // for a string.
        let path = |column: &str| format!("{table}.{}", quoted(column));
        let column = path(field);
        let rows: Vec<_> = key
            .enumerate()
            .map(|(index, name)| format!("{} = ?{}", path(name), index + 2))
            .collect();
        let rows = rows.join(" AND ");
        Self {
            update: format!(
                "UPDATE main.{table} SET {} = ?1 WHERE {rows} AND ({column} IS NULL OR \
                 (typeof({column}) = 'integer' AND {column} <= ?1))",
                quoted(field)
            ),
            // The statement must name every parameter, because both statements get the same values.
            look: format!("SELECT {column} FROM main.{table} WHERE {rows} AND ?1 NOT NULL LIMIT 2"),
        }
    }

    pub(super) fn execute(
        &self,
        transaction: &Transaction<'_>,
        token: i64,
        key: &[(&str, &dyn ToSql)],
    ) -> rusqlite::Result<RowToken> {
        let mut values: Vec<&dyn ToSql> = vec![&token];
        values.extend(key.iter().map(|(_, value)| *value));
        // The write comes first, because a transaction that has read may fail to get the write lock later.
        let mut update = transaction.prepare_cached(&self.update)?;
        update.execute(&values[..])?;
        let mut look = transaction.prepare_cached(&self.look)?;
        let mut rows = look.query(&values[..])?;
        let found = match rows.next()? {
            None => return Ok(RowToken::Nothing),
            Some(row) => match row.get_ref(0)? {
                ValueRef::Integer(token) => RowToken::Token(token),
                other => RowToken::Other(other.data_type().to_string()),
            },
        };
        Ok(match rows.next()? {
            None => found,
            Some(_) => RowToken::Several,
        })
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
