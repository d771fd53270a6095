use std::{
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll, ready},
};

use actix::{
    Actor, ActorContext as _, Addr, AsyncContext as _, Context, Supervised, WeakAddr,
    fut::ActorFuture,
};
use futures::channel::oneshot;
use rand::rngs::SmallRng;

use super::{
    builder::LockBuilder, known_leader::LeaderPublisher, leader_view::LeaderView,
    liveness::Liveness, messages::ClockJumped, no_subscriber_warning::NoSubscriberWarning,
    pause_view::PauseView, slow_subscriber_warning::SlowSubscriberWarning,
    subscribers::Subscribers,
};
use crate::{
    clock::{Clock, Moment},
    driver::{
        CompletedRequest, LeaseEvents, RequestSlot, Sending, StoreHealth, StoreWatch, Timer,
        watch_for_suspend,
    },
    election::{AttemptSource, Config, Election, Reply, StepDownOutcome, Transition},
    lease::{InvalidName, ResourceName},
    store::{LeaseStore, StoreError},
};

/// The supervised actor of one resource: it acquires and renews the lease, and tells its subscribers who
/// leads.
///
/// [`builder`](Self::builder) configures and starts one, and returns its
/// [`LockHandle`](super::LockHandle). You may also send the messages of [`actor`](crate::actor) to its
/// address.
///
/// On a store error, actix's supervisor restarts it: its request, its timers and its watch of the store are
/// dropped; the state of the election, the subscribers and pending commands stay.
#[derive(Debug)]
pub struct LockActor {
    pub(super) election: Election,
    request_slot: RequestSlot,
    pub(super) clock: Arc<dyn Clock>,
    liveness: Arc<Liveness>,
    pub(super) leader: LeaderPublisher,
    pub(super) subscribers: Subscribers,
    pub(super) leader_view: LeaderView,
    pub(super) pause_view: PauseView,
    /// Callers that wait for a step-down to complete.
    pub(super) waiting: Vec<oneshot::Sender<StepDownOutcome>>,
    pub(super) health: StoreHealth,
    pub(super) restarts: u64,
    no_subscriber_warning: NoSubscriberWarning,
    slow_subscriber_warning: SlowSubscriberWarning,
    pub(super) lease_events: LeaseEvents,
    /// Where acknowledgements are sent. Weak, so that it does not keep the lock running.
    pub(super) lock: Option<WeakAddr<LockActor>>,
    /// The lock's own address, so that the supervisor does not end before the lease is released. Dropped
    /// when the shutdown is complete.
    address: Option<Addr<LockActor>>,
    store_watch: StoreWatch,
    pub(super) timer: Timer,
}

/// How many steps one lock takes before the other locks of the thread run.
const STEPS: usize = 64;

impl LockActor {
    /// Configures a lock on a resource in a store. Everything else has a default.
    ///
    /// Pass clones of one `Arc` of the store to all locks of the process: by it they know that they share the store,
    /// renew together and share one watch. At most 64 of their other requests are under way; the rest wait.
    pub fn builder<N>(resource: N, store: Arc<dyn LeaseStore>) -> LockBuilder
    where
        N: TryInto<ResourceName>,
        N::Error: Into<InvalidName>,
    {
        LockBuilder::new(resource.try_into().map_err(Into::into), store)
    }

    pub(super) fn new(
        config: Config,
        store: Arc<dyn LeaseStore>,
        liveness: Arc<Liveness>,
        leader: LeaderPublisher,
        rng: SmallRng,
        attempts: Box<dyn AttemptSource>,
        batch_size: usize,
    ) -> Self {
        let clock = config.clock.clone();
        let now = clock.now();
        Self {
            subscribers: Subscribers::new(config.resource.clone(), clock.clone(), batch_size),
            election: Election::new(config, rng, attempts, now),
            request_slot: RequestSlot::new(store.clone()),
            clock,
            liveness,
            leader,
            leader_view: LeaderView::default(),
            pause_view: PauseView::default(),
            waiting: Vec::new(),
            health: StoreHealth::new(store),
            restarts: 0,
            no_subscriber_warning: NoSubscriberWarning::default(),
            slow_subscriber_warning: SlowSubscriberWarning::default(),
            lease_events: LeaseEvents::default(),
            lock: None,
            address: None,
            store_watch: StoreWatch::default(),
            timer: Timer::default(),
        }
    }

