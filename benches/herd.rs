//! How many processes that wait for one lease share it: `cargo bench --bench herd`.
//!
//! Starts 200 processes and lets them contend at the same moment. Counts for two ttls how often the followers look.
//! Then kills the leader, five times, and prints how long it takes until the next one leads, and how many bids reach the store in the second after the lease expired.
//! `HERD_STORE` is the URL of the store (default: a new SQLite file), `HERD_PROCESSES` the number of processes,
//! `HERD_ROUNDS` that of the kills. A process needs about 15 MB. Fails if a bound does not hold.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints what it measured"
)]

#[path = "common/bounds.rs"]
mod bounds;

use std::{
    env,
    error::Error,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, Command, ExitCode, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use actix::prelude::*;
use bounds::{judge, number};
use tenure::{
    BecameFollower, BecameLeader, LeaseStore as _, LockActor, Timing,
    clock::{BootClock, Clock as _, Moment},
    lease::ResourceName,
    open_store,
    testing::FaultyStore,
};

const RESOURCE: &str = "bench/herd";
const CALL: Duration = Duration::from_secs(5);
/// How often a process looks whether it has bid.
const LOOK_EVERY: Duration = Duration::from_millis(50);

fn timing() -> Timing {
    Timing::builder()
        .ttl(Duration::from_secs(15))
        .build()
        .unwrap()
}

struct Leader;

impl Actor for Leader {
    type Context = Context<Self>;
}

impl Handler<BecameLeader> for Leader {
    type Result = ();
    fn handle(&mut self, _: BecameLeader, _: &mut Context<Self>) {
        say("led", 1);
    }
}

impl Handler<BecameFollower> for Leader {
    type Result = ();
    fn handle(&mut self, _: BecameFollower, _: &mut Context<Self>) {}
}

fn say(what: &str, count: u64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what} {count} {}", BootClock.now().as_nanos()).unwrap();
    out.flush().unwrap();
}

