//! The nodes as processes of the operating system, none of which outlives the supervisor.

use std::{
    env,
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::process::CommandExt as _,
    process::{self, Child, ChildStdin, ChildStdout, Stdio},
    sync::mpsc::Sender,
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tenure::{BootClock, Clock as _, Moment};

use crate::{
    history::NodeId,
    place::Place,
    stage::Message,
    wire::{Command, Event},
};

/// How processes are started and heard.
pub(crate) struct Launcher {
    pub(crate) place: Place,
    pub(crate) resource: String,
    pub(crate) ttl: Duration,
    pub(crate) tell: Sender<Message>,
}

impl Launcher {
    /// Starts a node; everything that it says is told, and at last that it says no more.
    pub(crate) fn start(&self, id: NodeId) -> io::Result<Process> {
        let mut command = process::Command::new(env::current_exe()?);
        command.args(["--ttl", &format!("{:?}", self.ttl)]).args([
            "node",
            &id.name(),
            &self.resource,
        ]);
        self.place.tell(&mut command);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A group of its own: Ctrl-C is for the supervisor, which then ends its nodes. And the
            // kernel wakes and hangs up a stopped process whose group has lost its parent, so that
            // a frozen node does not stay behind either.
            .process_group(0)
            .spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let process = Process { id, child, stdin };
        if let Some(stdout) = stdout {
            let tell = self.tell.clone();
            thread::Builder::new().spawn(move || hear(id, stdout, &tell))?;
        }
        Ok(process)
    }
}

/// Passes on what a node says, up to its end.
fn hear(id: NodeId, stdout: ChildStdout, tell: &Sender<Message>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let message = match serde_json::from_str::<Event>(&line) {
            Ok(event) => Message::Said { id, event },
            Err(_) => Message::Garbled { id, line },
        };
        // Nobody listens any more only when the program ends.
        let _ = tell.send(message);
    }
    let _ = tell.send(Message::Closed { id });
}

/// A node that was started and not yet reaped.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) id: NodeId,
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Process {
    pub(crate) fn command(&mut self, command: Command) -> io::Result<()> {
        match &mut self.stdin {
            Some(stdin) => stdin.write_all(format!("{}\n", command.word()).as_bytes()),
            None => Ok(()),
        }
    }

    /// Kills the node and reaps it; from the moment that is returned on it is dead for certain.
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

    /// How a node that says no more has ended.
    pub(crate) fn reap(&mut self) -> io::Result<process::ExitStatus> {
        self.child.wait()
    }

    /// The child has not been reaped, so its number is still its own.
    fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }
}

impl Drop for Process {
    /// On every way out, a panic included. SIGKILL ends a frozen process too, and does nothing to
    /// one that was reaped.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
