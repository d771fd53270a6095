//! The supervisor's view of its nodes: it starts and stops them, and handles what they report.

use std::{
    collections::BTreeSet,
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender},
    time::Duration,
};

use tenure::clock::{BootClock, Clock as _, Moment};

use crate::{
    children::{Child, Output},
    failure::Failure,
    history::History,
    intervals::Interval,
    node_id::NodeId,
    operators::Commanded,
    protocol::{Command, Event, Orders},
};

/// What reaches the supervisor from its other threads.
#[derive(Debug)]
pub(crate) enum Message {
    Output(NodeId, Output<Event>),
    Commanded(Commanded),
    /// The store did not take a write in time.
    Trouble(Interval),
    Interrupted(&'static str),
}

const TICK: Duration = Duration::from_millis(5);

/// A process, and since when it is frozen, if it is.
struct Node {
    id: NodeId,
    child: Child,
    frozen: Option<Moment>,
}

pub(crate) struct ProcessGroup {
    pub(crate) history: History,
    pub(crate) troubles: Vec<Interval>,
    /// What operators did.
    pub(crate) commanded: Vec<Commanded>,
    /// The resources that are being paused, are paused or are being resumed.
    pub(crate) paused: BTreeSet<String>,
    /// By the number of the node.
    nodes: Vec<Option<Node>>,
    runs: Vec<u32>,
    tell: Sender<Message>,
    inbox: Receiver<Message>,
    logs: PathBuf,
    closed: Vec<NodeId>,
    /// The nodes that may end.
    dismissed: Vec<NodeId>,
}

impl ProcessGroup {
    pub(crate) fn new(
        nodes: usize,
        history: History,
        logs: &Path,
        (tell, inbox): (Sender<Message>, Receiver<Message>),
    ) -> Self {
        Self {
            history,
            troubles: Vec::new(),
            commanded: Vec::new(),
            paused: BTreeSet::new(),
            nodes: (0..=nodes).map(|_| None).collect(),
            runs: vec![0; nodes + 1],
            tell,
            inbox,
            logs: logs.to_owned(),
            closed: Vec::new(),
            dismissed: Vec::new(),
        }
    }

    /// Starts a node, for the first time or again.
    pub(crate) fn start(&mut self, number: usize, orders: &Orders) -> Result<NodeId, Failure> {
        self.runs[number] += 1;
        let run = self.runs[number];
        let id = NodeId { number, run };
        let child = self.launch(id, orders);
        let child = child.map_err(Failure::to("start a process"))?;
        let frozen = None;
        self.nodes[number] = Some(Node { id, child, frozen });
        Ok(id)
    }

    /// Its output is written to its log before it is handled.
    fn launch(&self, id: NodeId, orders: &Orders) -> std::io::Result<Child> {
        let mut command = process::Command::new(env::current_exe()?);
        orders.give(&mut command)?;
        let open = |end: &str| fs::File::create(self.logs.join(format!("{id}.{end}")));
        let mut log = open("jsonl")?;
        command.stderr(open("stderr")?);
        let tell = self.tell.clone();
        Child::start(command, move |line| {
            if let Some(line) = &line {
                // A log that cannot be written is missed only after a failure.
                let _ = writeln!(log, "{line}");
            }
            // If the receiver is gone, the program is ending.
            let _ = tell.send(Message::Output(id, Output::parse(line)));
        })
    }

    /// The process of this number, unless it is frozen.
    pub(crate) fn running(&self, number: usize) -> Option<NodeId> {
        let node = self.nodes[number].as_ref()?;
        node.frozen.is_none().then_some(node.id)
    }

    pub(crate) fn command(&mut self, id: NodeId, command: &Command) -> Result<(), Failure> {
        let node = self.nodes[id.number].as_mut();
        match node.filter(|node| node.id == id) {
            Some(node) => node
                .child
                .command(&command.line())
                .map_err(Failure::to("tell a process what to do")),
            None => Ok(()),
        }
    }

