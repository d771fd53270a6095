//! What the benchmarks of many locks and of many subscribers share.

pub(crate) mod bounds;
#[allow(dead_code, reason = "not all benchmarks measure it")]
pub(crate) mod usage;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use actix::prelude::*;
use tenure::{BecameFollower, BecameLeader, Reason};

/// How many leaderships the workers were told of, and how many ends.
#[derive(Clone, Default)]
pub(crate) struct Counts {
    pub(crate) leaders: Arc<AtomicUsize>,
    pub(crate) ended: Arc<AtomicUsize>,
}

/// A subscriber that counts its messages.
pub(crate) struct Worker(pub(crate) Counts);

impl Actor for Worker {
    type Context = Context<Self>;
}

impl Handler<BecameLeader> for Worker {
    type Result = ();
    fn handle(&mut self, _: BecameLeader, _: &mut Context<Self>) {
        self.0.leaders.fetch_add(1, Relaxed);
    }
}

impl Handler<BecameFollower> for Worker {
    type Result = ();
    fn handle(&mut self, message: BecameFollower, _: &mut Context<Self>) {
        if message.reason != Reason::NotElected {
            self.0.ended.fetch_add(1, Relaxed);
        }
    }
}
