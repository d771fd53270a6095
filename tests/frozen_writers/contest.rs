//! Starts the writers, freezes the leader, lets another take over, and resumes the first.

use std::{
    env, fmt,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::Failed;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    ledger::{self, ContestStore, Guard, Outcome},
    verdict::{Replies, Verdict},
    writer::{Event, Orders, TTL},
};

const WRITERS: usize = 3;
/// A leader that is frozen within a transaction blocks all others.
const FREEZE_LIMIT: Duration = Duration::from_millis(1500);
/// If no event arrives for this long, the test fails.
const EVENT_TIMEOUT: Duration = Duration::from_secs(60);

/// A process that is killed when this is dropped, also if it is frozen.
struct Writer(Child);

impl Writer {
    fn signal(&self, signal: Signal) -> Result<(), Failed> {
        Ok(kill_process(Pid::from_child(&self.0), signal)?)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) struct Contest {
    writers: Vec<Writer>,
    events: Receiver<(usize, Event)>,
    replies: Replies,
    /// The leader and its token.
    leader: (usize, u64),
    /// The number of the leader's writes that the database has confirmed.
    streak: u32,
    late: u64,
}

/// The counts of one test.
pub(crate) struct Report {
    replies: Replies,
    freezes: u64,
    takeovers: u64,
    late: u64,
    took: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Replies {
            applied,
            refused,
            unknown,
        } = &self.replies;
        let written: u64 = applied.values().sum();
        write!(
            f,
            "{} writes under {} tokens in {:.0?}: {written} applied, {refused} refused, {unknown} unknown; \
             {} freezes, {} takeovers meanwhile, {} leaders refused after it",
            written + refused + unknown,
            applied.len(),
            self.took,
            self.freezes,
            self.takeovers,
            self.late,
        )
    }
}

impl Contest {
    pub(crate) fn run(kind: &str, guard: Guard) -> Result<(Report, Verdict), Failed> {
        let writes = env::var("TENURE_FENCED_WRITES").map_or(Ok(400), |writes| writes.parse())?;
        let runtime = tokio::runtime::Runtime::new()?;
        let folder = tempfile::tempdir()?;
        let contest_store = ContestStore::new(kind, folder.path());
        let ledger = runtime.block_on(async {
            let ledger = ledger::open(&contest_store).await;
            ledger.prepare().await;
            ledger
        });
        let begun = Instant::now();
        let mut contest = Self::start(guard, &contest_store)?;
        let (mut freezes, mut takeovers) = (0, 0);
        while contest.total() < writes {
            takeovers += u64::from(contest.freeze_leader()?);
            freezes += 1;
        }
        // What they have written up to their end counts, too.
        contest.writers.clear();
        while let Ok((writer, event)) = contest.events.recv_timeout(EVENT_TIMEOUT) {
            contest.handle_event(writer, event);
        }
        let took = begun.elapsed();
        let Self { replies, late, .. } = contest;
        let rows = runtime.block_on(ledger.rows());
        let verdict = Verdict::of(&rows, &replies, WRITERS as u64)?;
        if takeovers == 0 || (guard != Guard::None && replies.refused == 0) {
            return Err("no write was stale, so the test has proved nothing".into());
        }
        let report = Report {
            replies,
            freezes,
            takeovers,
            late,
            took,
        };
        Ok((report, verdict))
    }

    fn start(guard: Guard, contest_store: &ContestStore) -> Result<Self, Failed> {
        let (tell, events) = channel();
        let writers = (0..WRITERS).map(|index| {
            let orders = Orders {
                name: format!("writer-{index}"),
                guard,
                contest_store: contest_store.clone(),
            };
            launch(index, &orders, tell.clone())
        });
        Ok(Self {
            writers: writers.collect::<Result<_, _>>()?,
            events,
            replies: Replies::default(),
            leader: (0, 0),
            streak: 0,
            late: 0,
        })
    }

    fn total(&self) -> u64 {
        self.replies.applied.values().sum::<u64>() + self.replies.refused + self.replies.unknown
    }

    /// Freezes the leader. Returns whether another writer took over meanwhile.
    fn freeze_leader(&mut self) -> Result<bool, Failed> {
        let wanted = rand::random_range(20..60);
        self.receive_until(EVENT_TIMEOUT, |contest| contest.streak >= wanted)?;
        let (frozen, token) = self.leader;
        // At any point of its next write, or before or after it.
        thread::sleep(Duration::from_micros(rand::random_range(0..12_000)));
        self.writers[frozen].signal(Signal::STOP)?;
        // Waits until another leader has written, so that a late write is stale.
        let taken = self.receive_until(FREEZE_LIMIT, |contest| {
            contest.leader.1 > token && contest.leader.0 != frozen && contest.streak >= 15
        });
        self.writers[frozen].signal(Signal::CONT)?;
        let (taken, refused) = (taken.is_ok(), self.late);
        if taken {
            let _ = self.receive_until(TTL, |contest| contest.late > refused);
        }
        Ok(taken)
    }

    fn receive_until(
        &mut self,
        limit: Duration,
        done: impl Fn(&Self) -> bool,
    ) -> Result<(), Failed> {
        let end = Instant::now() + limit;
        while !done(self) {
            let left = end.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok((writer, event)) => self.handle_event(writer, event),
                Err(RecvTimeoutError::Timeout) => return Err("no event in time".into()),
                Err(RecvTimeoutError::Disconnected) => return Err("all writers have ended".into()),
            }
        }
        Ok(())
    }

    fn handle_event(&mut self, writer: usize, event: Event) {
        match event {
            Event::Leads(token) if token > self.leader.1 => {
                (self.leader, self.streak) = ((writer, token), 0);
            }
            Event::Leads(_) => {}
            Event::Wrote(token, Outcome::Applied) => {
                *self.replies.applied.entry(token).or_default() += 1;
                self.streak += u32::from(token == self.leader.1);
            }
            Event::Wrote(token, Outcome::Refused) => {
                self.replies.refused += 1;
                self.late += u64::from(token < self.leader.1);
            }
            Event::Wrote(_, Outcome::Unknown(error)) => {
                if self.replies.unknown < 5 {
                    println!("writer {writer}: {error}");
                }
                self.replies.unknown += 1;
            }
        }
    }
}

fn launch(index: usize, orders: &Orders, tell: Sender<(usize, Event)>) -> Result<Writer, Failed> {
    let mut command = Command::new(env::current_exe()?);
    orders.give(&mut command);
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut writer = Writer(child);
    let out = writer.0.stdout.take().ok_or("no stdout")?;
    thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            // A writer that is killed may leave half a line.
            let Ok(event) = serde_json::from_str(&line) else {
                break;
            };
            if tell.send((index, event)).is_err() {
                break;
            }
        }
    });
    Ok(writer)
}
