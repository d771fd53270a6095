//! The nodes as processes of the operating system.

use std::{env, io, process, sync::mpsc::Sender, time::Duration};

use tenure::clock::Moment;

use crate::{
    children::{Child, Output},
    node_id::NodeId,
    process_group::Message,
    protocol::Command,
    store_choice::StoreChoice,
};

/// How processes are started, and where their output goes.
pub(crate) struct Launcher {
    pub(crate) store_choice: StoreChoice,
    pub(crate) resource: String,
    pub(crate) ttl: Duration,
    pub(crate) tell: Sender<Message>,
}

impl Launcher {
    /// Starts a node. Its output arrives as messages, up to [`Output::Closed`].
    pub(crate) fn start(&self, id: NodeId) -> io::Result<Process> {
        let mut command = process::Command::new(env::current_exe()?);
        command.args(["--ttl", &format!("{:?}", self.ttl)]).args([
            "node",
            &id.name(),
            &self.resource,
        ]);
        self.store_choice.pass_to(&mut command);
        let tell = self.tell.clone();
        let child = Child::start(command, move |line| {
            // If the receiver is gone, the program is ending.
            let _ = tell.send(Message::Output(id, Output::parse(line)));
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

    /// Kills the node and reaps it. It is certainly dead from the returned moment on.
    pub(crate) fn kill(&mut self) -> io::Result<Moment> {
        self.child.kill()
    }

    pub(crate) fn freeze(&self) -> io::Result<()> {
        self.child.freeze()
    }

    pub(crate) fn unfreeze(&self) -> io::Result<()> {
        self.child.unfreeze()
    }

    /// Waits for the end of the node, and returns its exit status.
    pub(crate) fn reap(&mut self) -> io::Result<process::ExitStatus> {
        self.child.reap()
    }
}
