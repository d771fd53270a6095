use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt as _, channel::oneshot, future::BoxFuture, task::AtomicWaker};

use super::{
    LockError,
    mutex_config::{LockKind, MutexConfig},
};
use crate::{
    clock::{Clock, Moment},
    driver::{
        ChangeHints, CompletedRequest, LeaseEvents, RequestSlot, StoreHealth, Timer,
        watch_for_suspend,
    },
    election::{Config, Election, Reply, StepDownOutcome, SubscriberState, Transition},
    leadership::{Leadership, Reason},
    lease::LeaseRecord,
    store::{Operation, StoreError, StoreErrorKind},
};

/// One acquisition, from the first bid to the release, as a task of the executor.
pub(super) struct LockTask {
    election: Election,
    request_slot: RequestSlot,
    clock: Arc<dyn Clock>,
    change_hints: ChangeHints,
    timer: Timer,
    lease_events: LeaseEvents,
    health: StoreHealth,
    state: TaskState,
    wait_limit: WaitLimit,
    /// The record that the store showed when it refused the last bid.
    refused_by: Option<LeaseRecord>,
    /// The owner of a plain lock already held it, and the task has sent the reentrant bid for it.
    reentered: bool,
    /// Why the leadership ended.
    end_reason: Option<Reason>,
    /// The pending releases that must be done before the first bid.
    after: Option<BoxFuture<'static, ()>>,
    /// Dropped with the task: the acquisition is over.
    _end: oneshot::Sender<()>,
    suspend_wake: Arc<SuspendWake>,
    watches_for_suspend: bool,
}

#[derive(Debug)]
enum TaskState {
    /// A caller waits for the lock.
    Waiting(oneshot::Sender<Result<GrantedLock, LockError>>),
    /// A caller holds the lock.
    Held(oneshot::Receiver<HolderCommand>),
    /// The lock is being released; a caller may wait for the outcome.
    Releasing(Option<oneshot::Sender<Result<(), LockError>>>),
}

/// A lock that was just granted. Dropping `commands` releases it as unused.
#[derive(Debug)]
pub(super) struct GrantedLock {
    pub(super) leadership: Leadership,
    pub(super) commands: oneshot::Sender<HolderCommand>,
}

#[derive(Debug)]
pub(super) enum HolderCommand {
    /// Stop renewing the lease and do not release it: a plain lock, which lasts one ttl.
    StopRenewing,
    /// Release the lock and send the outcome, if a caller waits for it.
    Release {
        /// The caller had the lock, so `min_hold` applies.
        used: bool,
        reply: Option<oneshot::Sender<Result<(), LockError>>>,
    },
}

/// What the caller that waits for the lock or holds it has done since the last poll.
enum HolderPoll {
    Nothing,
    /// It changed the state of the task.
    StateChanged,
    /// It keeps the lease without renewals, so the task ends.
    TaskEnds,
}

/// How long a caller waits for a lock that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitLimit {
    Once,
    Until { moment: Moment, after: Duration },
    Forever,
}

/// Wakes a task after the machine was suspended.
#[derive(Debug, Default)]
struct SuspendWake {
    waker: AtomicWaker,
    is_over: AtomicBool,
}

/// The number of steps after which a task lets the other tasks of the thread run.
const STEPS: usize = 64;

impl LockTask {
    pub(super) fn new(
        config: &MutexConfig,
        mode: LockKind,
        wait_limit: WaitLimit,
        waiter: oneshot::Sender<Result<GrantedLock, LockError>>,
        after: Option<BoxFuture<'static, ()>>,
        end: oneshot::Sender<()>,
    ) -> Self {
        Self {
            election: config.election(mode),
            request_slot: RequestSlot::new(config.store.clone()),
            clock: config.plain.clock.clone(),
            change_hints: ChangeHints::default(),
            timer: Timer::default(),
            lease_events: LeaseEvents::default(),
            health: StoreHealth::new(config.store.clone()),
            state: TaskState::Waiting(waiter),
            wait_limit,
            refused_by: None,
            reentered: false,
            end_reason: None,
            after,
            _end: end,
            suspend_wake: Arc::default(),
            watches_for_suspend: !config.executor.watches_for_suspend(),
        }
    }

    fn config(&self) -> &Config {
        self.election.config()
    }

