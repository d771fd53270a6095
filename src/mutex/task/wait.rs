use std::time::Duration;

use super::{LockTask, TaskState, WaitLimit};
use crate::{
    clock::Moment,
    driver::CompletedRequest,
    election::Reply,
    mutex::{LockError, is_for_good},
    store::Operation,
};

/// The wait of the caller for the lock.
impl LockTask {
    pub(super) fn wait_ends_at(&self) -> Option<Moment> {
        match (&self.state, self.wait_limit) {
            (TaskState::Waiting(_), WaitLimit::Until { moment, .. }) => Some(moment),
            _ => None,
        }
    }

    pub(super) fn timeout_error(&self) -> LockError {
        let after = match self.wait_limit {
            WaitLimit::Until { after, .. } => after,
            _ => Duration::ZERO,
        };
        if let Some(error) = self.health.present_error() {
            return LockError::Store(error);
        }
        let record = self.refused_by.as_ref();
        LockError::Timeout {
            resource: self.config().resource.clone(),
            after,
            by: record.and_then(|record| record.holder.clone()),
            pause: record
                .and_then(|record| record.pause.as_ref())
                .map(|pause| pause.note.clone()),
        }
    }

    /// Ends the wait of the caller with this error. The task then releases what it may have been granted.
    pub(super) fn fail_wait(&mut self, error: LockError) {
        let state = std::mem::replace(&mut self.state, TaskState::Releasing(None));
        if let TaskState::Waiting(waiter) = state {
            // The caller may have dropped its future at this moment.
            let _ = waiter.send(Err(error));
        }
        self.election.shutdown(self.clock.now());
    }

    /// Gives the store's reply to the election, and ends the wait of a caller if this reply decides it.
    pub(super) fn handle_completed(&mut self, completed: CompletedRequest) {
        let now = self.clock.now();
        let (id, sent_at) = (completed.id, completed.sent_at);
        let is_bid = completed.operation == Operation::Acquire;
        let refused = matches!(completed.reply, Reply::Refused(_));
        let failed = match completed.outcome {
            Ok(record) => {
                self.health.succeeded(self.election.config(), now);
                self.refused_by = record.filter(|_| refused);
                self.joins_watch = true;
                None
            }
            Err(error) => Some(
                self.health
                    .failed(error, self.election.config(), sent_at, now),
            ),
        };
        self.election
            .handle_reply(id, sent_at, completed.reply, now);
        if !is_bid || !matches!(self.state, TaskState::Waiting(_)) {
            return;
        }
        if let Some(error) = failed {
            if self.wait_limit == WaitLimit::Once || is_for_good(&error) {
                self.fail_wait(LockError::Store(error));
            }
        } else if refused && self.wait_limit == WaitLimit::Once {
            self.handle_single_refusal();
        }
    }

    fn handle_single_refusal(&mut self) {
        let record = self.refused_by.as_ref();
        if let Some(pause) = record.and_then(|record| record.pause.as_ref()) {
            let (resource, note) = (self.config().resource.clone(), pause.note.clone());
            self.fail_wait(LockError::Paused { resource, note });
            return;
        }
        // The owner itself holds the plain lock: the next bid is reentrant.
        if self.election.reenters() && !std::mem::replace(&mut self.reentered, true) {
            return;
        }
        let Some(record) = self.refused_by.as_ref().filter(|record| record.is_held()) else {
            // The lock is free: the store refused only this attempt, and grants the next.
            return;
        };
        if let Some(by) = record.holder.clone() {
            let (resource, remaining) = (self.config().resource.clone(), record.remaining);
            self.fail_wait(LockError::Held {
                resource,
                by,
                remaining,
            });
        }
    }
}
