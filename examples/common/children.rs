//! Processes of the operating system that are heard, killed and frozen, and none of which outlives the
//! one that started them.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::process::CommandExt as _,
    process::{self, ChildStdin, Command, Stdio},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use tenure::clock::{BootClock, Clock as _, Moment};

/// Tells the process that has started this one. If that is gone there is nobody to tell, and stdin
/// says so too.
pub(crate) fn say(event: &impl Serialize) {
    let Ok(mut line) = serde_json::to_vec(event) else {
        return;
    };
    line.push(b'\n');
    // At once and whole: what a process was able to say before it was killed counts.
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(&line).and_then(|()| stdout.flush());
}

/// A process that was started and not yet reaped.
#[derive(Debug)]
pub(crate) struct Child {
    child: process::Child,
    stdin: Option<ChildStdin>,
}

impl Child {
    /// Starts a process. A thread hears each line that it says, and at last `None`.
    pub(crate) fn start(
        mut command: Command,
        mut hear: impl FnMut(Option<String>) + Send + 'static,
    ) -> io::Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A group of its own: Ctrl-C is for the supervisor, which then ends its nodes. And the
            // kernel wakes and hangs up a stopped process whose group has lost its parent, so that
            // a frozen node does not stay behind either.
            .process_group(0)
            .spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        // Made first: it ends the process if no thread can be had.
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

    /// Writes a word to its stdin.
    pub(crate) fn command(&mut self, word: &str) -> io::Result<()> {
        match &mut self.stdin {
            Some(stdin) => stdin.write_all(format!("{word}\n").as_bytes()),
            None => Ok(()),
        }
    }

    /// Kills it and reaps it; from the moment that is returned on it is dead for certain.
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

    /// How one that says no more has ended.
    pub(crate) fn reap(&mut self) -> io::Result<process::ExitStatus> {
        self.child.wait()
    }

    /// The child has not been reaped, so its number is still its own.
    fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }
}

impl Drop for Child {
    /// On every way out, a panic included. SIGKILL ends a frozen process too, and does nothing to
    /// one that was reaped.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
