//! The processes of one start, and what they report.

use std::{
    env, io,
    path::Path,
    process,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    time::{Duration, Instant},
};

use crate::{
    children::{Child, Output},
    failure::Failure,
    protocol::Event,
    signals,
};

pub(crate) const PROCESSES: usize = 5;
pub(crate) const TTL: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(30);

/// What reaches the group from its other threads. The number is that of the process.
pub(crate) enum Message {
    Output(usize, Output<Event>),
    Interrupted(&'static str),
}

pub(crate) struct ProcessGroup<'a> {
    folder: &'a Path,
    tell: Sender<Message>,
    inbox: Receiver<Message>,
}

/// What the processes of one start reported, in the order of arrival, and whether each succeeded.
pub(crate) struct Round {
    pub(crate) events: Vec<(usize, Event)>,
    pub(crate) succeeded: [bool; PROCESSES],
}

impl<'a> ProcessGroup<'a> {
    pub(crate) fn new(folder: &'a Path) -> Result<Self, Failure> {
        let (tell, inbox) = channel();
        signals::watch(tell.clone(), Message::Interrupted)?;
        Ok(Self {
            folder,
            tell,
            inbox,
        })
    }

    fn start(&self, index: usize, crash: bool) -> io::Result<Child> {
        let mut command = process::Command::new(env::current_exe()?);
        command.args(["node", &name(index)]).arg(self.folder);
        if crash {
            command.arg("--crash");
        }
        let tell = self.tell.clone();
        Child::start(command, move |line| {
            // If the receiver is gone, the program is ending.
            let _ = tell.send(Message::Output(index, Output::parse(line)));
        })
    }

    /// Starts all five processes and waits for their end. If the first one is to crash, the others start when
    /// it has begun.
    pub(crate) fn round(
        &self,
        crash: bool,
        mut show: impl FnMut(usize, &Event),
    ) -> Result<Round, Failure> {
        let start = |index, crash| {
            let child = self.start(index, crash);
            child.map_err(Failure::to("start a process"))
        };
        // Dropped on every way out, which ends the processes.
        let mut children = vec![start(0, crash)?];
        let mut round = Round {
            events: Vec::new(),
            succeeded: [false; PROCESSES],
        };
        let end = Instant::now() + LIMIT;
        let mut open = PROCESSES;
        while open > 0 {
            let begun = matches!(round.events.first(), Some((_, Event::Began { .. })));
            if children.len() == 1 && (begun || !crash) {
                for index in 1..PROCESSES {
                    children.push(start(index, false)?);
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.inbox.recv_timeout(left) {
                Ok(Message::Output(index, Output::Garbled(line))) => {
                    return Err(Failure::Ended {
                        name: name(index),
                        how: format!("wrote a line that is no event: {line:?}"),
                    });
                }
                Ok(Message::Output(index, Output::Event(event))) => {
                    show(index, &event);
                    round.events.push((index, event));
                }
                Ok(Message::Output(index, Output::Closed)) => {
                    let status = children[index].reap();
                    let status = status.map_err(Failure::to("wait for a process"))?;
                    round.succeeded[index] = status.success();
                    open -= 1;
                }
                Ok(Message::Interrupted(signal)) => return Err(Failure::Interrupted(signal)),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Err(Failure::TimedOut {
                        what: "the processes to end".to_owned(),
                        limit: LIMIT,
                    });
                }
            }
        }
        Ok(round)
    }
}

pub(crate) fn name(index: usize) -> String {
    format!("app-{}", index + 1)
}
