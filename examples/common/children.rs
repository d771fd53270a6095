//! Child processes that report, take commands, are killed and frozen, and never outlive the process that
//! started them.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::process::CommandExt as _,
    process::{self, ChildStdin, Command, Stdio},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Serialize, de::DeserializeOwned};
use tenure::clock::{BootClock, Clock as _, Moment};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Reports an event to the process that started this one, as a line of JSON. If that process is gone, nothing
/// happens: the end of stdin says so too.
pub(crate) fn say(event: &impl Serialize) {
    let Ok(mut line) = serde_json::to_vec(event) else {
        return;
    };
    line.push(b'\n');
    // At once and whole: what a process reported before it was killed counts.
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(&line).and_then(|()| stdout.flush());
}

/// Reads the commands that arrive on stdin, on a thread of its own. The channel closes at the end of stdin, which
/// means that the supervisor is gone, or at a line that is no command.
pub(crate) fn commands<C: Send + 'static>(
    parse: fn(&str) -> Option<C>,
) -> io::Result<UnboundedReceiver<C>> {
    let (tell, told) = unbounded_channel();
    thread::Builder::new()
        .name("commands".to_owned())
        .spawn(move || {
            for line in io::stdin().lines().map_while(Result::ok) {
                if parse(&line).is_none_or(|command| tell.send(command).is_err()) {
                    break;
                }
            }
        })?;
    Ok(told)
}

/// What a child wrote to its stdout.
#[derive(Debug)]
pub(crate) enum Output<E> {
    Event(E),
    /// A line that is no event.
    Garbled(String),
    /// It has closed its stdout: it has ended.
    Closed,
}

impl<E: DeserializeOwned> Output<E> {
    pub(crate) fn parse(line: Option<String>) -> Self {
        match line {
            None => Self::Closed,
            Some(line) => serde_json::from_str(&line).map_or(Self::Garbled(line), Self::Event),
        }
    }
}

/// A process that was started and not yet reaped.
#[derive(Debug)]
pub(crate) struct Child {
    child: process::Child,
    stdin: Option<ChildStdin>,
}

impl Child {
    /// Starts a process. A thread calls `hear` with each line that it writes, and with `None` at the end.
    pub(crate) fn start(
        mut command: Command,
        mut hear: impl FnMut(Option<String>) + Send + 'static,
    ) -> io::Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A group of its own: Ctrl-C reaches only the supervisor, which then ends its children. If the
            // supervisor dies, the kernel continues and hangs up stopped processes of an orphaned group, so
            // a frozen child does not stay behind.
            .process_group(0)
            .spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        // Made first: if no thread can be started, dropping it ends the process.
        let started = Self { child, stdin };
        if let Some(stdout) = stdout {
            thread::Builder::new().spawn(move || {
                let lines = BufReader::new(stdout).lines().map_while(Result::ok);
                lines.for_each(|line| hear(Some(line)));
                hear(None);
            })?;
        }
        Ok(started)
    }

    /// Writes a command to its stdin.
    pub(crate) fn command(&mut self, word: &str) -> io::Result<()> {
        match &mut self.stdin {
            Some(stdin) => stdin.write_all(format!("{word}\n").as_bytes()),
            None => Ok(()),
        }
    }

    /// Kills it and reaps it. It is certainly dead from the returned moment on.
    pub(crate) fn kill(&mut self) -> io::Result<Moment> {
        self.signal(Signal::KILL)?;
        self.child.wait()?;
        Ok(BootClock.now())
    }

    pub(crate) fn freeze(&self) -> io::Result<()> {
        self.signal(Signal::STOP)
    }

    pub(crate) fn unfreeze(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Waits for its end, and returns its exit status.
    pub(crate) fn reap(&mut self) -> io::Result<process::ExitStatus> {
        self.child.wait()
    }

    /// The child has not been reaped, so its number is still its own.
    fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }
}

impl Drop for Child {
    /// Runs on every way out, a panic included. SIGKILL also ends a frozen process, and does nothing to one
    /// that was reaped.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
