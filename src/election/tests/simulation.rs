//! Whole elections in virtual time: 2–7 candidates, one linearizable register, and everything that
//! can go wrong between them. A run is a seed.
//!
//! `TENURE_SIM_SEED=n` runs one seed and prints its timeline; `TENURE_SIM_SEEDS=n` sets how many run.

mod counts;
mod nemesis;
mod network;
mod node;
mod world;

use std::{env, panic, time::Instant};

use counts::Counts;
use world::World;

fn number(variable: &str) -> Option<u64> {
    env::var(variable)
        .ok()
        .map(|text| text.parse().expect("a number"))
}

#[test]
fn no_two_leaders_whatever_goes_wrong() {
    if let Some(seed) = number("TENURE_SIM_SEED") {
        let mut world = World::new(seed);
        world.trace = true;
        world.run();
        return;
    }
    let seeds = number("TENURE_SIM_SEEDS").unwrap_or(10_000);
    let start = Instant::now();
    let mut total = Counts::default();
    for seed in 0..seeds {
        let run = panic::catch_unwind(|| {
            let mut world = World::new(seed);
            world.run();
            world.counts
        });
        match run {
            Ok(counts) => total.add(&counts),
            Err(panic) => {
                eprintln!("\nfailed: run it alone with TENURE_SIM_SEED={seed}\n");
                panic::resume_unwind(panic);
            }
        }
    }
    eprintln!("{seeds} seeds in {:?}: {total:?}", start.elapsed());
    // A simulation in which nothing happens proves nothing.
    total.assert_everything_happened(seeds);
}

#[test]
fn a_seed_always_gives_the_same_run() {
    let run = || {
        let mut world = World::new(42);
        world.run();
        world.counts
    };
    assert_eq!(run(), run());
}
