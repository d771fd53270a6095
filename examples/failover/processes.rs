//! The nodes as processes of the operating system.

use std::{env, io, process, sync::mpsc::Sender, time::Duration};

use tenure::clock::Moment;

use crate::{
    children::Child,
    history::NodeId,
    process_group::Message,
    protocol::{Command, Event},
    store_choice::StoreChoice,
};

/// How processes are started and heard.
pub(crate) struct Launcher {
    pub(crate) store_choice: StoreChoice,
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
        self.store_choice.tell(&mut command);
        let tell = self.tell.clone();
        let child = Child::start(command, move |line| {
            let message = match line {
                None => Message::Closed { id },
                Some(line) => match serde_json::from_str::<Event>(&line) {
                    Ok(event) => Message::Said { id, event },
                    Err(_) => Message::Garbled { id, line },
                },
            };
            // Nobody listens any more only when the program ends.
            let _ = tell.send(message);
        })?;
        Ok(Process { id, child })
    }
}

/// A node that was started and not yet reaped.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) id: NodeId,
    child: Child,
}

impl Process {
    pub(crate) fn command(&mut self, command: Command) -> io::Result<()> {
        self.child.command(command.word())
    }

    /// Kills the node and reaps it; from the moment that is returned on it is dead for certain.
    pub(crate) fn kill(&mut self) -> io::Result<Moment> {
        self.child.kill()
    }

    pub(crate) fn freeze(&self) -> io::Result<()> {
        self.child.freeze()
    }

    pub(crate) fn unfreeze(&self) -> io::Result<()> {
        self.child.unfreeze()
    }

    /// How a node that says no more has ended.
    pub(crate) fn reap(&mut self) -> io::Result<process::ExitStatus> {
        self.child.reap()
    }
}
