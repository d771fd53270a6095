//! `Once` in real processes on one SQLite file, some of which die or freeze during the work. If its environment
//! names a folder, this program is one of these processes; otherwise it runs the tests.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::{Arguments, Failed, Trial};
use rustix::process::{Pid, Signal, getpid, kill_process};
use tenure::{
    Once, SqliteStore,
    once::{Completed, OnceError},
};

const FOLDER: &str = "TENURE_TEST_FOLDER";
const TTL: Duration = Duration::from_millis(500);
const LIMIT: Duration = Duration::from_secs(30);

/// Appends a line, also while other processes append.
fn note(folder: &Path, line: &str) {
    let mut how = File::options();
    let how = how.append(true).create(true);
    let mut file = how.open(folder.join("notes")).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Whether this process is the one that takes this fault.
fn takes_fault(folder: &Path, fault: &str) -> bool {
    fs::remove_file(folder.join(fault)).is_ok()
}

async fn process(folder: PathBuf) {
    let store = Arc::new(SqliteStore::open(folder.join("leases.db")).unwrap());
    let once = Once::builder(store, "work").ttl(TTL).build().unwrap();
    let work = |leadership: tenure::Leadership| {
        let folder = folder.clone();
        async move {
            note(&folder, &format!("begun {}", leadership.token()));
            tokio::time::sleep(TTL / 5).await;
            for (fault, signal) in [
                ("dies-1", Signal::KILL),
                ("dies-2", Signal::KILL),
                ("freezes", Signal::STOP),
            ] {
                if takes_fault(&folder, fault) {
                    note(&folder, &format!("{fault} {}", getpid().as_raw_nonzero()));
                    kill_process(getpid(), signal).unwrap();
                    break;
                }
            }
            tokio::time::sleep(TTL / 5).await;
            note(&folder, &format!("finished {}", leadership.token()));
            Ok::<_, String>(())
        }
    };
    let end = match once.run_with(work).await {
        Ok(Completed::ByThisCall { token, .. }) => format!("here {token}"),
        Ok(ran) => format!("already {}", ran.token()),
        Err(OnceError::Lost { .. }) => "lost".to_owned(),
        Err(error) => format!("{error}"),
    };
    note(&folder, &end);
}

/// Processes that are killed when this is dropped.
struct Processes(Vec<Child>);

impl Processes {
    fn start(folder: &Path, count: usize) -> Result<Self, Failed> {
        let mut started = Self(Vec::new());
        for _ in 0..count {
            let mut command = Command::new(std::env::current_exe()?);
            started.0.push(command.env(FOLDER, folder).spawn()?);
        }
        Ok(started)
    }

    /// Waits until at most this many processes still run.
    fn wait_for_all_but(&mut self, but: usize) -> Result<(), Failed> {
        let end = Instant::now() + LIMIT;
        while Instant::now() < end {
            let mut running = 0;
            for child in &mut self.0 {
                running += usize::from(child.try_wait()?.is_none());
            }
            if running <= but {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err("the processes do not end".into())
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The notes, with tokens that count from 1.
fn notes(folder: &Path) -> Vec<String> {
    let notes = fs::read_to_string(folder.join("notes")).unwrap_or_default();
    let token_in = |note: &str| -> Option<u64> {
        let (word, number) = note.split_once(' ')?;
        let has_token = ["begun", "finished", "here", "already"].contains(&word);
        number.parse().ok().filter(|_| has_token)
    };
    let first = notes.lines().find_map(token_in).unwrap_or(1);
    let counted = notes.lines().map(|note| match token_in(note) {
        Some(token) => note.replace(&token.to_string(), &(token - first + 1).to_string()),
        None => note.to_owned(),
    });
    counted.collect()
}

fn check(notes: &[String], expected: &[&str]) -> Result<(), Failed> {
    if notes == expected {
        Ok(())
    } else {
        Err(format!("{notes:#?} instead of {expected:#?}").into())
    }
}

/// The notes without process ids.
fn notes_without_pids(folder: &Path) -> Vec<String> {
    let short = |note: String| match note.split_once(' ') {
        Some((fault @ ("dies-1" | "dies-2" | "freezes"), _)) => fault.to_owned(),
        _ => note,
    };
    notes(folder).into_iter().map(short).collect()
}

fn the_next_process_does_the_work_when_one_dies() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    for fault in ["dies-1", "dies-2"] {
        File::create(folder.join(fault))?;
    }
    Processes::start(folder, 5)?.wait_for_all_but(0)?;
    let mut expected = vec![
        "begun 1",
        "dies-1",
        "begun 2",
        "dies-2",
        "begun 3",
        "finished 3",
    ];
    // The process that did the work and those that waited return in any order.
    let mut notes_without_pids = notes_without_pids(folder);
    notes_without_pids.get_mut(6..).unwrap_or_default().sort();
    expected.extend(["already 3", "already 3", "here 3"]);
    check(&notes_without_pids, &expected)?;
    // The store remembers it after all processes have ended.
    Processes::start(folder, 3)?.wait_for_all_but(0)?;
    let again: Vec<_> = notes(folder).split_off(notes_without_pids.len());
    check(&again, &["already 3"; 3])
}

fn a_frozen_process_loses_the_work_to_the_next_and_drops_it_when_it_wakes() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    File::create(folder.join("freezes"))?;
    let mut processes = Processes::start(folder, 3)?;
    processes.wait_for_all_but(1)?;
    let frozen = notes(folder);
    let frozen = frozen.iter().find_map(|note| note.strip_prefix("freezes "));
    let frozen = frozen.and_then(|pid| Pid::from_raw(pid.parse().ok()?));
    kill_process(frozen.ok_or("no process froze")?, Signal::CONT)?;
    processes.wait_for_all_but(0)?;
    let mut notes_without_pids = notes_without_pids(folder);
    notes_without_pids.get_mut(4..6).unwrap_or_default().sort();
    let expected = [
        "begun 1",
        "freezes",
        "begun 2",
        "finished 2",
        "already 2",
        "here 2",
        "lost",
    ];
    check(&notes_without_pids, &expected)
}

fn main() -> ExitCode {
    if let Ok(folder) = std::env::var(FOLDER) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().unwrap();
        runtime.block_on(process(folder.into()));
        return ExitCode::SUCCESS;
    }
    let trials = vec![
        Trial::test(
            "the_next_process_does_the_work_when_one_dies",
            the_next_process_does_the_work_when_one_dies,
        ),
        Trial::test(
            "a_frozen_process_loses_the_work_to_the_next_and_drops_it_when_it_wakes",
            a_frozen_process_loses_the_work_to_the_next_and_drops_it_when_it_wakes,
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