/// A process that contends from its first line of input to the end of it, and reports its bids.
#[actix::main]
async fn contend(url: &str, name: &str) -> Result<(), Box<dyn Error>> {
    let store = FaultyStore::new(open_store(url).await?);
    // Connects.
    store.read(&ResourceName::new(RESOURCE)?, CALL).await?;
    say("ready", 1);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    thread::spawn(move || {
        for _ in std::io::stdin().lock().lines() {
            let _ = tell.send(());
        }
    });
    told.recv().await;
    let lock = LockActor::builder(RESOURCE, Arc::new(store.clone()))
        .candidate(name)
        .timing(timing())
        .start()?;
    let leader = tenure::start_actor(|_| Leader)?;
    lock.subscribe(&leader);
    let mut known = 0;
    while told.is_empty() && !told.is_closed() {
        let bids = store.calls().acquire;
        if bids != known {
            say("bids", bids - known);
            known = bids;
        }
        actix::clock::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// What a process has reported.
enum Said {
    Ready,
    Led,
    Bids(u64),
}

struct Herd {
    children: Vec<(Child, ChildStdin)>,
    inbox: mpsc::Receiver<(usize, Said, Moment)>,
    bids: Vec<(u64, Moment)>,
}

impl Herd {
    fn start(url: &str, count: usize) -> Self {
        let (tell, inbox) = mpsc::channel();
        let start = |index: usize| {
            let mut child = Command::new(env::current_exe().unwrap())
                .args(["contend", url, &format!("candidate-{index}")])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let output = BufReader::new(child.stdout.take().unwrap());
            let tell = tell.clone();
            thread::spawn(move || {
                for line in output.lines().map_while(Result::ok) {
                    let _ = tell.send(parse(index, &line));
                }
            });
            let input = child.stdin.take().unwrap();
            (child, input)
        };
        Self {
            children: (0..count).map(start).collect(),
            inbox,
            bids: Vec::new(),
        }
    }

    /// Waits for the next report of this kind: who, and when. `None` after two minutes.
    fn wait(&mut self, wanted: fn(&Said) -> bool) -> Option<(usize, Moment)> {
        let until = BootClock.now() + Duration::from_secs(120);
        loop {
            let left = BootClock.now().until(until);
            let (who, said, at) = self.inbox.recv_timeout(left).ok()?;
            if let Said::Bids(count) = said {
                self.bids.push((count, at));
            }
            if wanted(&said) {
                return Some((who, at));
            }
        }
    }

    fn bids_between(&mut self, start: Moment, end: Moment) -> u64 {
        // What is on its way.
        thread::sleep(LOOK_EVERY * 4);
        let arrived = self
            .inbox
            .try_iter()
            .filter_map(|(_, said, at)| match said {
                Said::Bids(count) => Some((count, at)),
                _ => None,
            });
        self.bids.extend(arrived);
        let within = self.bids.iter();
        let within = within.filter(|(_, at)| start <= *at && *at < end + LOOK_EVERY);
        within.map(|(count, _)| count).sum()
    }
}

impl Drop for Herd {
    fn drop(&mut self) {
        for (child, _) in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn parse(index: usize, line: &str) -> (usize, Said, Moment) {
    let words: Vec<_> = line.split_whitespace().collect();
    let said = match words[0] {
        "ready" => Said::Ready,
        "led" => Said::Led,
        _ => Said::Bids(words[1].parse().unwrap()),
    };
    (index, said, Moment::from_nanos(words[2].parse().unwrap()))
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().collect();
    if let [_, mode, url, name] = &arguments[..]
        && mode == "contend"
    {
        contend(url, name)?;
        return Ok(ExitCode::SUCCESS);
    }
    let folder = tempfile::tempdir()?;
    let file = format!("sqlite:{}", folder.path().join("leases.db").display());
    let url = env::var("HERD_STORE").unwrap_or(file);
    let (count, rounds) = (number("HERD_PROCESSES", 200), number("HERD_ROUNDS", 5));
    let resource = ResourceName::new(RESOURCE)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let store = runtime.block_on(open_store(&url))?;
    runtime.block_on(store.prepare())?;
    let place = url.split(['?', '@']).next().unwrap_or_default();
    println!("{place}, ttl 15 s, {count} processes");
    let mut herd = Herd::start(&url, count);
    for _ in 0..count {
        herd.wait(|said| matches!(said, Said::Ready))
            .ok_or("not all processes are ready")?;
    }
    // What connecting costs is over.
    thread::sleep(Duration::from_secs(5));
    let begun = BootClock.now();
    for (_, input) in &mut herd.children {
        writeln!(input)?;
    }
    let led = |said: &Said| matches!(said, Said::Led);
    let (mut leader, at) = herd.wait(led).ok_or("nobody leads")?;
    let first = begun.until(at);
    println!("first leader after {first:.2?}");
    // The first race is over.
    thread::sleep(Duration::from_secs(5));
    let calm = BootClock.now();
    let ttls = timing().ttl() * 2;
    thread::sleep(ttls);
    let looks = herd.bids_between(calm, calm + ttls) as f64 / 2.0 / (count as f64 - 1.0);
    println!("each follower looks {looks:.2} times per ttl");
    let (mut slowest, mut most) = (Duration::ZERO, 0);
    for round in 1..=rounds {
        // Everybody knows who leads.
        thread::sleep(Duration::from_secs(8));
        herd.bids.clear();
        let killed = BootClock.now();
        herd.children[leader].0.kill()?;
        let record = runtime.block_on(store.read(&resource, CALL))?;
        let left = record.ok_or("the record is gone")?.remaining;
        let expiry = BootClock.now() + left;
        let (next, at) = herd.wait(led).ok_or("nobody leads after a kill")?;
        thread::sleep(at.until(expiry + Duration::from_secs(1)) + LOOK_EVERY);
        let bids = herd.bids_between(expiry, expiry + Duration::from_secs(1));
        let (gap, late) = (killed.until(at), expiry.until(at));
        println!(
            "kill {round}: the next leads after {gap:.2?}, {late:.2?} after the expiry; {bids} bids in that second"
        );
        (slowest, most, leader) = (slowest.max(gap), most.max(bids), next);
    }
    let longest = timing().ttl() + Duration::from_secs(1);
    Ok(judge([
        (looks <= 2.0, "at most two looks per ttl"),
        (first <= Duration::from_secs(1), "first leader after 1 s"),
        (slowest <= longest, "next leader within a ttl and 1 s"),
        (most <= 40, "at most 40 bids in the second after the expiry"),
    ]))
}