    pub(crate) fn kill(&mut self, number: usize) -> Result<(), Failure> {
        let Some(mut node) = self.nodes[number].take() else {
            return Ok(());
        };
        self.dismissed.push(node.id);
        let dead = node.child.kill();
        let dead = dead.map_err(Failure::to("kill a process"))?;
        let id = node.id;
        // What it reported before its death may still be on its way.
        self.wait(
            "the last output of a killed process",
            Duration::from_secs(20),
            |group| group.closed.contains(&id).then_some(()),
        )?;
        self.history.died(id, dead);
        Ok(())
    }

    pub(crate) fn freeze(&mut self, number: usize) -> Result<(), Failure> {
        let Some(node) = &mut self.nodes[number] else {
            return Ok(());
        };
        node.frozen = Some(BootClock.now());
        node.child.freeze().map_err(Failure::to("freeze a process"))
    }

    /// The process that was frozen, and when.
    pub(crate) fn thaw(&mut self, number: usize) -> Result<Option<(NodeId, Interval)>, Failure> {
        let Some(node) = &mut self.nodes[number] else {
            return Ok(None);
        };
        let Some(start) = node.frozen.take() else {
            return Ok(None);
        };
        let thawed = node.child.unfreeze();
        thawed.map_err(Failure::to("continue a process"))?;
        let end = BootClock.now();
        Ok(Some((node.id, Interval { start, end })))
    }

    /// Asks all to shut down, and waits until they have ended.
    pub(crate) fn end(&mut self, limit: Duration) -> Result<(), Failure> {
        let nodes = self.nodes.iter().flatten();
        let ids: Vec<_> = nodes.map(|node| node.id).collect();
        for id in &ids {
            self.dismissed.push(*id);
            self.command(*id, &Command::Shutdown)?;
        }
        for id in ids {
            self.wait(&format!("{id} to end"), limit, |group| {
                group.closed.contains(&id).then_some(())
            })?;
            let Some(mut node) = self.nodes[id.number].take() else {
                continue;
            };
            let status = node.child.reap();
            let status = status.map_err(Failure::to("wait for a process"))?;
            if !status.success() {
                let (name, how) = (
                    id.to_string(),
                    format!("did not shut down cleanly: {status}"),
                );
                return Err(Failure::Ended { name, how });
            }
        }
        Ok(())
    }

    /// Handles messages until the condition returns something, for at most `limit`.
    pub(crate) fn wait<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut found: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T, Failure> {
        let until = BootClock.now() + limit;
        loop {
            if let Some(found) = found(self) {
                return Ok(found);
            }
            if until <= BootClock.now() {
                let what = what.to_owned();
                return Err(Failure::TimedOut { what, limit });
            }
            self.listen()?;
        }
    }

    /// Handles all messages that have arrived; waits a moment if there are none.
    pub(crate) fn listen(&mut self) -> Result<(), Failure> {
        match self.inbox.recv_timeout(TICK) {
            Ok(message) => self.handle(message)?,
            Err(RecvTimeoutError::Timeout) => return Ok(()),
            Err(RecvTimeoutError::Disconnected) => unreachable!("the group itself holds a sender"),
        }
        while let Ok(message) = self.inbox.try_recv() {
            self.handle(message)?;
        }
        Ok(())
    }

    fn handle(&mut self, message: Message) -> Result<(), Failure> {
        let ended = |id: NodeId, how: String| {
            let name = id.to_string();
            Err(Failure::Ended { name, how })
        };
        match message {
            Message::Output(id, Output::Event(event)) => self.history.record(id, event),
            Message::Trouble(trouble) => self.troubles.push(trouble),
            Message::Commanded(commanded) => {
                if let Commanded::Paused(pause) = &commanded {
                    self.paused.remove(&pause.resource);
                }
                self.commanded.push(commanded);
            }
            Message::Interrupted(signal) => return Err(Failure::Interrupted(signal)),
            Message::Output(id, Output::Closed) => {
                self.closed.push(id);
                if !self.dismissed.contains(&id) {
                    return ended(id, "ended unexpectedly".to_owned());
                }
            }
            // The last line of a killed process may be cut short.
            Message::Output(id, Output::Garbled(_)) if self.dismissed.contains(&id) => {}
            Message::Output(id, Output::Garbled(line)) => {
                return ended(id, format!("wrote a line that is no event: {line:?}"));
            }
        }
        Ok(())
    }
}
