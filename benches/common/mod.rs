//! What the benchmarks of many locks and of many subscribers share.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
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

/// A number from an environment variable.
pub(crate) fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| {
        let number = text.parse();
        number.unwrap_or_else(|_| panic!("{variable} is no number: {text:?}"))
    })
}

/// Prints the bounds that do not hold. The exit status says whether all do.
pub(crate) fn judge<const N: usize>(bounds: [(bool, &str); N]) -> ExitCode {
    for (_, bound) in bounds.iter().filter(|(holds, _)| !holds) {
        println!("does not hold: {bound}");
    }
    ExitCode::from(u8::from(bounds.iter().any(|(holds, _)| !holds)))
}
