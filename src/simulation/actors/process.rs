use std::{
    future::{Future as _, pending, poll_fn},
    pin::pin,
    rc::Rc,
    task::{Poll, Waker},
};

use tokio::task::LocalSet;

use super::world::{Life, Shared, World};
use crate::clock::Clock as _;

/// All that runs in one process: a lock, those who follow it, and what they have spawned.
///
/// While it is frozen none of its tasks is polled. Its timers fire late, messages and the store's
/// answers wait, and its clock goes on; what it has sent is out of its hands, and arrives.
///
/// Two things are simpler than in a real process. It freezes between two polls of its tasks and never
/// within one; and when it goes on, its tasks have their turns in the order in which they were woken.
pub(super) struct Process(Rc<LocalSet>);

impl Process {
    pub(super) fn start(shared: &Shared, life: usize) -> Self {
        let tasks = Rc::new(LocalSet::new());
        let (running, shared) = (tasks.clone(), shared.clone());
        actix::spawn(async move {
            let mut run = pin!(running.run_until(pending::<()>()));
            poll_fn(|cx| {
                let frozen = shared.world().is_frozen(life, cx.waker());
                if frozen {
                    Poll::Pending
                } else {
                    run.as_mut().poll(cx)
                }
            })
            .await
        });
        Self(tasks)
    }

    /// Does something as this process: what it spawns belongs to it.
    pub(super) fn inside<T>(&self, work: impl FnOnce() -> T) -> T {
        let _inside = self.0.enter();
        work()
    }
}

impl World {
    fn is_frozen(&mut self, life: usize, waker: &Waker) -> bool {
        let gate = &mut self.lives[life].gate;
        gate.waker = gate.frozen.then(|| waker.clone());
        gate.frozen
    }

    /// Stops a process, unless it stands still already; tells whether it ran.
    pub(super) fn freeze(&mut self, life: usize) -> bool {
        let gate = &mut self.lives[life].gate;
        !std::mem::replace(&mut gate.frozen, true)
    }

    /// Lets a process go on that has not crashed.
    pub(super) fn thaw(&mut self, life: usize) {
        let Life {
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
        self.log(|| format!("node{node} (life {life}) goes on"));
    }
}
