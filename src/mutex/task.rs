mod first_bid;
mod granted_lock;
mod hold;
mod suspend_wake;
mod wait;
mod wait_limit;

pub(super) use first_bid::FirstBid;
pub(super) use granted_lock::{GrantedLock, HolderCommand};
pub(super) use wait_limit::WaitLimit;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{FutureExt as _, channel::oneshot, future::BoxFuture};

use self::{hold::HolderPoll, suspend_wake::SuspendWake};
use super::{
    LockError,
    mutex_config::{LockKind, MutexConfig},
};
use crate::{
    clock::Clock,
    driver::{LeaseEvents, RequestSlot, Sending, StoreHealth, StoreWatch, Timer},
    election::{Config, Election},
    leadership::Reason,
    lease::LeaseRecord,
};

/// One acquisition, from the first bid to the release, as a task of the executor.
pub(super) struct LockTask {
    election: Election,
    request_slot: RequestSlot,
    clock: Arc<dyn Clock>,
    store_watch: StoreWatch,
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
    /// The acquisition is over when the task and the holder have dropped it.
    end: Arc<oneshot::Sender<()>>,
    /// A store has answered, so the task joins the watch of the store when it runs on its thread.
    joins_watch: bool,
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
            store_watch: StoreWatch::default(),
            timer: Timer::default(),
            lease_events: LeaseEvents::default(),
            health: StoreHealth::new(config.store.clone()),
            state: TaskState::Waiting(waiter),
            wait_limit,
            refused_by: None,
            reentered: false,
            end_reason: None,
            after,
            end: Arc::new(end),
            joins_watch: false,
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
            if self.joins_watch {
                let config = self.election.config();
                self.store_watch.join(
                    self.request_slot.store(),
                    &config.resource,
                    config.timing.poll_every(),
                );
            }
            if let Poll::Ready(news) = self.store_watch.poll(cx) {
                let now = self.clock.now();
                if let Some(pushed) = news.pushed {
                    self.election.set_pushed(pushed, now);
                }
                if let Some(event) = news.event {
                    self.election.handle_change(event, now);
                }
            }
            if self.request_slot.is_invited(cx) {
                self.election.renew_early(self.clock.now());
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
            let sending = self
                .request_slot
                .send_due(&mut self.election, &*self.clock, cx);
            if sending == Sending::Sent {
                continue;
            }
            self.deliver_transitions();
            if self.election.is_shut_down() {
                self.send_outcome();
                return Poll::Ready(());
            }
            let due = sending.next_due(&self.election, self.clock.now());
            let next = due.into_iter().chain(self.wait_ends_at()).min();
            if self.timer.poll(next, self.clock.now(), cx).is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Future for LockTask {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let task = self.get_mut();
        if !std::mem::replace(&mut task.watches_for_suspend, true) {
            task.suspend_wake.start_watch();
        }
        task.suspend_wake.waker.register(cx.waker());
        if task.suspend_wake.take() {
            task.timer.clear();
        }
        task.drive(cx)
    }
}
