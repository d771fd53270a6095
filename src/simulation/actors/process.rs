use std::{
    future::{Future as _, pending, poll_fn},
    pin::pin,
    rc::Rc,
    task::{Poll, Waker},
};

use tokio::{task::LocalSet, time::Instant};

use super::world::{LockLife, SharedWorld, World};
use crate::{clock::Clock as _, simulation::properties::Property};

/// Everything that runs in one process: a lock, its subscribers, and what they have spawned.
///
/// While it is frozen, none of its tasks is polled: its timers fire late, and messages and replies wait. Its
/// clock runs on, and requests that it has sent arrive.
///
/// Two things are simpler than in a real process. It freezes only between two polls of its tasks. When it
/// resumes, its tasks run in the order in which they were woken.
pub(super) struct Process(Rc<LocalSet>);

impl Process {
    pub(super) fn start(shared: &SharedWorld, life: usize) -> Self {
        let tasks = Rc::new(LocalSet::new());
        let (running, shared) = (tasks.clone(), shared.clone());
        actix::spawn(async move {
            let mut run = pin!(running.run_until(pending::<()>()));
            let mut busy = LivelockDetector::new();
            poll_fn(|cx| {
                let frozen = shared.world().is_frozen(life, cx.waker());
                if frozen || busy.is_endless(&shared) {
                    Poll::Pending
                } else {
                    run.as_mut().poll(cx)
                }
            })
            .await;
        });
        Self(tasks)
    }

    /// Runs work in this process: what the work spawns belongs to it.
    pub(super) fn inside<T>(&self, work: impl FnOnce() -> T) -> T {
        let _inside = self.0.enter();
        work()
    }
}

/// Counts the polls of a process at one instant. Paused time passes only when nothing is left to do, so a process
/// that always has something to do would never end the run.
struct LivelockDetector {
    at: Instant,
    polls: u32,
}

impl LivelockDetector {
    /// A hundred times what a run without faults needs.
    const MOST: u32 = 20_000;

    fn new() -> Self {
        let at = Instant::now();
        Self { at, polls: 0 }
    }

    fn is_endless(&mut self, shared: &SharedWorld) -> bool {
        let now = Instant::now();
        if now != self.at {
            (self.at, self.polls) = (now, 0);
        }
        self.polls += 1;
        let endless = self.polls > Self::MOST;
        if endless {
            let text = "a process always has something to do, so that no time passes";
            shared.world().fail(Property::Liveness, text);
        }
        endless
    }
}

impl World {
    fn is_frozen(&mut self, life: usize, waker: &Waker) -> bool {
        let gate = &mut self.lives[life].gate;
        gate.waker = gate.frozen.then(|| waker.clone());
        gate.frozen
    }

    /// Freezes a process. Returns whether it was running.
    pub(super) fn freeze(&mut self, life: usize) -> bool {
        let gate = &mut self.lives[life].gate;
        !std::mem::replace(&mut gate.frozen, true)
    }

    /// Resumes a process that has not crashed.
    pub(super) fn thaw(&mut self, life: usize) {
        let LockLife {
            node,
            gate,
            clock,
            crashed,
            ..
        } = &mut self.lives[life];
        if !gate.frozen || *crashed {
            return;
        }
        let node = *node;
        gate.frozen = false;
        gate.thawed_at = clock.now();
        if let Some(waker) = gate.waker.take() {
            waker.wake();
        }
        self.log(|| format!("node{node} (life {life}) resumes"));
    }
}
