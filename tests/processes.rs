//! Real processes on one SQLite file. Each test starts this program again, with environment variables that make
//! it contend for a lease and print when `is_current()` returned true.
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
use tenure::{
    BecameFollower, BecameLeader, LockActor, LockHandle, SqliteStore, Timing,
    clock::{BootClock, Clock as _},
};
use tokio::sync::mpsc;

const FILE: &str = "TENURE_TEST_FILE";
const CANDIDATE: &str = "TENURE_TEST_CANDIDATE";
#[cfg(unix)]
const FORKS: &str = "TENURE_TEST_FORKS";
const TTL: Duration = Duration::from_millis(500);
/// How many leaderships a run must have at least, and when it stops waiting for them.
const LEADERSHIPS: usize = 3;
const LONGEST_RUN: Duration = Duration::from_secs(60);

/// Prints when `is_current()` returned true, and reports on the channel when it becomes leader.
struct Witness(mpsc::UnboundedSender<()>);

impl Actor for Witness {
    type Context = Context<Self>;
}

impl Handler<BecameLeader> for Witness {
    type Result = ();
    fn handle(&mut self, BecameLeader { leadership }: BecameLeader, _: &mut Context<Self>) {
        // It fails if the receiver was dropped.
        let _ = self.0.send(());
        // A plain thread, so that no runtime delays the calls.
        thread::spawn(move || {
            loop {
                let before = BootClock.now();
                if !leadership.is_current() {
                    break;
                }
                let after = BootClock.now();
                let line = format!(
                    "{} {} {} {}\n",
                    std::process::id(),
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

/// A lock, its subscriber, and a channel that reports when it leads.
fn contend(
    file: &str,
    candidate: &str,
    ttl: Duration,
) -> (LockHandle, Addr<Witness>, mpsc::UnboundedReceiver<()>) {
    let store = SqliteStore::open(file).unwrap();
    let timing = Timing::builder().ttl(ttl).build().unwrap();
    let lock = LockActor::builder("r", Arc::new(store))
        .candidate(candidate)
        .timing(timing);
    let lock = lock.start().unwrap();
    let (tell, leads) = mpsc::unbounded_channel();
    let witness = Witness(tell).start();
    lock.subscribe(&witness);
    (lock, witness, leads)
}

fn contend_until_killed(file: &str, candidate: &str) {
    System::new().block_on(async {
        let _contends = contend(file, candidate, TTL);
        // Ends the process if the parent dies.
        actix::clock::sleep(Duration::from_secs(30)).await;
    });
}

/// Forks into two processes whose random generators have the same state. Each leads for a ttl, and then releases
/// the lease for the other.
#[cfg(unix)]
fn fork_and_contend(file: &str, candidate: &str) {
    // The generator of a thread is seeded at its first use, and the fork copies it.
    let _: u64 = rand::random();
    let fork = fork::fork().unwrap();
    System::new().block_on(async {
        let ttl = Duration::from_secs(2);
        let (lock, _witness, mut leads) = contend(file, candidate, ttl);
        let led = actix::clock::timeout(Duration::from_secs(20), leads.recv()).await;
        assert_eq!(led, Ok(Some(())), "it does not become leader");
        actix::clock::sleep(ttl).await;
        lock.shutdown().await.unwrap();
    });
    if let fork::Fork::Parent(child) = fork {
        fork::waitpid(child).unwrap();
    }
}

fn command(file: &Path, candidate: &str, out: &Path) -> Result<Command, Failed> {
    let out = std::fs::File::create(out)?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .env(FILE, file)
        .env(CANDIDATE, candidate)
        .stdout(Stdio::from(out));
    Ok(command)
}

/// For each token and process, from the end of the first call that returned true to the start of the last one.
type Intervals = BTreeMap<(u64, u64), (u64, u64)>;

fn intervals(folder: &Path) -> Result<Intervals, Failed> {
    let mut intervals = Intervals::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != "out") {
            continue;
        }
        let text = std::fs::read_to_string(path)?;
        // A process that was killed may have printed half a line.
        for line in text.lines().filter(|line| line.split(' ').count() == 4) {
            let numbers: Result<Vec<u64>, _> = line.split(' ').map(str::parse).collect();
            let Ok([process, token, before, after]) = numbers.as_deref() else {
                continue;
            };
            let led = intervals.entry((*token, *process));
            let interval = led.or_insert((*after, *before));
            *interval = (interval.0.min(*after), interval.1.max(*before));
        }
    }
    Ok(intervals)
}

fn check_no_overlap(intervals: &Intervals) -> Result<(), Failed> {
    let ordered: Vec<_> = intervals.iter().collect();
    for pair in ordered.windows(2) {
        let [(older, (_, last)), (younger, (first, _))] = pair else {
            continue;
        };
        if older.0 == younger.0 {
            return Err(format!("two processes have led with token {}", older.0).into());
        }
        if last >= first {
            return Err(format!(
                "tokens {} and {} led at once, for {} ns",
                older.0,
                younger.0,
                *last - *first
            )
            .into());
        }
    }
    Ok(())
}

#[cfg(unix)]
fn forks_exclude_each_other() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("leases.db");
    // The file exists before the fork. Otherwise one process would wait for the other to create it, with waits from
    // its random generator.
    drop(SqliteStore::open(&file)?);
    let out = folder.path().join("forked.out");
    let status = command(&file, "twin", &out)?.env(FORKS, "1").status()?;
    if !status.success() {
        return Err(format!("the process that forks failed: {status}").into());
    }
    let intervals = intervals(folder.path())?;
    if intervals.len() != 2 {
        return Err(format!("expected one leadership of each process: {intervals:?}").into());
    }
    check_no_overlap(&intervals)
}

/// Starts three processes. Every one and a half ttls, kills one of them in turn and starts it again.
fn exclude_each_other(candidates: [&str; 3]) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("leases.db");
    let mut children = Vec::new();
    let mut runs = 0;
    let mut launch = |candidate: &str| -> Result<Child, Failed> {
        runs += 1;
        let out = folder.path().join(format!("{runs}.out"));
        Ok(command(&file, candidate, &out)?.spawn()?)
    };
    for candidate in candidates {
        children.push((candidate, launch(candidate)?));
    }
    let begin = Instant::now();
    let mut next = 0;
    // On a busy machine a process may be killed before it could lead.
    while begin.elapsed() < TTL * 12
        || (intervals(folder.path())?.len() < LEADERSHIPS && begin.elapsed() < LONGEST_RUN)
    {
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
    if intervals.len() < LEADERSHIPS {
        return Err(format!("only {} leaderships", intervals.len()).into());
    }
    check_no_overlap(&intervals)
}

fn main() -> ExitCode {
    if let (Ok(file), Ok(candidate)) = (std::env::var(FILE), std::env::var(CANDIDATE)) {
        #[cfg(unix)]
        if std::env::var_os(FORKS).is_some() {
            fork_and_contend(&file, &candidate);
            return ExitCode::SUCCESS;
        }
        contend_until_killed(&file, &candidate);
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
        #[cfg(unix)]
        Trial::test(
            "a_process_and_its_fork_with_one_candidate_id_exclude_each_other",
            forks_exclude_each_other,
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
