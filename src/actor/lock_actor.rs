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
    builder::LockBuilder, known_leader::LeaderWatch, leader_view::LeaderView, liveness::Liveness,
    messages::ClockJumped, no_subscriber_warning::NoSubscriberWarning,
    slow_subscribers::SlowSubscribers, subscribers::Subscribers,
};
use crate::{
    clock::Clock,
    driver::{
        CompletedRequest, LeaseEvents, RequestSlot, StoreHealth, StoreWatch, Timer,
        watch_for_suspend,
    },
    election::{AttemptSource, Config, Election, Reply, StepDownOutcome, Transition},
    lease::{InvalidName, ResourceName},
    store::{LeaseStore, StoreError},
};

/// The supervised actor of one resource: it runs the poll and lease cycle against a store and tells
/// its subscribers who leads.
///
/// [`builder`](Self::builder) starts one and gives its [`LockHandle`](super::LockHandle); the
/// messages of this crate may also be sent to its address. On a store error it throws its request
/// and its timers away and is restarted by actix's supervisor; the facts (the election, subscribers,
/// answers owed) stay. It decides nothing: that is done by a state machine without I/O.
#[derive(Debug)]
pub struct LockActor {
    pub(super) election: Election,
    request_slot: RequestSlot,
    pub(super) clock: Arc<dyn Clock>,
    liveness: Arc<Liveness>,
    pub(super) leader: LeaderWatch,
    pub(super) subscribers: Subscribers,
    pub(super) leader_view: LeaderView,
    /// Those who wait for a step-down to be over.
    pub(super) waiting: Vec<oneshot::Sender<StepDownOutcome>>,
    pub(super) health: StoreHealth,
    pub(super) restarts: u64,
    no_subscriber_warning: NoSubscriberWarning,
    slow_subscribers: SlowSubscribers,
    lease_events: LeaseEvents,
    /// Where acknowledgements are sent to; it does not keep the lock up.
    pub(super) lock: Option<WeakAddr<LockActor>>,
    /// The library's own address, so that the supervisor does not end before the lease was released;
    /// given up when the shutdown is complete.
    address: Option<Addr<LockActor>>,
    store_watch: StoreWatch,
    pub(super) timer: Timer,
}

/// How much is done before the other locks of the thread have their turn.
const STEPS: usize = 64;

