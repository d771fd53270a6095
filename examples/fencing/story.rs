//! What is done to the writers, told as it happens.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    env, process,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    time::{Duration, Instant},
};

use rusqlite::Connection;

use crate::{
    children::Child,
    failure::Failure,
    protocol::{Event, PAY, Write},
    signals,
};

/// Beside what a lease takes to expire.
const PATIENCE: Duration = Duration::from_secs(20);

enum Message {
    Said(usize, Event),
    Ended(usize),
    Interrupted(&'static str),
}

struct Story {
    file: std::path::PathBuf,
    ttl: Duration,
    tell: Sender<Message>,
    told: Receiver<Message>,
    begun: Instant,
}

/// Starts two writers, and ends well only if the late writes were refused.
pub(crate) fn tell(ttl: Duration) -> Result<(), Failure> {
    let folder = tempfile::tempdir().map_err(Failure::to("make a folder"))?;
    let (tell, told) = channel();
    let interrupted = tell.clone();
    signals::watch(move |signal| {
        let _ = interrupted.send(Message::Interrupted(signal));
    })
    .map_err(Failure::to("listen for signals"))?;
    let story = Story {
        file: folder.path().join("app.db"),
        ttl,
        tell,
        told,
        begun: Instant::now(),
    };
    story.prepare().map_err(Failure::of_store)?;
    story.play()
}

impl Story {
    fn prepare(&self) -> rusqlite::Result<()> {
        let connection = Connection::open(&self.file)?;
        connection.execute_batch(
            "CREATE TABLE accounts (id INTEGER PRIMARY KEY, cents INTEGER, fencing_token INTEGER);
             INSERT INTO accounts VALUES (1, 0, NULL);",
        )
    }

    fn play(&self) -> Result<(), Failure> {
        let mut first = self.start(0)?;
        let old = self.paid("its first payment", 0)?;
        self.say(format_args!(
            "A leads with token {old}, and has paid 100 cents into the account"
        ));
        let _second = self.start(1)?;
        first.command(PAY).map_err(Failure::to("write to A"))?;
        self.hear("A's next payment", |event| {
            matches!(event, (0, Event::AboutToPay { .. }))
        })?;
        first.freeze().map_err(Failure::to("freeze A"))?;
        self.say(format_args!(
            "A has found that it leads, is about to pay again, and freezes"
        ));
        let new = self.paid("B to take over", 1)?;
        self.say(format_args!(
            "the lease of A expires; B leads with token {new}, and has paid 100 cents"
        ));
        first.unfreeze().map_err(Failure::to("continue A"))?;
        self.say(format_args!(
            "A goes on where it was, and sends its payment"
        ));
        let late = self.hear("A's late payment", |event| {
            matches!(event, (0, Event::Late { .. }))
        })?;
        let Event::Late {
            token_guard,
            leader_transaction,
        } = late
        else {
            return Err(Failure::Store("A has said something else".to_owned()));
        };
        self.judge("token guard", &token_guard, new)?;
        self.judge("leader transaction", &leader_transaction, new)?;
        let cents = self.cents().map_err(Failure::of_store)?;
        if cents != 200 {
            return Err(Failure::Store(format!(
                "the account holds {cents} cents instead of 200"
            )));
        }
        self.say(format_args!(
            "the account holds 200 cents: one payment of each leader, none of the late ones"
        ));
        println!("ok");
        Ok(())
    }

    /// The writes of an acquisition that is older than this one must have been refused.
    fn judge(&self, form: &str, write: &Write, newer: u64) -> Result<(), Failure> {
        match write {
            Write::Refused { newest, why } if *newest == Some(newer) => {
                self.say(format_args!("  {form}: {why}"));
                Ok(())
            }
            other => Err(Failure::Store(format!(
                "{form}: a late write was not refused: {other:?}"
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
        let hear = move |line: Option<String>| {
            let message = match line.map(|line| serde_json::from_str(&line)) {
                None => Message::Ended(index),
                Some(Ok(event)) => Message::Said(index, event),
                Some(Err(error)) => {
                    let error = error.to_string();
                    Message::Said(index, Event::Failed { error })
                }
            };
            // Nobody listens any more only when the program ends.
            let _ = tell.send(message);
        };
        Child::start(command, hear).map_err(Failure::to("start a writer"))
    }

    /// Waits until a writer has paid, and tells its token.
    fn paid(&self, what: &str, index: usize) -> Result<u64, Failure> {
        let paid = self.hear(what, |(writer, event)| {
            *writer == index && matches!(event, Event::Paid { .. })
        });
        match paid? {
            Event::Paid { token } => Ok(token),
            _ => Ok(0),
        }
    }

    fn hear(&self, what: &str, wanted: impl Fn(&(usize, Event)) -> bool) -> Result<Event, Failure> {
        let limit = self.ttl * 3 + PATIENCE;
        let end = Instant::now() + limit;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.told.recv_timeout(left) {
                Ok(Message::Said(index, Event::Failed { error })) => {
                    let (name, how) = (name(index).to_owned(), format!("failed: {error}"));
                    return Err(Failure::Ended { name, how });
                }
                Ok(Message::Said(index, event)) => {
                    let said = (index, event);
                    if wanted(&said) {
                        return Ok(said.1);
                    }
                }
                Ok(Message::Ended(index)) => {
                    let (name, how) = (name(index).to_owned(), "has ended".to_owned());
                    return Err(Failure::Ended { name, how });
                }
                Ok(Message::Interrupted(signal)) => return Err(Failure::Interrupted(signal)),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    let what = what.to_owned();
                    return Err(Failure::InVain { what, limit });
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
