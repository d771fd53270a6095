use std::task::{Context, Poll};

use futures::{FutureExt as _, channel::oneshot};

use super::{GrantedLock, HolderCommand, LockTask, TaskState};
use crate::{
    driver::LeaseEvents,
    election::{StepDownOutcome, SubscriberState, Transition},
    leadership::{Leadership, Reason},
    mutex::LockError,
};

/// What the caller that waits for the lock or holds it has done since the last poll.
pub(super) enum HolderPoll {
    Nothing,
    /// It changed the state of the task.
    StateChanged,
    /// It keeps the lease without renewals, so the task ends.
    TaskEnds,
}

/// The hold of the caller: granted, lost or released.
impl LockTask {
    /// Polls the caller that waits for the lock or holds it.
    pub(super) fn poll_holder(&mut self, cx: &mut Context<'_>) -> HolderPoll {
        let now = self.clock.now();
        let releasing = match &mut self.state {
            TaskState::Waiting(waiter) => match waiter.poll_canceled(cx) {
                Poll::Ready(()) => TaskState::Releasing(None),
                Poll::Pending if self.wait_ends_at().is_some_and(|at| at <= now) => {
                    let error = self.timeout_error();
                    self.fail_wait(error);
                    return HolderPoll::StateChanged;
                }
                Poll::Pending => return HolderPoll::Nothing,
            },
            TaskState::Held(commands) => match commands.poll_unpin(cx) {
                Poll::Ready(Ok(HolderCommand::StopRenewing)) => {
                    return HolderPoll::TaskEnds;
                }
                Poll::Ready(Ok(HolderCommand::Forget)) => {
                    self.state = TaskState::Releasing(None);
                    self.election.shutdown(now);
                    self.deliver_transitions();
                    return HolderPoll::TaskEnds;
                }
                Poll::Ready(Ok(HolderCommand::Release { used, reply })) => {
                    if !used {
                        self.election.waive_min_hold();
                    }
                    TaskState::Releasing(reply)
                }
                Poll::Ready(Err(_)) => {
                    self.election.waive_min_hold();
                    TaskState::Releasing(None)
                }
                Poll::Pending => return HolderPoll::Nothing,
            },
            TaskState::Releasing(_) => return HolderPoll::Nothing,
        };
        self.state = releasing;
        self.election.shutdown(now);
        HolderPoll::StateChanged
    }

    /// Delivers the election's transitions to the holder, and tells the election whether there is one.
    pub(super) fn deliver_transitions(&mut self) {
        self.log_lease();
        loop {
            while let Some(transition) = self.election.poll_transition() {
                match transition {
                    Transition::BecameLeader { leadership } => self.granted(leadership),
                    Transition::BecameFollower { token, reason } => {
                        // A release leaves this state before it ends the leadership, except a release by the
                        // holder itself.
                        let released = reason == Reason::Shutdown;
                        if matches!(self.state, TaskState::Held(_)) && !released {
                            let failing_for = self.health.failing_for(self.clock.now());
                            LeaseEvents::lock_lost(self.config(), token, &reason, failing_for);
                        }
                        self.end_reason.get_or_insert(reason);
                        // A task is for one acquisition.
                        self.election.shutdown(self.clock.now());
                    }
                }
            }
            let subscriber_state = SubscriberState {
                // It does not contend before the pending releases are done.
                present: self.after.is_none(),
                acknowledged: !matches!(self.state, TaskState::Held(_)),
                clean: true,
            };
            let now = self.clock.now();
            self.election.subscribers_changed(subscriber_state, now);
            if !self.election.has_transitions() {
                break;
            }
        }
        self.log_lease();
    }

    fn log_lease(&mut self) {
        let now = self.clock.now();
        self.lease_events
            .follow(self.election.config(), self.election.term(), now);
    }

    fn granted(&mut self, leadership: Leadership) {
        let state = std::mem::replace(&mut self.state, TaskState::Releasing(None));
        if let TaskState::Waiting(waiter) = state {
            let (commands, received) = oneshot::channel();
            let token = leadership.token();
            if waiter
                .send(Ok(GrantedLock {
                    leadership,
                    commands,
                    end: self.end.clone(),
                }))
                .is_ok()
            {
                self.state = TaskState::Held(received);
                LeaseEvents::lock_acquired(self.config(), token);
                return;
            }
        }
        // The caller has dropped its future.
        self.election.waive_min_hold();
        self.election.shutdown(self.clock.now());
    }

    /// Sends the outcome of the release, if a caller waits for it.
    pub(super) fn send_outcome(&mut self) {
        let state = std::mem::replace(&mut self.state, TaskState::Releasing(None));
        let TaskState::Releasing(Some(reply)) = state else {
            return;
        };
        let resource = self.config().resource.clone();
        let reason = self.end_reason.take();
        let reason = reason.filter(|reason| *reason != Reason::Shutdown);
        let outcome = match (self.election.outcome(), reason) {
            (_, Some(reason)) => Err(LockError::Lost { resource, reason }),
            (StepDownOutcome::Released, None) => Ok(()),
            (_, None) => Err(match self.health.present_error() {
                Some(error) => LockError::Store(error),
                None => LockError::NotHeld { resource },
            }),
        };
        // The caller may have dropped its future.
        let _ = reply.send(outcome);
    }
}
