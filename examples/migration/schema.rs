//! The application's database, and its migration from version 41 to 42, which splits names in two.

use std::{path::Path, thread, time::Duration};

use rusqlite::{Connection, TransactionBehavior};
use tenure::Leadership;

use crate::{children::say, protocol::Event};

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

pub(crate) const OLD: u32 = 41;
pub(crate) const NEW: u32 = 42;
pub(crate) const ROWS: u32 = 1000;

/// A pause in the migration, so that the others have to wait.
const PACE: Duration = Duration::from_millis(300);

fn open(folder: &Path) -> Result<Connection, Error> {
    let connection = Connection::open(folder.join("app.db"))?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

/// Creates the database as the last release left it.
pub(crate) fn prepare(folder: &Path) -> Result<(), Error> {
    let mut connection = open(folder)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
         CREATE TABLE begun (token INTEGER NOT NULL);",
    )?;
    for id in 1..=ROWS {
        transaction.execute(
            "INSERT INTO customers VALUES (?1, ?2)",
            (id, format!("Surname {id}, Name {id}")),
        )?;
    }
    transaction.pragma_update(None, "user_version", OLD)?;
    Ok(transaction.commit()?)
}

/// Migrates in one transaction, and returns how many rows it wrote.
pub(crate) fn migrate(folder: &Path, leadership: &Leadership, crash: bool) -> Result<u32, Error> {
    let mut connection = open(folder)?;
    // Outside the transaction, so that a migration that is rolled back is counted, too.
    let token = leadership.token().get();
    connection.execute("INSERT INTO begun VALUES (?1)", [i64::try_from(token)?])?;
    say(&Event::Began { token });

    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if version(&transaction)? == NEW {
        // Committed by a process that died or froze before it could mark the work as done.
        return Ok(0);
    }
    transaction.execute_batch(
        "CREATE TABLE people (
            id INTEGER PRIMARY KEY, surname TEXT NOT NULL, name TEXT NOT NULL
         )",
    )?;
    let split = "INSERT INTO people
        SELECT id, substr(name, 1, instr(name, ', ') - 1), substr(name, instr(name, ', ') + 2)
        FROM customers WHERE id <= ?1 = ?2";
    let first = transaction.execute(split, (ROWS / 2, true))?;
    thread::sleep(PACE);
    if crash {
        let rows = u32::try_from(first)?;
        say(&Event::Dies { rows });
        let own = rustix::process::getpid();
        rustix::process::kill_process(own, rustix::process::Signal::KILL)?;
    }
    let second = transaction.execute(split, (ROWS / 2, false))?;
    thread::sleep(PACE);
    transaction.execute_batch("DROP TABLE customers")?;
    transaction.pragma_update(None, "user_version", NEW)?;
    // Losing the lock does not stop this thread, so it checks the lease itself.
    leadership.require(Duration::from_millis(100))?;
    transaction.commit()?;
    Ok(u32::try_from(first + second)?)
}

/// What an application sees when it continues: the version, and how many rows are correct.
pub(crate) fn look(folder: &Path) -> Result<(u32, u32), Error> {
    let connection = open(folder)?;
    let right =
        "SELECT count(*) FROM people WHERE surname = 'Surname ' || id AND name = 'Name ' || id";
    let rows = connection.query_row(right, [], |row| row.get(0))?;
    Ok((version(&connection)?, rows))
}

/// The tokens under which the migration was begun.
pub(crate) fn begun(folder: &Path) -> Result<Vec<i64>, Error> {
    let connection = open(folder)?;
    let mut statement = connection.prepare("SELECT token FROM begun ORDER BY token")?;
    let tokens = statement.query_map([], |row| row.get(0))?;
    Ok(tokens.collect::<Result<_, _>>()?)
}

fn version(connection: &Connection) -> Result<u32, Error> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}
