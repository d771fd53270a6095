use std::{future::Future, panic};

use rand::RngExt as _;

use super::Wire;
use crate::{
    clock::Clock as _,
    lease::FencingToken,
    simulation::{actors::world::World, properties::Property},
    store::{Operation, StoreError, failure::RequestResult},
};

impl Wire {
    /// Records a request of the lock, and checks it.
    pub(super) async fn sends<T>(
        &self,
        operation: Operation,
        what: String,
        request: impl Future<Output = RequestResult<T>> + Send,
    ) -> Result<T, StoreError>
    where
        T: std::fmt::Debug,
    {
        self.begin(operation, what);
        let answer = request.await;
        self.log(|| format!("receives {answer:?}"));
        answer.map_err(|failure| failure.of("simulated", operation, "r"))
    }

    fn log(&self, text: impl FnOnce() -> String) {
        let mut world = self.shared.world();
        let node = world.lives[self.life].node;
        let life = self.life;
        world.log(|| format!("node{node} (life {life}) {}", text()));
    }

    fn begin(&self, operation: Operation, what: String) {
        self.log(|| format!("sends {what}"));
        let world = &mut *self.shared.world();
        world.check();
        let timing = world.timing(self.life);
        let most = 4.0 * timing.ttl().as_secs_f64();
        let least = timing.poll_every().min(timing.renew_every());
        // One more, because a request need not start at the beginning of a ttl.
        let most = (most / least.as_secs_f64()) as usize + 1;
        let (now, sent) = (self.clock.now(), &mut world.lives[self.life].sent);
        sent.push_back(now);
        while sent.front().is_some_and(|at| *at + timing.ttl() <= now) {
            sent.pop_front();
        }
        let sent = sent.len();
        if sent > most {
            let text = format!("{sent} requests in a ttl, at most {most}");
            world.fail(Property::Rate, text);
        }
        if !world.faults_stopped
            && world.plan.panics > 0.0
            && world.rng.random_bool(world.plan.panics)
        {
            world.counts.count("panic in the store");
            world.log(|| format!("the store panics in {operation}"));
            // Bypasses the panic hook: the panic is planned.
            panic::resume_unwind(Box::new("a panic on purpose"));
        }
    }
}

impl World {
    /// Checks that all known work under a lease has stopped before its release, and that the lease is no longer
    /// current.
    pub(super) fn check_release(&mut self, life: usize, token: FencingToken) {
        if !self.lives[life].term(token).told {
            return;
        }
        if self.lives[life].leads(token) {
            let text = format!("token {token} is released while it is current");
            self.fail(Property::Exclusion, text);
        }
        let unclean = self.lives[life].term(token).unclean;
        let mut seen = self.subscribers.iter().filter(|seen| seen.life == life);
        let works = seen.any(|seen| {
            let told = seen.told == Some(token) && seen.alive;
            told || seen.running.iter().any(|run| run.1 == Some(token))
        });
        if unclean || works {
            let text = format!("token {token} is released while work may run");
            self.fail(Property::Acknowledged, text);
        }
    }
}