    pub(super) fn config(&self) -> &Config {
        self.election.config()
    }

    /// Does what is due until there is nothing left but to wait. Ready when the lock was shut down.
    fn drive(&mut self, ctx: &mut Context<Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        self.subscribers.begin_batch();
        for _ in 0..STEPS {
            self.handle_timeout();
            self.poll_resignation(cx);
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
            self.deliver();
            match self.poll_reply(cx) {
                Poll::Ready(Ok(())) => continue,
                Poll::Ready(Err(_)) => {
                    self.deliver();
                    ctx.stop();
                    return Poll::Pending;
                }
                Poll::Pending => {}
            }
            let sending = self
                .request_slot
                .send_due(&mut self.election, &*self.clock, cx);
            if sending == Sending::Sent {
                continue;
            }
            self.deliver();
            if self.address.is_none() {
                return Poll::Ready(());
            }
            let leads = self.election.leadership().is_some();
            if self.subscribers.has_more_to_do(leads) {
                break;
            }
            if self.poll_timer(sending, cx).is_pending() {
                return Poll::Pending;
            }
        }
        // Other locks run first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn handle_timeout(&mut self) {
        if mutant!(LateReplyTakenForPrompt) {
            return;
        }
        self.election.handle_timeout(self.clock.now());
    }

    /// Handles the reply of the store when it is there.
    fn poll_reply(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Arc<StoreError>>> {
        let awaited = self.election.in_flight().map(|(id, _)| id);
        let completed = ready!(self.request_slot.poll(awaited, cx));
        let CompletedRequest { id, reply, .. } = completed;
        let mut now = self.clock.now();
        if mutant!(LateReplyTakenForPrompt) {
            now = completed.sent_at;
        }
        let mut sent_at = completed.sent_at;
        if mutant!(SentTimeFromReply) {
            sent_at = now;
        }
        let config = self.election.config();
        let result = match completed.outcome {
            Ok(record) => {
                self.health.succeeded(config, now);
                self.pause_view
                    .handle_reply(config, &reply, record.as_ref());
                self.leader_view.handle_reply(&reply, record, now);
                Ok(())
            }
            Err(error) => Err(self.health.failed(error, config, sent_at, now)),
        };
        self.election.handle_reply(id, sent_at, reply, now);
        self.warn_of_same_candidate();
        if result.is_ok() {
            let config = self.election.config();
            self.store_watch.join(
                self.request_slot.store(),
                &config.resource,
                config.timing.poll_every(),
            );
        }
        Poll::Ready(result)
    }

    /// Ready at the next moment at which something is due.
    fn poll_timer(&mut self, sending: Sending, cx: &mut TaskContext<'_>) -> Poll<()> {
        let now = self.clock.now();
        let warning = self.no_subscriber_warning.warn_at();
        let check = self.subscribers.check_at();
        let due = sending.next_due(&self.election, now);
        let expiry = self.leader.expires_at();
        let slow = self.slow_subscriber_warning.warn_at();
        let next = [due, warning, check, expiry, slow]
            .into_iter()
            .flatten()
            .min();
        if mutant!(TimerNotRearmed) {
            return self.poll_timer_until_restart(next, now, cx);
        }
        self.timer.poll(next, now, cx)
    }

    /// The fault `TimerNotRearmed`: after a restart, the timer is not set again.
    fn poll_timer_until_restart(
        &mut self,
        next: Option<Moment>,
        now: Moment,
        cx: &mut TaskContext<'_>,
    ) -> Poll<()> {
        if self.restarts > 0 && !self.timer.is_set() {
            return Poll::Pending;
        }
        self.timer.poll(next, now, cx)
    }

    fn is_observed(&self) -> bool {
        self.leader_view.is_observed() || self.leader.is_watched()
    }

    /// Publishes who leads, for other threads.
    fn publish_leader(&mut self) {
        let now = self.clock.now();
        let held = self.election.term().map(|(leadership, _)| leadership);
        self.liveness.set_leadership(held);
        let other = self.leader.update(&self.election, &self.leader_view, now);
        if let Some((leader, token)) = other
            && self.subscribers.len() > 0
        {
            let config = self.election.config();
            self.lease_events.following(config, &leader, token);
        }
    }

    fn complete_commands(&mut self) {
        let outcome = self.election.outcome();
        if !self.waiting.is_empty() {
            LeaseEvents::ended_on_purpose(self.election.config(), outcome);
        }
        for waiting in self.waiting.drain(..) {
            // The caller may have dropped its future.
            let _ = waiting.send(outcome);
        }
    }

    /// Delivers the election's transitions to the subscribers, and their state to the election.
    pub(super) fn deliver(&mut self) {
        let Some(lock) = self.lock.clone() else {
            return;
        };
        // Logged before a subscriber can use the lease, and again below after its end is delivered.
        self.log_lease();
        loop {
            let changes = self.election.has_transitions();
            while let Some(transition) = self.election.poll_transition() {
                match transition {
                    Transition::BecameLeader { leadership } => {
                        // A command from before this leadership has completed.
                        self.complete_commands();
                        LeaseEvents::became_leader(self.config(), leadership.token());
                        self.subscribers.became_leader();
                        let config = self.election.config();
                        self.leader_view.acquired(config, leadership.token());
                    }
                    Transition::BecameFollower { token, reason } => {
                        let now = self.clock.now();
                        let leader = self.leader_view.leader(Some(token), now);
                        LeaseEvents::became_follower(
                            self.config(),
                            token,
                            &reason,
                            leader.as_ref(),
                            self.health.failing_for(now),
                        );
                        self.subscribers.became_follower(reason, leader);
                    }
                }
            }
            if changes {
                // A subscriber on another thread may ask for it at once.
                self.publish_leader();
            }
            self.subscribers.send_due(self.election.leadership(), &lock);
            let every = self.config().timing.poll_every();
            self.subscribers.check_alive(every, self.clock.now());
            self.leader_view.prune();
            let subscriber_state = self.subscribers.subscriber_state();
            self.election.observe(self.is_observed());
            self.election
                .subscribers_changed(subscriber_state, self.clock.now());
            if !self.election.has_transitions() {
                break;
            }
        }
        self.log_lease();
        self.publish_leader();
        let is_unused = self.subscribers.len() == 0 && !self.is_observed();
        let is_unused = is_unused && !self.election.is_shut_down();
        self.no_subscriber_warning
            .check(is_unused, self.election.config(), self.clock.now());
        let awaited = self.subscribers.awaited();
        self.slow_subscriber_warning
            .check(awaited, &self.election, self.clock.now());
        if self.election.is_settled() {
            self.complete_commands();
        }
        if self.election.is_shut_down() && !self.subscribers.has_end_to_send() {
            self.address = None;
            self.leader.close();
        }
    }
}

/// Drives the lock until its next restart, which drops the context.
struct DriveFuture;

impl ActorFuture<LockActor> for DriveFuture {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        lock: &mut LockActor,
        ctx: &mut Context<LockActor>,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        lock.drive(ctx, task)
    }
}

impl Actor for LockActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if self.restarts == 0 {
            let lock = ctx.address().downgrade();
            self.address = Some(ctx.address());
            self.lock = Some(lock.clone());
            let liveness = self.liveness.clone();
            watch_for_suspend(move |jumped| {
                let Some(lock) = lock.upgrade() else {
                    return false;
                };
                liveness.thread_runs();
                if jumped {
                    lock.do_send(ClockJumped);
                }
                true
            });
        }
        if self.address.is_some() {
            ctx.spawn(DriveFuture);
        }
    }
}

impl Supervised for LockActor {
    fn restarting(&mut self, _: &mut Context<Self>) {
        self.restarts += 1;
        self.timer.clear();
        self.store_watch.leave();
        self.subscribers.restarted();
        if mutant!(RestartForgetsReplies) {
            self.waiting.clear();
        }
        // A request that is dropped may have been applied.
        self.request_slot.drop_request();
        if let Some((id, sent_at)) = self.election.in_flight() {
            self.election
                .handle_reply(id, sent_at, Reply::Unknown, self.clock.now());
        }
    }
}
