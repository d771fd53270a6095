//! What is done, what is said of it, and what must have been so.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use tenure::clock::{BootClock, Clock as _};

use crate::{
    process_group::{PROCESSES, ProcessGroup, Round, name},
    protocol::Event,
    schema::{self, Error, NEW, OLD, ROWS},
};

/// Tells the whole story. An error says what was not as it should be.
pub(crate) fn tell(crash: bool) -> Result<(), Error> {
    let folder = tempfile::tempdir()?;
    schema::prepare(folder.path())?;
    let group = ProcessGroup::new(folder.path())?;
    println!("{ROWS} customers in a schema of version {OLD}");

    if crash {
        println!("\none process begins, and four more are started")
    } else {
        println!("\n{PROCESSES} processes are started at once")
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
        format!("begun under the tokens {begun:?}"),
    )?;
    let times = if crash { "twice" } else { "once" };
    println!("\nbegun {times}, committed once, {ROWS} rows in version {NEW}");
    println!("ok");
    Ok(())
}

/// Prints what a process tells, with the time since the start.
fn show() -> impl FnMut(usize, &Event) {
    let start = BootClock.now();
    move |index, event| {
        let text = match event {
            Event::Began { token } => format!("begins the migration, token {token}"),
            Event::Dies { rows } => format!("kills itself after {rows} rows"),
            Event::Committed { rows, .. } => format!("has committed {rows} rows"),
            Event::WentOn {
                here,
                by,
                rows,
                token,
                ..
            } => match (here, by) {
                (false, Some(by)) => {
                    format!("goes on with {rows} rows: {by} has done it, token {token}")
                }
                _ => format!("goes on with {rows} rows"),
            },
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
        format!("committed {committed:?}"),
    )?;
    let here = went_on(round).filter(|(_, seen)| seen.here).count();
    must(here == 1, format!("{here} say that they have done it"))?;
    let died = usize::from(crash);
    let count = went_on(round).count();
    must(count == PROCESSES - died, format!("{count} went on"))?;
    for (index, seen) in went_on(round) {
        let early = committed.iter().any(|(_, at)| seen.at < *at);
        must(!early, format!("{} went on too early", name(index)))?;
        must(seen.is_right, format!("{} saw something else", name(index)))?;
    }
    for (index, succeeded) in round.succeeded.iter().enumerate() {
        let dies = crash && index == 0;
        must(*succeeded != dies, format!("{} ended badly", name(index)))?;
    }
    Ok(())
}

fn check_second(first: &Round, second: &Round) -> Result<(), Error> {
    let token = went_on(first).map(|(_, seen)| seen.token).max();
    let quiet = second.events.len() == PROCESSES;
    must(quiet, format!("{:?} happened again", second.events))?;
    for (index, seen) in went_on(second) {
        let same = !seen.here && Some(seen.token) == token && seen.is_right;
        must(same, format!("{} saw something else", name(index)))?;
    }
    let all = second.succeeded.iter().all(|succeeded| *succeeded);
    must(all, "not all ended well")
}

struct Seen {
    here: bool,
    token: u64,
    at: u64,
    /// Whether the schema was the new one, with every row.
    is_right: bool,
}

fn went_on(round: &Round) -> impl Iterator<Item = (usize, Seen)> {
    round
        .events
        .iter()
        .filter_map(|(index, event)| match event {
            Event::WentOn {
                here,
                token,
                at,
                version,
                rows,
                ..
            } => Some((
                *index,
                Seen {
                    here: *here,
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
