//! How long a resource is without a leader when its leader steps down: `cargo bench --bench handover`.
//!
//! Two processes contend for one resource and step down in turns, 60 times; the first ten are not counted, because the
//! followers learn from them. Prints the time from the call of `step_down` in one process to `BecameLeader` in the
//! other, with push and with push switched off, and how long a hand-over to the other takes that a third client asks
//! for. `HANDOVER_STORE` is the URL of the store (default: a new SQLite file), `HANDOVER_ROUNDS` the number of rounds
//! that count (default: 50, which take eleven minutes).
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints what it measured"
)]

use std::{
    env,
    error::Error,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, mpsc},
    time::Duration,
};

use actix::prelude::*;
use tenure::{
    BecameFollower, BecameLeader, LockActor, Timing,
    clock::{BootClock, Clock as _},
    lease::ResourceName,
    open_store,
    store::Instruction,
    testing::{FaultyStore, WatchFault},
};

const LIMIT: Duration = Duration::from_secs(5);
/// How long the leader that stepped down lets the other lead. Without push, that one needs up to a poll.
fn hold_off(pushed: bool) -> Duration {
    if pushed {
        Duration::from_millis(1_800)
    } else {
        timing().poll_every() * 2
    }
}

fn now() -> u64 {
    BootClock.now().as_nanos()
}

/// Writes the moment at which it leads.
struct Leader;

impl Actor for Leader {
    type Context = Context<Self>;
}

impl Handler<BecameLeader> for Leader {
    type Result = ();
    fn handle(&mut self, message: BecameLeader, _: &mut Context<Self>) {
        say(&format!("led {} {}", now(), message.leadership.token()));
    }
}

impl Handler<BecameFollower> for Leader {
    type Result = ();
    fn handle(&mut self, _: BecameFollower, _: &mut Context<Self>) {}
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// A process that contends. It steps down for each line that it reads.
#[actix::main]
async fn contend(url: &str, name: &str, pushed: bool) -> Result<(), Box<dyn Error>> {
    let faulty = FaultyStore::new(open_store(url).await?);
    if !pushed {
        faulty.watch_fault(WatchFault::Ended);
    }
    let lock = LockActor::builder("bench/handover", Arc::new(faulty))
        .candidate(name)
        .timing(timing())
        .start()?;
    let leader = tenure::start_actor(|_| Leader)?;
    lock.subscribe(&leader);
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for _ in std::io::stdin().lock().lines() {
            let _ = tell.send(());
        }
    });
    loop {
        match told.try_recv() {
            Ok(()) => {
                say(&format!("releases {}", now()));
                lock.step_down_for(hold_off(pushed)).await?;
            }
            Err(mpsc::TryRecvError::Empty) => actix::clock::sleep(Duration::from_millis(2)).await,
            Err(mpsc::TryRecvError::Disconnected) => break,
        }
    }
    lock.shutdown().await?;
    Ok(())
}

fn timing() -> Timing {
    Timing::builder()
        .ttl(Duration::from_secs(15))
        .build()
        .unwrap()
}

struct Process {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(url: &str, name: &str, pushed: bool) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["contend", url, name, if pushed { "push" } else { "poll" }])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self {
            name: name.to_owned(),
            input: child.stdin.take(),
            output,
            child,
        }
    }

    /// The numbers of the next line, which begins with this word.
    fn next(&mut self, word: &str) -> Vec<u64> {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let mut words = line.split_whitespace();
        assert_eq!(words.next(), Some(word), "{line:?}");
        words.map(|number| number.parse().unwrap()).collect()
    }

    fn release(&mut self) -> u64 {
        writeln!(self.input.as_mut().unwrap()).unwrap();
        self.next("releases")[0]
    }

    fn stop(mut self) {
        self.input = None;
        self.child.wait().unwrap();
    }
}

fn print(what: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    let count = times.len();
    println!("{what:40} median {median:8.2} ms   worst {worst:8.2} ms   of {count}");
}

fn millis(from: u64, to: u64) -> f64 {
    (to as f64 - from as f64) / 1e6
}

fn measure(url: &str, rounds: usize, pushed: bool) -> Result<(), Box<dyn Error>> {
    let mut leads = Process::start(url, "first", pushed);
    let mut token = leads.next("led")[1];
    let mut waits = Process::start(url, "second", pushed);
    std::thread::sleep(Duration::from_secs(1));
    let mut gaps = Vec::new();
    for round in 0..10 + rounds {
        let released = leads.release();
        let led = waits.next("led");
        token = led[1];
        if round >= 10 {
            gaps.push(millis(released, led[0]));
        }
        std::mem::swap(&mut leads, &mut waits);
        std::thread::sleep(hold_off(pushed) + Duration::from_millis(200));
    }
    let how = if pushed { "push" } else { "poll" };
    print(&format!("released -> BecameLeader, {how}"), gaps);
    if pushed {
        let runtime = tokio::runtime::Runtime::new()?;
        let operator = runtime.block_on(open_store(url))?;
        let resource = ResourceName::new("bench/handover")?;
        let mut times = Vec::new();
        for _ in 0..rounds {
            let instruction = Instruction::HandOver {
                token: tenure::FencingToken::new(token),
                to: waits.name.parse()?,
            };
            let asked = now();
            runtime.block_on(operator.instruct(&resource, &instruction, LIMIT))?;
            let led = waits.next("led");
            token = led[1];
            times.push(millis(asked, led[0]));
            std::mem::swap(&mut leads, &mut waits);
            // For so long the one that handed over lets everybody bid first.
            std::thread::sleep(timing().poll_every().mul_f64(1.2) + timing().call_timeout());
        }
        print("hand-over asked -> `to` leads, push", times);
    }
    leads.stop();
    waits.stop();
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().collect();
    if let [_, mode, url, name, how] = &arguments[..]
        && mode == "contend"
    {
        return contend(url, name, how == "push");
    }
    let folder = tempfile::tempdir()?;
    let file = format!("sqlite:{}", folder.path().join("leases.db").display());
    let url = env::var("HANDOVER_STORE").unwrap_or(file);
    let rounds = env::var("HANDOVER_ROUNDS").map_or(Ok(50), |rounds| rounds.parse())?;
    let place = url.split(['?', '@']).next().unwrap_or_default();
    println!("{place}, ttl 15 s, two processes");
    measure(&url, rounds, true)?;
    measure(&url, rounds.min(10), false)
}
