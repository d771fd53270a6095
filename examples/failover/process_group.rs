//! The supervisor's view of its nodes: what they report, and how it waits for more.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Duration,
};

use tenure::clock::{BootClock, Clock as _, Moment};

use crate::{
    children::Output,
    failure::Failure,
    history::{History, Term},
    node_id::NodeId,
    processes::{Launcher, Process},
    protocol::Event,
    timeline::Timeline,
};

/// What reaches the supervisor from its other threads.
#[derive(Debug)]
pub(crate) enum Message {
    Output(NodeId, Output<Event>),
    Interrupted(&'static str),
}

/// How often a condition that depends on the time is checked.
const TICK: Duration = Duration::from_millis(5);

pub(crate) struct ProcessGroup {
    pub(crate) history: History,
    pub(crate) timeline: Timeline,
    launcher: Launcher,
    processes: Vec<Process>,
    inbox: Receiver<Message>,
    /// The nodes that have closed their stdout.
    closed: Vec<NodeId>,
    /// The nodes that may end.
    dismissed: Vec<NodeId>,
    give_up_at: Moment,
    /// The longest time between two checks, beyond the tick: how long the machine did not run the supervisor.
    pub(crate) held_up: Duration,
}

impl ProcessGroup {
    pub(crate) fn new(
        launcher: Launcher,
        inbox: Receiver<Message>,
        timeline: Timeline,
        give_up_at: Moment,
    ) -> Self {
        Self {
            history: History::default(),
            timeline,
            launcher,
            processes: Vec::new(),
            inbox,
            closed: Vec::new(),
            dismissed: Vec::new(),
            give_up_at,
            held_up: Duration::ZERO,
        }
    }

    /// Starts a node, for the first time or again.
    pub(crate) fn start(&mut self, id: NodeId) -> Result<(), Failure> {
        let process = self.launcher.start(id);
        let process = process.map_err(Failure::to("start a process"))?;
        self.processes.retain(|old| old.id.number != id.number);
        self.processes.push(process);
        Ok(())
    }

    pub(crate) fn process(&mut self, id: NodeId) -> &mut Process {
        let mut processes = self.processes.iter_mut();
        let process = processes.find(|process| process.id == id);
        process.expect("the node was started")
    }

    pub(crate) fn nodes(&self) -> Vec<NodeId> {
        self.processes.iter().map(|process| process.id).collect()
    }

    pub(crate) fn all_ready(&self) -> bool {
        (self.processes.iter()).all(|process| self.history.is_ready(process.id))
    }

    /// From now on the node may end.
    pub(crate) fn dismiss(&mut self, id: NodeId) {
        self.dismissed.push(id);
    }

    /// Waits until all output of a dismissed node has arrived.
    pub(crate) fn last_word(&mut self, id: NodeId, limit: Duration) -> Result<(), Failure> {
        let what = format!("{} to end", id.name());
        self.wait(&what, limit, |group| {
            group.closed.contains(&id).then_some(())
        })
    }

    /// Waits for the message of a leader with a newer token than this.
    pub(crate) fn next_leader(&mut self, after: u64, limit: Duration) -> Result<Term, Failure> {
        let what = format!("a leader with a token above {after}");
        self.wait(&what, limit, |group| {
            let newest = group.history.newest();
            newest.filter(|term| term.token > after).cloned()
        })
    }

    /// Handles messages until the condition returns something, for at most `limit`.
    pub(crate) fn wait<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut found: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T, Failure> {
        let begun = BootClock.now();
        let until = (begun + limit).min(self.give_up_at);
        loop {
            if let Some(found) = found(self) {
                return Ok(found);
            }
            if until <= BootClock.now() {
                let (what, limit) = (what.to_owned(), begun.until(until));
                return Err(Failure::TimedOut { what, limit });
            }
            let looked = BootClock.now();
            let message = self.inbox.recv_timeout(TICK);
            let held_up = looked.until(BootClock.now()).saturating_sub(TICK);
            self.held_up = self.held_up.max(held_up);
            match message {
                Ok(message) => self.handle(message)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => unreachable!("the launcher holds a sender"),
            }
        }
    }

    fn handle(&mut self, message: Message) -> Result<(), Failure> {
        let ended = |id: NodeId, how: String| {
            let name = id.name();
            Err(Failure::Ended { name, how })
        };
        match message {
            Message::Output(id, Output::Event(event)) => {
                self.timeline.node(id, &event);
                self.history.record(id, &event);
                Ok(())
            }
            Message::Output(id, Output::Garbled(line)) => {
                ended(id, format!("wrote a line that is no event: {line:?}"))
            }
            Message::Interrupted(signal) => Err(Failure::Interrupted(signal)),
            Message::Output(id, Output::Closed) => {
                self.closed.push(id);
                if self.dismissed.contains(&id) {
                    return Ok(());
                }
                let status = self.process(id).reap();
                let status = status.map_err(Failure::to("wait for a process"))?;
                ended(id, format!("ended unexpectedly: {status}"))
            }
        }
    }
}
