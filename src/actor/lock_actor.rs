use std::{
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll, ready},
};

use actix::{
    Actor, ActorContext as _, Addr, AsyncContext as _, Context, Supervised, WeakAddr,
    fut::ActorFuture,
};
use futures::{channel::oneshot, future::BoxFuture};
use rand::rngs::SmallRng;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    builder::LockBuilder,
    call::{self, Answer},
    hints::Hints,
    journal::Journal,
    jump,
    loneliness::Loneliness,
    outlook::Outlook,
    pulse::Pulse,
    store_health::StoreHealth,
    subscribers::Subscribers,
};
use crate::{
    clock::{Clock, Moment},
    election::{Config, Election, Reply, Request, RequestId, StepDownOutcome, Transition},
    lease::{InvalidName, ResourceName},
    store::{LeaseStore, Operation, StoreError, StoreErrorKind},
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
    store: Arc<dyn LeaseStore>,
    pub(super) clock: Arc<dyn Clock>,
    pulse: Arc<Pulse>,
    pub(super) subscribers: Subscribers,
    pub(super) outlook: Outlook,
    /// Those who wait for a step-down to be over.
    pub(super) waiting: Vec<oneshot::Sender<StepDownOutcome>>,
    pub(super) health: StoreHealth,
    pub(super) restarts: u64,
    loneliness: Loneliness,
    journal: Journal,
    /// Where acknowledgements are sent to; it does not keep the lock up.
    pub(super) lock: Option<WeakAddr<LockActor>>,
    /// The library's own address, so that the supervisor does not end before the lease was released;
    /// given up when the shutdown is complete.
    address: Option<Addr<LockActor>>,
    sending: Option<Sending>,
    hints: Hints,
    pub(super) timer: Option<(Moment, Pin<Box<Sleep>>)>,
    look_at: Option<Moment>,
}

/// How much is done before the other locks of the thread have their turn.
const STEPS: usize = 64;

struct Sending {
    id: RequestId,
    sent_at: Moment,
    operation: Operation,
    answer: BoxFuture<'static, Result<Answer, StoreError>>,
}

