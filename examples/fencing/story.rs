//! What is done to the writers, printed as it happens.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    env, process,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    time::{Duration, Instant},
};

use rusqlite::Connection;

use crate::{
    children::{Child, Output},
    failure::Failure,
    protocol::{Event, PAY, Write},
    signals,
};

/// The limit of each wait, on top of the time in which a lease expires.
const WAIT_LIMIT: Duration = Duration::from_secs(20);

enum Message {
    Output(usize, Output<Event>),
    Interrupted(&'static str),
}

struct Story {
    file: std::path::PathBuf,
    ttl: Duration,
    tell: Sender<Message>,
    told: Receiver<Message>,
    begun: Instant,
}

/// Starts two writers. Fails unless the late writes are rejected.
pub(crate) fn play(ttl: Duration) -> Result<(), Failure> {
    let folder = tempfile::tempdir().map_err(Failure::to("make a folder"))?;
    let (tell, told) = channel();
    signals::watch(tell.clone(), Message::Interrupted)?;
    let story = Story {
        file: folder.path().join("app.db"),
        ttl,
        tell,
        told,
        begun: Instant::now(),
    };
    story.prepare().map_err(Failure::of_store)?;
    story.run()
}

impl Story {
    fn prepare(&self) -> rusqlite::Result<()> {
        let connection = Connection::open(&self.file)?;
        connection.execute_batch(
            "CREATE TABLE accounts (id INTEGER PRIMARY KEY, cents INTEGER, fencing_token INTEGER);
             INSERT INTO accounts VALUES (1, 0, NULL);",
        )
    }

    fn run(&self) -> Result<(), Failure> {
        let mut first = self.start(0)?;
        let old = self.paid("its first payment", 0)?;
        self.say(format_args!(
            "A leads with token {old}, and pays 100 cents into the account"
        ));
        let _second = self.start(1)?;
        first.command(PAY).map_err(Failure::to("write to A"))?;
        self.wait("A's next payment", |writer, event| {
            writer == 0 && matches!(event, Event::AboutToPay { .. })
        })?;
        first.freeze().map_err(Failure::to("freeze A"))?;
        self.say(format_args!(
            "A checks that it leads, is about to pay again, and is frozen"
        ));
        let new = self.paid("B to take over", 1)?;
        self.say(format_args!(
            "the lease of A expires; B leads with token {new}, and pays 100 cents"
        ));
        first.unfreeze().map_err(Failure::to("continue A"))?;
        self.say(format_args!(
            "A is continued, and sends its late payment in both forms"
        ));
        let late = self.wait("A's late payment", |writer, event| {
            writer == 0 && matches!(event, Event::Late { .. })
        })?;
        let Event::Late {
            token_guard,
            leader_transaction,
        } = late
        else {
            unreachable!("only a late payment is waited for");
        };
        self.judge("token guard", &token_guard, new)?;
        self.judge("leader transaction", &leader_transaction, new)?;
        let cents = self.cents().map_err(Failure::of_store)?;
        if cents != 200 {
            return Err(Failure::Wrong(format!(
                "the account holds {cents} cents instead of 200"
            )));
        }
        self.say(format_args!(
            "the account holds 200 cents: one payment of each leader, and no late one"
        ));
        println!("ok");
        Ok(())
    }

    /// The late writes must have been rejected, because of this newer token.
    fn judge(&self, form: &str, write: &Write, newer: u64) -> Result<(), Failure> {
        match write {
            Write::Refused { newest, why } if *newest == Some(newer) => {
                self.say(format_args!("  {form}: {why}"));
                Ok(())
            }
            other => Err(Failure::Wrong(format!(
                "{form}: the late write was not rejected: {other:?}"
            ))),
        }
    }

    fn cents(&self) -> rusqlite::Result<i64> {
        let connection = Connection::open(&self.file)?;
        connection.query_row("SELECT cents FROM accounts", [], |row| row.get(0))
    }

    fn start(&self, index: usize) -> Result<Child, Failure> {
        let program = env::current_exe().map_err(Failure::to("find this program"))?;
        let mut command = process::Command::new(program);
        command.args(["--ttl", &format!("{}ms", self.ttl.as_millis()), "writer"]);
        command.arg(name(index)).arg(&self.file);
        let tell = self.tell.clone();
        let hear = move |line| {
            // If the receiver is gone, the program is ending.
            let _ = tell.send(Message::Output(index, Output::parse(line)));
        };
        Child::start(command, hear).map_err(Failure::to("start a writer"))
    }

    /// Waits until a writer has paid, and returns its token.
    fn paid(&self, what: &str, index: usize) -> Result<u64, Failure> {
        let paid = self.wait(what, |writer, event| {
            writer == index && matches!(event, Event::Paid { .. })
        });
        match paid? {
            Event::Paid { token } => Ok(token),
            _ => Ok(0),
        }
    }

    fn wait(&self, what: &str, wanted: impl Fn(usize, &Event) -> bool) -> Result<Event, Failure> {
        let limit = self.ttl * 3 + WAIT_LIMIT;
        let end = Instant::now() + limit;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.told.recv_timeout(left) {
                Ok(Message::Output(index, output)) => {
                    let how = match output {
                        Output::Event(Event::Failed { error }) => format!("failed: {error}"),
                        Output::Event(event) if wanted(index, &event) => return Ok(event),
                        Output::Event(_) => continue,
                        Output::Garbled(line) => format!("wrote a line that is no event: {line:?}"),
                        Output::Closed => "ended unexpectedly".to_owned(),
                    };
                    let name = format!("process {}", name(index));
                    return Err(Failure::Ended { name, how });
                }
                Ok(Message::Interrupted(signal)) => return Err(Failure::Interrupted(signal)),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    let what = what.to_owned();
                    return Err(Failure::TimedOut { what, limit });
                }
            }
        }
    }

    fn say(&self, what: std::fmt::Arguments<'_>) {
        println!("{:5.1} s  {what}", self.begun.elapsed().as_secs_f64());
    }
}

fn name(index: usize) -> &'static str {
    ["A", "B"][index]
}
