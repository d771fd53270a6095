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
    lock_config::{LockConfig, LockMode},
};
use crate::{
    clock::{Clock, Moment},
    driver::{
        CompletedRequest, LeaseEvents, RequestSlot, StoreHealth, StoreWatch, Timer,
        watch_for_suspend,
    },
    election::{Config, Election, Reply, StepDownOutcome, SubscriberState, Transition},
    leadership::{Leadership, Reason},
    lease::LeaseRecord,
    store::{Operation, StoreError, StoreErrorKind},
};

/// One acquisition, from the first bid to the release, as a future of the place where locks run.
pub(super) struct LockTask {
    election: Election,
    request_slot: RequestSlot,
    clock: Arc<dyn Clock>,
    store_watch: StoreWatch,
    timer: Timer,
    lease_events: LeaseEvents,
    health: StoreHealth,
    stage: Stage,
    wait_limit: WaitLimit,
    /// What stood in the way when it was last asked for.
    obstacle: Option<LeaseRecord>,
    /// A plain lock that its own owner held was asked for as such.
    reentered: bool,
    lost: Option<Reason>,
    /// What has to be over before the first bid.
    after: Option<BoxFuture<'static, ()>>,
    /// Dropped with the task: the acquisition is over.
    _end: oneshot::Sender<()>,
    suspend_wake: Arc<SuspendWake>,
    watches: bool,
}

#[derive(Debug)]
enum Stage {
    /// Somebody waits for the lock.
    Waiting(oneshot::Sender<Result<GrantedLock, LockError>>),
    /// Somebody holds it.
    Held(oneshot::Receiver<HolderCommand>),
    /// Nobody does any more; somebody may wait for the outcome.
    Leaving(Option<oneshot::Sender<Result<(), LockError>>>),
}

/// A lock that was just taken. Dropping the sender gives it back as one that nobody has used.
#[derive(Debug)]
pub(super) struct GrantedLock {
    pub(super) leadership: Leadership,
    pub(super) commands: oneshot::Sender<HolderCommand>,
}

#[derive(Debug)]
pub(super) enum HolderCommand {
    /// Leave the lease to the holder: it is renewed no more and runs out by itself.
    LeaveToHolder,
    /// Give it back, and say how that went to whoever wants to know.
    GiveBack {
        /// Somebody has worked under it.
        used: bool,
        answer: Option<oneshot::Sender<Result<(), LockError>>>,
    },
}

/// What somebody who waits for a lock, or holds it, has to say.
enum HolderEvent {
    Nothing,
    Something,
    /// The lease is the holder's now.
    PendingRelease,
}

/// How long somebody waits for a lock that is not free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitLimit {
    Once,
    Until { moment: Moment, after: Duration },
    Forever,
}

/// Wakes a task after the machine has slept.
#[derive(Debug, Default)]
struct SuspendWake {
    waker: AtomicWaker,
    is_over: AtomicBool,
}

/// How much is done before the other locks of the thread have their turn.
const STEPS: usize = 64;

impl LockTask {
    pub(super) fn new(
        config: &LockConfig,
        form: LockMode,
        wait_limit: WaitLimit,
        waiter: oneshot::Sender<Result<GrantedLock, LockError>>,
        after: Option<BoxFuture<'static, ()>>,
        end: oneshot::Sender<()>,
    ) -> Self {
        Self {
            election: config.election(form),
            request_slot: RequestSlot::new(config.store.clone()),
            clock: config.plain.clock.clone(),
            store_watch: StoreWatch::default(),
            timer: Timer::default(),
            lease_events: LeaseEvents::default(),
            health: StoreHealth::new(config.store.clone()),
            stage: Stage::Waiting(waiter),
            wait_limit,
            obstacle: None,
            reentered: false,
            lost: None,
            after,
            _end: end,
            suspend_wake: Arc::default(),
            watches: !config.executor.watches_for_suspend(),
        }
    }

    fn config(&self) -> &Config {
        self.election.config()
    }

