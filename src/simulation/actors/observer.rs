//! Actors that observe who leads, in processes that contend or not.

use std::time::Duration;

use actix::{Actor, ActorContext as _, Addr, AsyncContext as _, Context, Handler, Supervised};

use super::{
    plan::ObserverStimulus,
    world::{ObserverState, SharedWorld, World},
};
use crate::{
    actor::{LeaderChanged, LockActor, Observe},
    lease::LeaseRecord,
    simulation::{plan::NodePlan, properties::Property},
    timing::POLL_JITTER,
};

/// An actor that observes a lock.
pub(super) struct Observer {
    shared: SharedWorld,
    lock: Addr<LockActor>,
    /// Whether it restarts and observes again when it stops.
    supervised: bool,
    /// Its index in the world.
    index: usize,
}

impl Observer {
    pub(super) fn new(
        shared: &SharedWorld,
        life: usize,
        lock: &Addr<LockActor>,
        supervised: bool,
    ) -> Self {
        let world = &mut *shared.world();
        world.observers.push(ObserverState {
            life,
            alive: true,
            asked: 0,
            last: None,
        });
        Self {
            shared: shared.clone(),
            lock: lock.clone(),
            supervised,
            index: world.observers.len() - 1,
        }
    }

    fn observe(&self, ctx: &Context<Self>) {
        let world = &mut *self.shared.world();
        world.log(|| format!("observer {} observes", self.index));
        world.observers[self.index].asked += 1;
        self.lock.do_send(Observe::new(&ctx.address()));
    }
}

impl Actor for Observer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.observe(ctx);
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        self.shared.world().observers[self.index].alive = self.supervised;
    }
}

impl Supervised for Observer {}

impl Drop for Observer {
    fn drop(&mut self) {
        // Also when its last address is dropped.
        self.shared.world().observers[self.index].alive = false;
    }
}

impl Handler<LeaderChanged> for Observer {
    type Result = ();

    fn handle(&mut self, message: LeaderChanged, _: &mut Context<Self>) {
        self.shared
            .world()
            .received_leader_changed(self.index, &message.record);
    }
}

impl Handler<ObserverStimulus> for Observer {
    type Result = ();

    fn handle(&mut self, stimulus: ObserverStimulus, ctx: &mut Context<Self>) {
        match stimulus {
            ObserverStimulus::Stop => ctx.stop(),
            ObserverStimulus::Observe => self.observe(ctx),
        }
    }
}

impl World {
    /// Checks a change that an observer gets: no older acquisition after a newer one, each change once, and no
    /// leader that the store did not have.
    fn received_leader_changed(&mut self, index: usize, record: &LeaseRecord) {
        let (token, holder) = (record.token, record.holder.clone());
        let holder = holder.filter(|_| record.is_held());
        self.log(|| format!("observer {index} is told of token {token}, {holder:?}"));
        self.counts.count("leader changed");
        let acquired = self.acquired.get(&token.get());
        let invented = holder
            .as_ref()
            .filter(|holder| acquired.is_none_or(|acquired| !acquired.contains(holder)));
        let invented = invented.map(|holder| format!("{holder} never had token {token}"));
        let seen = &mut self.observers[index];
        let told = (token, holder);
        let wrong = match seen.last.replace(told.clone()) {
            Some((last, _)) if token < last => Some(format!("token {token} after {last}")),
            Some(last) if last == told && seen.asked == 0 => Some(format!("{told:?} twice")),
            Some(last) => {
                seen.asked -= u64::from(last == told);
                invented
            }
            None => invented,
        };
        if let Some(wrong) = wrong {
            self.fail(Property::Order, format!("observer {index}: {wrong}"));
        }
    }

    /// The longest time from when there is a leader until every observer knows it: two polls with their jitter
    /// and two calls, on the slowest clock. The first poll is that of a lock that has just bid and only reads
    /// from now on; the second is its read.
    pub(super) fn bound_to_know(&self) -> Duration {
        let looks = |node: &NodePlan| {
            let poll = node.timing.poll_every().mul_f64(1.0 + POLL_JITTER);
            (poll + node.timing.call_timeout()) * 2
        };
        let plan = &self.plan.base;
        plan.on_the_slowest_clock(plan.longest(looks))
    }

    /// Checks that the observers of these locks know who leads.
    pub(super) fn check_known(&mut self, lives: &[usize]) {
        let Some((_, leads)) = self.leaders().pop() else {
            return;
        };
        let all = self.observers.iter().enumerate();
        let mut all = all.filter(|(_, seen)| seen.alive && lives.contains(&seen.life));
        let wrong = all.find(|(_, seen)| match &seen.last {
            Some((token, holder)) => *token != leads || holder.is_none(),
            None => true,
        });
        if let Some((index, seen)) = wrong {
            let text = format!("observer {index} knows of {:?}, not of {leads}", seen.last);
            self.fail(Property::ObserversKnow, text);
        }
    }
}
