use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use super::{LockTask, WaitLimit};
use crate::{
    driver::Sending,
    mutex::{executor::Executor, overdue::OverdueWatch},
};

/// The first bid of a lock, sent from the task of the caller. The output is the task, to be started on its executor.
///
/// An uncontended lock is granted without the way to the library's thread and back. If the future is dropped, or the
/// answer takes long, the task goes on over there.
pub(in crate::mutex) struct FirstBid {
    task: Option<Box<LockTask>>,
    executor: Executor,
    overdue: OverdueWatch,
}

impl FirstBid {
    /// The task itself if its first bid must not be sent from here.
    pub(in crate::mutex) fn new(
        task: Box<LockTask>,
        executor: &Executor,
    ) -> Result<Self, Box<LockTask>> {
        let waits_long = match task.wait_limit {
            WaitLimit::Forever | WaitLimit::Once => true,
            WaitLimit::Until { after, .. } => OverdueWatch::LONGEST * 2 <= after,
        };
        let begins_here =
            waits_long && task.after.is_none() && task.request_slot.store().runs_in_callers_task();
        match begins_here.then(|| OverdueWatch::start(executor)).flatten() {
            Some(overdue) => Ok(Self {
                task: Some(task),
                executor: executor.clone(),
                overdue,
            }),
            None => Err(task),
        }
    }
}

impl Future for FirstBid {
    type Output = Box<LockTask>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Box<LockTask>> {
        let this = &mut *self;
        let overdue = this.overdue.poll(cx).is_ready();
        let task = this.task.as_mut().expect("polled until it is ready only");
        if task.poll_first_bid(cx).is_pending() && !overdue {
            return Poll::Pending;
        }
        Poll::Ready(this.task.take().expect("just used"))
    }
}

impl Drop for FirstBid {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            // The caller no longer waits: the task releases what it may have been granted.
            self.executor.start(task);
        }
    }
}

impl LockTask {
    /// Sends the first bid and handles its answer. Ready when there is nothing to wait for here.
    fn poll_first_bid(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.deliver_transitions();
        if self.election.in_flight().is_none() {
            let sending = (self.request_slot).send_first(&mut self.election, &*self.clock);
            if sending != Sending::Sent {
                return Poll::Ready(());
            }
        }
        let in_flight = self.election.in_flight().map(|(id, _)| id);
        self.request_slot.poll(in_flight, cx).map(|completed| {
            self.handle_completed(completed);
            self.deliver_transitions();
        })
    }
}
