//! What is started, what is printed, and what is checked.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use tenure::clock::{BootClock, Clock as _};

use crate::{
    process_group::{PROCESSES, ProcessGroup, Round, name},
    protocol::Event,
    schema::{self, Error, NEW, OLD, ROWS},
};

/// Runs both starts and checks them. An error says what failed.
pub(crate) fn play(crash: bool) -> Result<(), Error> {
    let folder = tempfile::tempdir()?;
    schema::prepare(folder.path())?;
    let group = ProcessGroup::new(folder.path())?;
    println!("{ROWS} customers in a schema of version {OLD}");

    if crash {
        println!("\none process starts, and four more when it has begun");
    } else {
        println!("\n{PROCESSES} processes are started at once");
    }
    let first = group.round(crash, show())?;
    check_first(&first, crash)?;

    println!("\nall {PROCESSES} are started again");
    let second = group.round(false, show())?;
    check_second(&first, &second)?;

    let begun = schema::begun(folder.path())?;
    let times = 1 + usize::from(crash);
    must(
        begun.len() == times,
        format!("the migration was begun under the tokens {begun:?}, expected {times} of them"),
    )?;
    let times = if crash { "twice" } else { "once" };
    println!("\nbegun {times}, committed once: {ROWS} rows in version {NEW}");
    println!("ok");
    Ok(())
}

/// Prints what a process reports, with the time since the start.
fn show() -> impl FnMut(usize, &Event) {
    let start = BootClock.now();
    move |index, event| {
        let text = match event {
            Event::Began { token } => format!("begins the migration, token {token}"),
            Event::Dies { rows } => format!("kills itself after {rows} rows"),
            Event::Committed { rows, .. } => format!("has committed {rows} rows"),
            Event::Continued {
                by: Some(by),
                rows,
                token,
                ..
            } => format!("continues with {rows} rows, migrated by {by}, token {token}"),
            Event::Continued { rows, .. } => {
                format!("continues with {rows} rows, migrated by itself")
            }
        };
        let since = start.until(BootClock.now());
        println!("{:6.2} s  {}  {text}", since.as_secs_f64(), name(index));
    }
}

fn check_first(round: &Round, crash: bool) -> Result<(), Error> {
    let committed: Vec<_> = round
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Committed { rows, at } => Some((*rows, *at)),
            _ => None,
        })
        .collect();
    must(
        committed.iter().map(|(rows, _)| *rows).eq([ROWS]),
        format!("expected one commit of {ROWS} rows, found {committed:?}"),
    )?;
    let here = continued(round)
        .filter(|(_, seen)| seen.by_this_process)
        .count();
    must(
        here == 1,
        format!("{here} processes report that they ran the migration, expected one"),
    )?;
    let died = usize::from(crash);
    let count = continued(round).count();
    must(
        count == PROCESSES - died,
        format!("{count} processes continued, expected {}", PROCESSES - died),
    )?;
    for (index, seen) in continued(round) {
        let early = committed.iter().any(|(_, at)| seen.at < *at);
        must(
            !early,
            format!("{} continued before the commit", name(index)),
        )?;
        must(
            seen.is_right,
            format!("{} did not see the migrated schema", name(index)),
        )?;
    }
    for (index, succeeded) in round.succeeded.iter().enumerate() {
        let dies = crash && index == 0;
        must(
            *succeeded != dies,
            format!("{} ended with the wrong exit status", name(index)),
        )?;
    }
    Ok(())
}

fn check_second(first: &Round, second: &Round) -> Result<(), Error> {
    let token = continued(first).map(|(_, seen)| seen.token).max();
    let quiet = second.events.len() == PROCESSES;
    must(
        quiet,
        format!(
            "expected that nothing is migrated again, found {:?}",
            second.events
        ),
    )?;
    for (index, seen) in continued(second) {
        let same = !seen.by_this_process && Some(seen.token) == token && seen.is_right;
        must(
            same,
            format!("{} did not see the migrated schema", name(index)),
        )?;
    }
    let all = second.succeeded.iter().all(|succeeded| *succeeded);
    must(all, "a process of the second start failed")
}

struct Seen {
    by_this_process: bool,
    token: u64,
    at: u64,
    /// Whether the schema was the new one, with every row.
    is_right: bool,
}

fn continued(round: &Round) -> impl Iterator<Item = (usize, Seen)> {
    round
        .events
        .iter()
        .filter_map(|(index, event)| match event {
            Event::Continued {
                by_this_process,
                token,
                at,
                version,
                rows,
                ..
            } => Some((
                *index,
                Seen {
                    by_this_process: *by_this_process,
                    token: *token,
                    at: *at,
                    is_right: (*version, *rows) == (NEW, ROWS),
                },
            )),
            _ => None,
        })
}

fn must(holds: bool, otherwise: impl Into<String>) -> Result<(), Error> {
    if holds {
        Ok(())
    } else {
        Err(otherwise.into().into())
    }
}