    /// Does what is due until there is nothing to do but wait. Ready when the task has ended.
    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..STEPS {
            if let Some(after) = &mut self.after
                && after.poll_unpin(cx).is_ready()
            {
                self.after = None;
            }
            self.election.handle_timeout(self.clock.now());
            if self.change_hints.poll(cx) {
                self.election.handle_store_changed(self.clock.now());
            }
            self.deliver_transitions();
            // After the deliveries: a waiting caller may hold the lock now, and its commands must be polled.
            match self.poll_holder(cx) {
                HolderPoll::Nothing => {}
                HolderPoll::StateChanged => continue,
                HolderPoll::TaskEnds => return Poll::Ready(()),
            }
            let in_flight = self.election.in_flight().map(|(id, _)| id);
            if let Poll::Ready(completed) = self.request_slot.poll(in_flight, cx) {
                self.handle_completed(completed);
                continue;
            }
            if let Some(request) = self.election.poll_request(self.clock.now()) {
                self.request_slot.send(request);
                continue;
            }
            self.deliver_transitions();
            if self.election.is_shut_down() {
                self.send_outcome();
                return Poll::Ready(());
            }
            let due = self.election.poll_timeout();
            let next = due.into_iter().chain(self.wait_ends_at()).min();
            if self.timer.poll(next, self.clock.now(), cx).is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Polls the caller that waits for the lock or holds it.
    fn poll_holder(&mut self, cx: &mut Context<'_>) -> HolderPoll {
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
                Poll::Ready(Ok(HolderCommand::Release { used, reply })) => {
                    if !used {
                        self.election.forgo();
                    }
                    TaskState::Releasing(reply)
                }
                Poll::Ready(Err(_)) => {
                    self.election.forgo();
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

    fn wait_ends_at(&self) -> Option<Moment> {
        match (&self.state, self.wait_limit) {
            (TaskState::Waiting(_), WaitLimit::Until { moment, .. }) => Some(moment),
            _ => None,
        }
    }

    fn timeout_error(&self) -> LockError {
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
        }
    }

    /// Ends the wait of the caller with this error. The task then releases what it may have been granted.
    fn fail_wait(&mut self, error: LockError) {
        let state = std::mem::replace(&mut self.state, TaskState::Releasing(None));
        if let TaskState::Waiting(waiter) = state {
            // The caller may have dropped its future at this moment.
            let _ = waiter.send(Err(error));
        }
        self.election.shutdown(self.clock.now());
    }

    /// Gives the store's reply to the election, and ends the wait of a caller if this reply decides it.
    fn handle_completed(&mut self, completed: CompletedRequest) {
        let now = self.clock.now();
        let (id, sent_at) = (completed.id, completed.sent_at);
        let is_bid = completed.operation == Operation::Acquire;
        let refused = is_bid && matches!(completed.reply, Reply::Refused(_));
        let failed = match completed.outcome {
            Ok(record) => {
                self.health.succeeded(self.election.config(), now);
                self.refused_by = record.filter(|_| refused);
                let resource = &self.election.config().resource;
                self.change_hints
                    .listen(self.request_slot.store(), resource);
                None
            }
            Err(error) => Some(self.health.failed(error, self.election.config(), now)),
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

    /// Delivers the election's transitions to the holder, and tells the election whether there is one.
    fn deliver_transitions(&mut self) {
        self.log_lease();
        loop {
            while let Some(transition) = self.election.poll_transition() {
                match transition {
                    Transition::BecameLeader { leadership } => self.granted(leadership),
                    Transition::BecameFollower { token, reason } => {
                        if matches!(self.state, TaskState::Held(_)) && reason.is_involuntary() {
                            LeaseEvents::lock_lost(self.config(), token, &reason);
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
                }))
                .is_ok()
            {
                self.state = TaskState::Held(received);
                LeaseEvents::lock_acquired(self.config(), token);
                return;
            }
        }
        // The caller has dropped its future.
        self.election.forgo();
        self.election.shutdown(self.clock.now());
    }

    /// Sends the outcome of the release, if a caller waits for it.
    fn send_outcome(&mut self) {
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

    fn start_suspend_watch(&mut self) {
        if !std::mem::replace(&mut self.watches_for_suspend, true) {
            let suspend_wake = Arc::downgrade(&self.suspend_wake);
            watch_for_suspend(move |jumped| match suspend_wake.upgrade() {
                Some(suspend_wake) if jumped => {
                    suspend_wake.is_over.store(true, Ordering::SeqCst);
                    suspend_wake.waker.wake();
                    true
                }
                suspend_wake => suspend_wake.is_some(),
            });
        }
    }
}

/// Whether an error stays whatever is tried: a retry does not fix it.
pub(crate) fn is_for_good(error: &StoreError) -> bool {
    matches!(
        error.kind(),
        StoreErrorKind::Denied
            | StoreErrorKind::Misconfigured
            | StoreErrorKind::Corrupt
            | StoreErrorKind::Unsupported
    )
}

impl fmt::Debug for LockTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockTask")
            .field("election", &self.election)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Future for LockTask {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let task = self.get_mut();
        task.start_suspend_watch();
        task.suspend_wake.waker.register(cx.waker());
        if task.suspend_wake.is_over.swap(false, Ordering::SeqCst) {
            task.timer.clear();
        }
        task.drive(cx)
    }
}
