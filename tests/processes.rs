//! Real processes on one SQLite file. Without arguments of its own each test starts this program
//! again, as a process that contends and writes down when it believed that it led.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use actix::prelude::*;
use libtest_mimic::{Arguments, Failed, Trial};
use tenure::{BecameFollower, BecameLeader, BootClock, Clock as _, LockActor, SqliteStore, Timing};

const FILE: &str = "TENURE_TEST_FILE";
const CANDIDATE: &str = "TENURE_TEST_CANDIDATE";
const TTL: Duration = Duration::from_millis(500);

struct Witness;

impl Actor for Witness {
    type Context = Context<Self>;
}

impl Handler<BecameLeader> for Witness {
    type Result = ();
    fn handle(&mut self, BecameLeader { leadership }: BecameLeader, _: &mut Context<Self>) {
        // A plain thread, so that no runtime stands between the question and the answer.
        thread::spawn(move || {
            loop {
                let before = BootClock.now();
                if !leadership.is_current() {
                    break;
                }
                let after = BootClock.now();
                let line = format!(
                    "{} {} {}\n",
                    leadership.token(),
                    before.as_nanos(),
                    after.as_nanos()
                );
                std::io::stdout().write_all(line.as_bytes()).unwrap();
                thread::sleep(Duration::from_millis(1));
            }
        });
    }
}

impl Handler<BecameFollower> for Witness {
    type Result = ();
    fn handle(&mut self, _: BecameFollower, _: &mut Context<Self>) {}
}

fn contend(file: &str, candidate: &str) {
    System::new().block_on(async {
        let store = SqliteStore::open(file).unwrap();
        let timing = Timing::builder().ttl(TTL).build().unwrap();
        let lock = LockActor::builder("r", Arc::new(store))
            .candidate(candidate)
            .timing(timing);
        let lock = lock.start().unwrap();
        let witness = Witness.start();
        lock.subscribe(&witness);
        // A bound, in case the parent dies.
        actix::clock::sleep(Duration::from_secs(30)).await;
    });
}

fn start(file: &Path, candidate: &str, out: &Path) -> Result<Child, Failed> {
    let out = std::fs::File::create(out)?;
    let child = Command::new(std::env::current_exe()?)
        .env(FILE, file)
        .env(CANDIDATE, candidate)
        .stdout(Stdio::from(out))
        .spawn()?;
    Ok(child)
}

/// From the first answer of true to the last, for each token; a call counts from its start to its
/// end where that makes overlaps harder to miss.
fn intervals(folder: &Path) -> Result<BTreeMap<u64, (u64, u64)>, Failed> {
    let mut intervals: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != "out") {
            continue;
        }
        let text = std::fs::read_to_string(path)?;
        // A process that was killed may have left half a line.
        for line in text.lines().filter(|line| line.split(' ').count() == 3) {
            let numbers: Result<Vec<u64>, _> = line.split(' ').map(str::parse).collect();
            let Ok([token, before, after]) = numbers.as_deref() else {
                continue;
            };
            let interval = intervals.entry(*token).or_insert((*after, *before));
            *interval = (interval.0.min(*after), interval.1.max(*before));
        }
    }
    Ok(intervals)
}

/// Three processes, the leader killed every ttl and a half, and started again.
fn exclude_each_other(candidates: [&str; 3]) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("leases.db");
    let mut children = Vec::new();
    let mut runs = 0;
    let mut launch = |candidate: &str| -> Result<Child, Failed> {
        runs += 1;
        start(&file, candidate, &folder.path().join(format!("{runs}.out")))
    };
    for candidate in candidates {
        children.push((candidate, launch(candidate)?));
    }
    let end = Instant::now() + TTL * 12;
    let mut next = 0;
    while Instant::now() < end {
        thread::sleep(TTL * 3 / 2);
        let (candidate, child) = &mut children[next % 3];
        child.kill()?;
        child.wait()?;
        *child = launch(candidate)?;
        next += 1;
    }
    for (_, child) in &mut children {
        child.kill()?;
        child.wait()?;
    }
    let intervals = intervals(folder.path())?;
    if intervals.len() < 3 {
        return Err(format!("only {} leaderships", intervals.len()).into());
    }
    let ordered: Vec<_> = intervals.iter().collect();
    for pair in ordered.windows(2) {
        let [(older, (_, last)), (younger, (first, _))] = pair else {
            continue;
        };
        if last >= first {
            return Err(format!(
                "tokens {older} and {younger} led at once, for {} ns",
                *last - *first
            )
            .into());
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    if let (Ok(file), Ok(candidate)) = (std::env::var(FILE), std::env::var(CANDIDATE)) {
        contend(&file, &candidate);
        return ExitCode::SUCCESS;
    }
    let trials = vec![
        Trial::test(
            "processes_exclude_each_other_while_leaders_are_killed",
            || exclude_each_other(["a", "b", "c"]),
        ),
        Trial::test(
            "processes_with_the_same_candidate_id_exclude_each_other",
            || exclude_each_other(["twin", "twin", "twin"]),
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