impl std::fmt::Debug for Sending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sending")
            .field("operation", &self.operation)
            .finish_non_exhaustive()
    }
}

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
        pulse: Arc<Pulse>,
        rng: SmallRng,
    ) -> Self {
        let clock = config.clock.clone();
        let now = clock.now();
        Self {
            subscribers: Subscribers::new(config.resource.clone()),
            election: Election::new(config, rng, now),
            store,
            clock,
            pulse,
            outlook: Outlook::default(),
            waiting: Vec::new(),
            health: StoreHealth::default(),
            restarts: 0,
            loneliness: Loneliness::default(),
            journal: Journal::default(),
            lock: None,
            address: None,
            sending: None,
            hints: Hints::default(),
            timer: None,
            look_at: None,
        }
    }

    pub(super) fn config(&self) -> &Config {
        self.election.config()
    }

    /// Does what is due, until there is nothing left to do but wait. Ready when the lock has ended for
    /// good.
    fn drive(&mut self, ctx: &mut Context<Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        for _ in 0..STEPS {
            self.look();
            self.election.handle_timeout(self.clock.now());
            if self.hints.poll(cx) {
                self.election.handle_store_changed(self.clock.now());
            }
            self.tell();
            match self.poll_answer(cx) {
                Poll::Ready(Ok(())) => continue,
                Poll::Ready(Err(error)) => {
                    self.health
                        .failed(error, self.election.config(), self.clock.now());
                    self.tell();
                    ctx.stop();
                    return Poll::Pending;
                }
                Poll::Pending => {}
            }
            if let Some(request) = self.election.poll_request(self.clock.now()) {
                self.send(request);
                continue;
            }
            self.tell();
            if self.address.is_none() {
                return Poll::Ready(());
            }
            if self.poll_timer(cx).is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn send(&mut self, request: Request) {
        self.sending = Some(Sending {
            id: request.id,
            sent_at: request.sent_at,
            operation: call::operation(&request.call),
            answer: call::call(self.store.clone(), request.call),
        });
    }

    /// Takes the store's answer when it is there. A request that the election has given up counts as
    /// an error.
    fn poll_answer(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), StoreError>> {
        let Some(sending) = &mut self.sending else {
            return Poll::Pending;
        };
        let asked = self.election.in_flight().map(|(id, _)| id);
        if asked != Some(sending.id) {
            let operation = sending.operation;
            self.sending = None;
            let (kind, text) = (StoreErrorKind::Unknown, "no answer within the time limit");
            let error = StoreError::new(kind, self.store.kind(), operation, text);
            return Poll::Ready(Err(error));
        }
        let answer = ready!(sending.answer.as_mut().poll(cx));
        let (id, sent_at) = (sending.id, sending.sent_at);
        self.sending = None;
        let now = self.clock.now();
        let sent_at = if mutant!(ReplyTimeForSent) {
            now
        } else {
            sent_at
        };
        let (reply, result) = match answer {
            Ok(Answer { reply, record }) => {
                self.health.succeeded(self.election.config(), now);
                self.outlook.saw(&reply, record, now);
                (reply, Ok(()))
            }
            Err(error) if error.kind().may_have_been_applied() => (Reply::Unknown, Err(error)),
            Err(error) if mutant!(ErrorTakenForRenewal) => (Reply::Renewed, Err(error)),
            Err(error) => (Reply::Failed, Err(error)),
        };
        self.election.handle_reply(id, sent_at, reply, now);
        if result.is_ok() {
            let resource = &self.election.config().resource;
            self.hints.listen(&*self.store, resource);
        }
        Poll::Ready(result)
    }

    /// Waits for the next moment at which something is due; ready when it is.
    fn poll_timer(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        let now = self.clock.now();
        let warning = self.loneliness.warn_at();
        let look = self.next_look(now);
        let due = self.election.poll_timeout();
        let next = [due, warning, look].into_iter().flatten().min();
        let Some(next) = next else {
            self.timer = None;
            return Poll::Pending;
        };
        let at = || Instant::now() + now.until(next);
        match &mut self.timer {
            Some((armed, _)) if *armed == next => {}
            Some((armed, sleep)) => {
                *armed = next;
                sleep.as_mut().reset(at());
            }
            None if mutant!(TimerNotRearmed) && self.restarts > 0 => return Poll::Pending,
            None => self.timer = Some((next, Box::pin(sleep_until(at())))),
        }
        let (_, sleep) = self.timer.as_mut().expect("armed just now");
        let ready = sleep.as_mut().poll(cx);
        if ready.is_ready() {
            self.timer = None;
        }
        ready
    }

    /// When to look whether those who owe an acknowledgement are alive: an actor that dies does not
    /// always let go of the answer that it owes.
    fn next_look(&mut self, now: Moment) -> Option<Moment> {
        let every = self.config().timing.poll_every();
        let pending = self.subscribers.unacknowledged() > 0;
        let at = self.look_at.unwrap_or(now + every);
        self.look_at = pending.then_some(at);
        self.look_at
    }

    fn look(&mut self) {
        let now = self.clock.now();
        if self.look_at.take_if(|at| *at <= now).is_some() {
            self.subscribers.prune(true);
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
        self.journal
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
                        Journal::became_leader(self.config(), leadership.token());
                        self.subscribers.became_leader(&leadership, &lock);
                        let (config, now) = (self.election.config(), self.clock.now());
                        self.outlook.acquired(config, leadership.token(), now);
                    }
                    Transition::BecameFollower { token, reason } => {
                        let leader = self.outlook.leader(Some(token), self.clock.now());
                        Journal::became_follower(self.config(), token, &reason, leader.as_ref());
                        self.subscribers
                            .became_follower(reason, leader.as_ref(), &lock);
                    }
                }
            }
            if let Some(leadership) = self.election.leadership() {
                self.subscribers.tell_leadership(leadership, &lock);
            }
            self.subscribers.prune(false);
            self.outlook.prune();
            let audience = self.subscribers.audience();
            self.election.observe(self.outlook.is_observed());
            self.election
                .subscribers_changed(audience, self.clock.now());
            if !self.election.has_transitions() {
                break;
            }
        }
        self.pulse.beat(self.election.confirmed_at());
        self.write_down();
        let lonely = self.subscribers.len() == 0 && !self.outlook.is_observed();
        let lonely = lonely && !self.election.is_shut_down();
        self.loneliness
            .look(lonely, self.election.config(), self.clock.now());
        if self.election.is_settled() {
            self.answer();
        }
        if self.election.is_shut_down() {
            self.address = None;
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
            jump::watch(lock);
        }
        if self.address.is_some() {
            ctx.spawn(Drive);
        }
    }
}

impl Supervised for LockActor {
    fn restarting(&mut self, _: &mut Context<Self>) {
        self.restarts += 1;
        self.timer = None;
        self.hints.stop();
        self.subscribers.restarted();
        if mutant!(RestartForgetsAnswers) {
            self.waiting.clear();
        }
        // A request that is dropped may have been applied.
        self.sending = None;
        if let Some((id, sent_at)) = self.election.in_flight() {
            self.election
                .handle_reply(id, sent_at, Reply::Unknown, self.clock.now());
        }
    }
}