    /// Does what is due, until there is nothing left to do but wait. Ready when the lease is no longer
    /// this task's.
    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..STEPS {
            if let Some(after) = &mut self.after
                && after.poll_unpin(cx).is_ready()
            {
                self.after = None;
            }
            self.election.handle_timeout(self.clock.now());
            if self.store_watch.poll(cx) {
                self.election.handle_store_changed(self.clock.now());
            }
            self.tell();
            // After whoever waited may have become the holder, so that he is heard from now on.
            match self.listen(cx) {
                HolderEvent::Nothing => {}
                HolderEvent::Something => continue,
                HolderEvent::PendingRelease => return Poll::Ready(()),
            }
            let asked = self.election.in_flight().map(|(id, _)| id);
            if let Poll::Ready(answered) = self.request_slot.poll(asked, cx) {
                self.take(answered);
                continue;
            }
            if let Some(request) = self.election.poll_request(self.clock.now()) {
                self.request_slot.send(request);
                continue;
            }
            self.tell();
            if self.election.is_shut_down() {
                self.answer();
                return Poll::Ready(());
            }
            let due = self.election.poll_timeout();
            let next = due.into_iter().chain(self.gives_up_at()).min();
            if self.timer.poll(next, self.clock.now(), cx).is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Hears whoever waits for the lock or holds it.
    fn listen(&mut self, cx: &mut Context<'_>) -> HolderEvent {
        let now = self.clock.now();
        let leaving = match &mut self.stage {
            Stage::Waiting(waiter) => match waiter.poll_canceled(cx) {
                Poll::Ready(()) => Stage::Leaving(None),
                Poll::Pending if self.gives_up_at().is_some_and(|at| at <= now) => {
                    let error = self.out_of_time();
                    self.refuse(error);
                    return HolderEvent::Something;
                }
                Poll::Pending => return HolderEvent::Nothing,
            },
            Stage::Held(commands) => match commands.poll_unpin(cx) {
                Poll::Ready(Ok(HolderCommand::LeaveToHolder)) => {
                    return HolderEvent::PendingRelease;
                }
                Poll::Ready(Ok(HolderCommand::GiveBack { used, answer })) => {
                    if !used {
                        self.election.forgo();
                    }
                    Stage::Leaving(answer)
                }
                Poll::Ready(Err(_)) => {
                    self.election.forgo();
                    Stage::Leaving(None)
                }
                Poll::Pending => return HolderEvent::Nothing,
            },
            Stage::Leaving(_) => return HolderEvent::Nothing,
        };
        self.stage = leaving;
        self.election.shutdown(now);
        HolderEvent::Something
    }

    fn gives_up_at(&self) -> Option<Moment> {
        match (&self.stage, self.wait_limit) {
            (Stage::Waiting(_), WaitLimit::Until { moment, .. }) => Some(moment),
            _ => None,
        }
    }

    fn out_of_time(&self) -> LockError {
        let after = match self.wait_limit {
            WaitLimit::Until { after, .. } => after,
            _ => Duration::ZERO,
        };
        if let Some(error) = self.health.present_error() {
            return LockError::Store(error);
        }
        let obstacle = self.obstacle.as_ref();
        LockError::Timeout {
            resource: self.config().resource.clone(),
            after,
            by: obstacle.and_then(|record| record.holder.clone()),
        }
    }

    /// Tells whoever waits that he waits in vain; what is under way is cleared up without him.
    fn refuse(&mut self, error: LockError) {
        if let Stage::Waiting(waiter) = std::mem::replace(&mut self.stage, Stage::Leaving(None)) {
            // He may have gone in this moment.
            let _ = waiter.send(Err(error));
        }
        self.election.shutdown(self.clock.now());
    }

    /// Takes the store's answer to the election, and to whoever has no patience.
    fn take(&mut self, answered: CompletedRequest) {
        let now = self.clock.now();
        let (id, sent_at) = (answered.id, answered.sent_at);
        let bid = answered.operation == Operation::Acquire;
        let refused = bid && matches!(answered.reply, Reply::Refused(_));
        let failed = match answered.outcome {
            Ok(record) => {
                self.health.succeeded(self.election.config(), now);
                self.obstacle = record.filter(|_| refused);
                let resource = &self.election.config().resource;
                self.store_watch.listen(self.request_slot.store(), resource);
                None
            }
            Err(error) => Some(self.health.failed(error, self.election.config(), now)),
        };
        self.election.handle_reply(id, sent_at, answered.reply, now);
        if !bid || !matches!(self.stage, Stage::Waiting(_)) {
            return;
        }
        if let Some(error) = failed {
            if self.wait_limit == WaitLimit::Once || is_for_good(&error) {
                self.refuse(LockError::Store(error));
            }
        } else if refused && self.wait_limit == WaitLimit::Once {
            self.refused_once();
        }
    }

    fn refused_once(&mut self) {
        // The owner's own lock is asked for once more, as such.
        if self.election.reenters() && !std::mem::replace(&mut self.reentered, true) {
            return;
        }
        let Some(record) = self.obstacle.as_ref().filter(|record| record.is_held()) else {
            // Nobody holds it: only this attempt was refused, and the next will not be.
            return;
        };
        if let Some(by) = record.holder.clone() {
            let (resource, remaining) = (self.config().resource.clone(), record.remaining);
            self.refuse(LockError::Held {
                resource,
                by,
                remaining,
            });
        }
    }

    /// Tells the holder what the election has to say, and the election whether there is a holder.
    fn tell(&mut self) {
        self.write_down();
        loop {
            while let Some(transition) = self.election.poll_transition() {
                match transition {
                    Transition::BecameLeader { leadership } => self.granted(leadership),
                    Transition::BecameFollower { token, reason } => {
                        if matches!(self.stage, Stage::Held(_)) && reason.is_involuntary() {
                            LeaseEvents::lock_lost(self.config(), token, &reason);
                        }
                        self.lost.get_or_insert(reason);
                        // One acquisition is all that was asked for.
                        self.election.shutdown(self.clock.now());
                    }
                }
            }
            let subscriber_state = SubscriberState {
                // It does not contend before what went before is over.
                present: self.after.is_none(),
                acknowledged: !matches!(self.stage, Stage::Held(_)),
                clean: true,
            };
            let now = self.clock.now();
            self.election.subscribers_changed(subscriber_state, now);
            if !self.election.has_transitions() {
                break;
            }
        }
        self.write_down();
    }

    fn write_down(&mut self) {
        let now = self.clock.now();
        self.lease_events
            .follow(self.election.config(), self.election.term(), now);
    }

    fn granted(&mut self, leadership: Leadership) {
        let stage = std::mem::replace(&mut self.stage, Stage::Leaving(None));
        if let Stage::Waiting(waiter) = stage {
            let (commands, ordered) = oneshot::channel();
            let token = leadership.token();
            if waiter
                .send(Ok(GrantedLock {
                    leadership,
                    commands,
                }))
                .is_ok()
            {
                self.stage = Stage::Held(ordered);
                LeaseEvents::lock_acquired(self.config(), token);
                return;
            }
        }
        // Nobody waits any more.
        self.election.forgo();
        self.election.shutdown(self.clock.now());
    }

    /// The last word, to whoever waits for the release.
    fn answer(&mut self) {
        let Stage::Leaving(Some(answer)) = std::mem::replace(&mut self.stage, Stage::Leaving(None))
        else {
            return;
        };
        let resource = self.config().resource.clone();
        let reason = self.lost.take().filter(|lost| *lost != Reason::Shutdown);
        let outcome = match (self.election.outcome(), reason) {
            (_, Some(reason)) => Err(LockError::Lost { resource, reason }),
            (StepDownOutcome::Released, None) => Ok(()),
            (_, None) => Err(match self.health.present_error() {
                Some(error) => LockError::Store(error),
                None => LockError::NotHeld { resource },
            }),
        };
        // Whoever asked may have gone.
        let _ = answer.send(outcome);
    }

    fn watch_for_naps(&mut self) {
        if !std::mem::replace(&mut self.watches, true) {
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

/// Errors that waiting does not mend.
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
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}

impl Future for LockTask {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let task = self.get_mut();
        task.watch_for_naps();
        task.suspend_wake.waker.register(cx.waker());
        if task.suspend_wake.is_over.swap(false, Ordering::SeqCst) {
            task.timer.forget();
        }
        task.drive(cx)
    }
}
