//! The processes of one start, and what they have told.

use std::{
    env, io,
    path::Path,
    process,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    time::{Duration, Instant},
};

use crate::{children::Child, failure::Failure, protocol::Event, signals};

pub(crate) const PROCESSES: usize = 5;
pub(crate) const TTL: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(30);

/// What the stage hears. The number is that of the process.
pub(crate) enum Message {
    Said(usize, String),
    Closed(usize),
    Signal(&'static str),
}

pub(crate) struct ProcessGroup<'a> {
    folder: &'a Path,
    tell: Sender<Message>,
    heard: Receiver<Message>,
}

/// What the processes of one start have said, in the order in which it was heard, and how they ended.
pub(crate) struct Round {
    pub(crate) events: Vec<(usize, Event)>,
    pub(crate) succeeded: [bool; PROCESSES],
}

impl<'a> ProcessGroup<'a> {
    pub(crate) fn new(folder: &'a Path) -> Result<Self, Failure> {
        let (tell, heard) = channel();
        let told = tell.clone();
        let watch = signals::watch(move |signal| {
            // Nobody listens any more only when the program ends.
            let _ = told.send(Message::Signal(signal));
        });
        watch.map_err(Failure::to("watch for signals"))?;
        Ok(Self {
            folder,
            tell,
            heard,
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
            let message = line.map_or(Message::Closed(index), |line| Message::Said(index, line));
            let _ = tell.send(message);
        })
    }

    /// Starts all five, the first one alone until it has begun if it is to crash, and hears them to
    /// their end.
    pub(crate) fn round(
        &self,
        crash: bool,
        mut show: impl FnMut(usize, &Event),
    ) -> Result<Round, Failure> {
        let start = |index, crash| {
            let child = self.start(index, crash);
            child.map_err(Failure::to("start a process"))
        };
        // They end with this, on every way out.
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
            match self.heard.recv_timeout(left) {
                Ok(Message::Said(index, line)) => {
                    let event = serde_json::from_str(&line).map_err(|_| Failure::Ended {
                        name: name(index),
                        how: format!("said {line:?}"),
                    })?;
                    show(index, &event);
                    round.events.push((index, event));
                }
                Ok(Message::Closed(index)) => {
                    let status = children[index].reap();
                    let status = status.map_err(Failure::to("wait for a process"))?;
                    round.succeeded[index] = status.success();
                    open -= 1;
                }
                Ok(Message::Signal(signal)) => return Err(Failure::Interrupted(signal)),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Err(Failure::InVain {
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
