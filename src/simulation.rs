//! Runs the library in virtual time: 2 to 7 candidates, a store, and faults of both and of the network.
//!
//! A seed determines a run. The code of the elections and of the client of a store without a clock is the real
//! code. The store is a model: one linearizable record. `TENURE_SIM_SEEDS=n` sets how many seeds run (1,000 by
//! default, 100,000 in release builds). `TENURE_SIM_SEED=n` runs one and prints its timeline.

mod actors;
mod candidate_checks;
mod counts;
mod event_handlers;
mod mutations;
mod nemesis;
mod network;
mod node;
mod operators;
mod plan;
mod properties;
mod shrink;
mod store;
mod table_port;
mod timings;
mod transport;
mod world;

use std::{
    env,
    panic::{self, AssertUnwindSafe},
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    thread,
    time::Instant,
};

use counts::Counts;
use plan::{Clocks, Plan};
use properties::{Property, Violation};
use shrink::shrink;
use world::World;

/// Runs a plan. A panic counts as a violation.
fn run(plan: &Plan, clocks: Clocks) -> Result<World, Violation> {
    let run = AssertUnwindSafe(|| {
        let mut world = World::new(plan, clocks);
        world.run().map(|()| world)
    });
    panic::catch_unwind(run).unwrap_or_else(|panic| {
        let text = crate::runtime::text_of(&*panic).clone();
        Err(Violation::new(Property::NoPanic, text))
    })
}

/// The timeline of a plan, up to its end or its violation.
fn timeline(plan: &Plan, clocks: Clocks) -> Vec<String> {
    let mut world = World::new(plan, clocks);
    world.trace = Some(Vec::new());
    let _ = panic::catch_unwind(AssertUnwindSafe(|| world.run()));
    world.trace.unwrap_or_default()
}

/// The number of seeds to run.
fn seeds() -> u64 {
    let default = if cfg!(debug_assertions) {
        1_000
    } else {
        100_000
    };
    number("TENURE_SIM_SEEDS").unwrap_or(default)
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable)
        .ok()
        .map(|text| text.parse().expect("a number"))
}

/// The counts of all seeds below a number, or the first seed that fails.
fn run_all(seeds: u64, clocks: Clocks) -> Result<(Counts, u64), (u64, Violation)> {
    let next = AtomicU64::new(0);
    let work = || {
        let (mut total, mut overlaps) = (Counts::default(), 0);
        loop {
            let seed = next.fetch_add(1, SeqCst);
            if seed >= seeds {
                return Ok((total, overlaps));
            }
            match run(&Plan::new(seed, clocks), clocks) {
                Ok(world) => {
                    total.add(&world.counts);
                    overlaps += world.overlaps;
                }
                Err(violation) => {
                    // No thread needs to start another seed.
                    next.store(seeds, SeqCst);
                    return Err((seed, violation));
                }
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let done = running
            .into_iter()
            .map(|thread| thread.join().expect("no panic"));
        let (mut total, mut overlaps) = (Counts::default(), 0);
        for done in done {
            let (counts, more) = done?;
            total.add(&counts);
            overlaps += more;
        }
        Ok((total, overlaps))
    })
}

/// The smallest plan found that violates the same property as this seed, and its timeline.
fn explain(seed: u64, violation: Violation, clocks: Clocks) -> String {
    let fails = |plan: &Plan| run(plan, clocks).err();
    let (plan, violation) = shrink(&Plan::new(seed, clocks), violation, fails);
    let timeline = timeline(&plan, clocks).join("\n");
    format!("seed {seed}, shrunk to\n{plan:#?}\n\n{timeline}\n\n{violation}\n")
}

const EXPECTED: [&str; 21] = [
    "elected",
    "renewed",
    "lost",
    "released",
    "late grant",
    "duplicate",
    "crash",
    "pause",
    "command",
    "eviction",
    "store down",
    "lost request",
    "lost reply",
    "unclean",
    "failover",
    "clock step",
    "guarded write",
    "stale write refused",
    "hand-over",
    "operator's pause",
    "purge",
];

#[test]
fn elections_violate_no_property_under_any_fault() {
    let clocks = Clocks::WithinMargin;
    if let Some(seed) = number("TENURE_SIM_SEED") {
        let plan = Plan::new(seed, clocks);
        eprintln!("{plan:#?}\n{}", timeline(&plan, clocks).join("\n"));
        if let Err(violation) = run(&plan, clocks) {
            panic!("{}", explain(seed, violation, clocks));
        }
        return;
    }
    let (seeds, start) = (seeds(), Instant::now());
    match run_all(seeds, clocks) {
        Ok((counts, _)) => {
            eprintln!("{seeds} seeds in {:?}: {counts:?}", start.elapsed());
            // Without these events, the simulation would prove nothing.
            counts.assert_happened(&EXPECTED, seeds);
        }
        Err((seed, violation)) => panic!("{}", explain(seed, violation, clocks)),
    }
}

#[test]
fn outside_the_margin_leaders_overlap_but_no_stale_write_is_applied() {
    // Some seeds have very many overlaps, most have none: fewer seeds would say nothing.
    let seeds = (seeds() / 5).max(600);
    match run_all(seeds, Clocks::Wild) {
        Ok((counts, overlaps)) => {
            eprintln!("{seeds} seeds: {overlaps} moments with two leaders, {counts:?}");
            assert!(overlaps > seeds, "hardly any overlap in {seeds} seeds");
        }
        Err((seed, violation)) => panic!("{}", explain(seed, violation, Clocks::Wild)),
    }
}

#[test]
fn a_seed_always_gives_the_same_run() {
    let plan = Plan::new(42, Clocks::WithinMargin);
    let run = || timeline(&plan, Clocks::WithinMargin);
    assert_eq!(run(), run());
}