impl LockActor {
    /// A lock on a resource in a store; everything else has a default.
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
        leader: LeaderWatch,
        rng: SmallRng,
        attempts: Box<dyn AttemptSource>,
        portion: usize,
    ) -> Self {
        let clock = config.clock.clone();
        let now = clock.now();
        Self {
            subscribers: Subscribers::new(config.resource.clone(), clock.clone(), portion),
            election: Election::new(config, rng, attempts, now),
            request_slot: RequestSlot::new(store.clone()),
            clock,
            liveness,
            leader,
            leader_view: LeaderView::default(),
            waiting: Vec::new(),
            health: StoreHealth::new(store),
            restarts: 0,
            no_subscriber_warning: NoSubscriberWarning::default(),
            slow_subscribers: SlowSubscribers::default(),
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

    /// Does what is due, until there is nothing left to do but wait. Ready when the lock has ended for
    /// good.
    fn drive(&mut self, ctx: &mut Context<Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        self.subscribers.begin_turn();
        for _ in 0..STEPS {
            if !mutant!(LateReplyTakenForPrompt) {
                self.election.handle_timeout(self.clock.now());
            }
            if self.store_watch.poll(cx) {
                self.election.handle_store_changed(self.clock.now());
            }
            self.tell();
            match self.poll_answer(cx) {
                Poll::Ready(Ok(())) => continue,
                Poll::Ready(Err(error)) => {
                    let now = self.clock.now();
                    self.health.failed(error, self.election.config(), now);
                    self.tell();
                    ctx.stop();
                    return Poll::Pending;
                }
                Poll::Pending => {}
            }
            if let Some(request) = self.election.poll_request(self.clock.now()) {
                self.request_slot.send(request);
                continue;
            }
            self.tell();
            if self.address.is_none() {
                return Poll::Ready(());
            }
            let leads = self.election.leadership().is_some();
            if self.subscribers.has_more_to_do(leads) {
                break;
            }
            if self.poll_timer(cx).is_pending() {
                return Poll::Pending;
            }
        }
        // The other locks first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes the store's answer when it is there.
    fn poll_answer(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), StoreError>> {
        let asked = self.election.in_flight().map(|(id, _)| id);
        let answered = ready!(self.request_slot.poll(asked, cx));
        let CompletedRequest { id, reply, .. } = answered;
        let now = if mutant!(LateReplyTakenForPrompt) {
            answered.sent_at
        } else {
            self.clock.now()
        };
        let sent_at = if mutant!(SentTimeFromReply) {
            now
        } else {
            answered.sent_at
        };
        let result = answered.outcome.map(|record| {
            self.health.succeeded(self.election.config(), now);
            self.leader_view.saw(&reply, record, now);
        });
        self.election.handle_reply(id, sent_at, reply, now);
        if result.is_ok() {
            let resource = &self.election.config().resource;
            self.store_watch.listen(self.request_slot.store(), resource);
        }
        Poll::Ready(result)
    }

    /// Waits for the next moment at which something is due; ready when it is.
    fn poll_timer(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        let now = self.clock.now();
        let warning = self.no_subscriber_warning.warn_at();
        let look = self.subscribers.look_at();
        let due = self.election.poll_timeout();
        let lapse = self.leader.lapses_at();
        let slow = self.slow_subscribers.warn_at();
        let next = [due, warning, look, lapse, slow]
            .into_iter()
            .flatten()
            .min();
        if mutant!(TimerNotRearmed) && self.restarts > 0 && !self.timer.is_set() {
            return Poll::Pending;
        }
        self.timer.poll(next, now, cx)
    }

    fn is_observed(&self) -> bool {
        self.leader_view.is_observed() || self.leader.is_watched()
    }

    /// Shows outside of this thread who leads.
    fn show_leader(&mut self) {
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

    fn answer(&mut self) {
        let outcome = self.election.outcome();
        for waiting in self.waiting.drain(..) {
            // Whoever asked may have gone.
            let _ = waiting.send(outcome);
        }
    }

    fn write_down(&mut self) {
        let now = self.clock.now();
        self.lease_events
            .follow(self.election.config(), self.election.term(), now);
    }

    /// Delivers what the election has to say, and tells it what the subscribers have to say.
    pub(super) fn tell(&mut self) {
        let Some(lock) = self.lock.clone() else {
            return;
        };
        // A beginning stands in the log before anybody believes in it, an end after.
        self.write_down();
        loop {
            while let Some(transition) = self.election.poll_transition() {
                match transition {
                    Transition::BecameLeader { leadership } => {
                        // A command that came before this leadership is over with.
                        self.answer();
                        LeaseEvents::became_leader(self.config(), leadership.token());
                        self.subscribers.became_leader();
                        let config = self.election.config();
                        self.leader_view.acquired(config, leadership.token());
                    }
                    Transition::BecameFollower { token, reason } => {
                        let leader = self.leader_view.leader(Some(token), self.clock.now());
                        LeaseEvents::became_follower(
                            self.config(),
                            token,
                            &reason,
                            leader.as_ref(),
                        );
                        self.subscribers.became_follower(reason, leader);
                    }
                }
            }
            self.subscribers.tell(self.election.leadership(), &lock);
            let every = self.config().timing.poll_every();
            self.subscribers.look(every, self.clock.now());
            self.leader_view.prune();
            let subscriber_state = self.subscribers.subscriber_state();
            self.election.observe(self.is_observed());
            self.election
                .subscribers_changed(subscriber_state, self.clock.now());
            if !self.election.has_transitions() {
                break;
            }
        }
        self.write_down();
        self.show_leader();
        let is_alone = self.subscribers.len() == 0 && !self.is_observed();
        let is_alone = is_alone && !self.election.is_shut_down();
        self.no_subscriber_warning
            .look(is_alone, self.election.config(), self.clock.now());
        let awaited = self.subscribers.awaited();
        self.slow_subscribers
            .look(awaited, &self.election, self.clock.now());
        if self.election.is_settled() {
            self.answer();
        }
        if self.election.is_shut_down() && !self.subscribers.has_more_to_tell() {
            self.address = None;
            self.leader.close();
        }
    }
}

/// Drives the lock for as long as its context lives: until the next restart.
struct Drive;

impl ActorFuture<LockActor> for Drive {
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
                liveness.beat();
                if jumped {
                    lock.do_send(ClockJumped);
                }
                true
            });
        }
        if self.address.is_some() {
            ctx.spawn(Drive);
        }
    }
}

impl Supervised for LockActor {
    fn restarting(&mut self, _: &mut Context<Self>) {
        self.restarts += 1;
        self.timer.forget();
        self.store_watch.stop();
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
