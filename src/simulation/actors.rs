//! The second layer of the simulation: the real lock actors, real subscribers and observers, in
//! processes that freeze and crash, in paused time.
//!
//! A seed determines a run, which stays on one thread. The store is the model of the first layer, behind a
//! [`LeaseStore`](crate::store::LeaseStore) that delays, loses, repeats and refuses requests.
//! `TENURE_SIM_ACTOR_SEEDS=n` sets how many seeds run, `TENURE_SIM_ACTOR_SEED=n` runs one and prints its
//! timeline. `TENURE_SIM_ACTOR_FROM=n` begins with another seed than 0.

mod delivery_checks;
mod faults;
mod mutations;
mod observer;
mod plan;
mod plan_runner;
mod process;
mod subscriber;
mod wire;
mod world;

use std::{
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    thread,
    time::Instant,
};

use actix::System;

use super::{counts::Counts, number, properties::Violation};
use plan::Plan;
use plan_runner::PlanRunner;
use world::SharedWorld;

/// The outcome of a run, and its timeline, if it is recorded.
struct RunReport {
    outcome: Result<(), Violation>,
    counts: Counts,
    timeline: Vec<String>,
}

fn run(plan: &Plan, traced: bool) -> RunReport {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let builder = builder.enable_all().start_paused(true);
        builder.build().expect("a runtime")
    };
    System::with_tokio_rt(runtime).block_on(async {
        let shared = SharedWorld::new(plan, traced);
        let outcome = PlanRunner::new(&shared, plan).run().await;
        let world = &mut *shared.world();
        RunReport {
            outcome,
            counts: std::mem::take(&mut world.counts),
            timeline: world.trace.take().unwrap_or_default(),
        }
    })
}

/// The counts of all seeds below a number, or the first seed that fails.
fn run_all(seeds: u64) -> Result<Counts, (u64, Violation)> {
    let next = AtomicU64::new(number("TENURE_SIM_ACTOR_FROM").unwrap_or(0));
    let work = || {
        let mut total = Counts::default();
        loop {
            let seed = next.fetch_add(1, SeqCst);
            if seed >= seeds {
                return Ok(total);
            }
            let run = run(&Plan::new(seed), false);
            total.add(&run.counts);
            if let Err(violation) = run.outcome {
                // No thread needs to start another seed.
                next.store(seeds, SeqCst);
                return Err((seed, violation));
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut total = Counts::default();
        for thread in running {
            total.add(&thread.join().expect("no panic")?);
        }
        Ok(total)
    })
}

/// The smallest plan found that violates the same property as this seed, and its timeline. It leaves out the
/// faults one by one, and then the random ones.
fn explain(seed: u64, mut violation: Violation) -> String {
    let mut best = Plan::new(seed);
    let mut attempt = |plan: Plan, best: &mut Plan| {
        let found = run(&plan, false).outcome.err();
        let found = found.filter(|found| found.property == violation.property);
        let fails = found.is_some();
        if let Some(found) = found {
            (*best, violation) = (plan, found);
        }
        fails
    };
    let mut at = 0;
    while at < best.troubles.len() {
        let mut plan = best.clone();
        plan.troubles.remove(at);
        if !attempt(plan, &mut best) {
            at += 1;
        }
    }
    for mend in [
        |plan: &mut Plan| plan.hints = false,
        |plan: &mut Plan| plan.observers.iter_mut().for_each(Vec::clear),
        |plan: &mut Plan| plan.panics = 0.0,
        |plan: &mut Plan| plan.base.network.late = 0.0,
        |plan: &mut Plan| plan.base.network.duplicates = 0.0,
        |plan: &mut Plan| plan.base.network.errors = 0.0,
        |plan: &mut Plan| plan.base.network.loss = 0.0,
    ] {
        let mut plan = best.clone();
        mend(&mut plan);
        attempt(plan, &mut best);
    }
    let timeline = run(&best, true).timeline.join("\n");
    format!("seed {seed}, shrunk to\n{best:#?}\n\n{timeline}\n\n{violation}\n")
}

/// The events that must happen in some of the seeds. A simulation without them would prove nothing.
const EXPECTED: [&str; 19] = [
    "elected",
    "renewed",
    "lost",
    "released",
    "restart",
    "duplicate",
    "crash",
    "freeze",
    "freeze beyond the ttl",
    "shutdown",
    "command",
    "eviction",
    "store down",
    "panic in the store",
    "subscriber died",
    "subscriber restarted",
    "unsubscribed",
    "unclean",
    "leader changed",
];

#[test]
fn lock_actors_violate_no_property_under_any_fault() {
    if let Some(seed) = number("TENURE_SIM_ACTOR_SEED") {
        let plan = Plan::new(seed);
        let run = run(&plan, true);
        eprintln!("{plan:#?}\n{}", run.timeline.join("\n"));
        if let Err(violation) = run.outcome {
            panic!("{}", explain(seed, violation));
        }
        return;
    }
    let seeds = number("TENURE_SIM_ACTOR_SEEDS").unwrap_or(300);
    let start = Instant::now();
    match run_all(seeds) {
        Ok(counts) => {
            eprintln!("{seeds} seeds in {:?}: {counts:?}", start.elapsed());
            let from = number("TENURE_SIM_ACTOR_FROM").unwrap_or(0);
            counts.assert_happened(&EXPECTED, seeds.saturating_sub(from));
        }
        Err((seed, violation)) => panic!("{}", explain(seed, violation)),
    }
}

#[test]
fn a_seed_always_gives_the_same_run_of_the_actors() {
    for seed in 0..30 {
        let run = || run(&Plan::new(seed), true).timeline;
        assert_eq!(run(), run(), "seed {seed}");
    }
}
