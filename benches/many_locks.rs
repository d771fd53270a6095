//! What many locks of one process cost: `cargo bench --bench many_locks`.
//!
//! Starts 10,000 lock actors on the memory store at a ttl of 15 s, each with a subscriber of its own,
//! and measures how long it takes until all lead, how many leaderships end in a minute, the memory and
//! the processor time, and how long the shutdown of all takes. Fails if a bound does not hold.
//! `MANY_LOCKS` and `MANY_LOCKS_SECONDS` set the number and the time, `MANY_LOCKS_STORE` the URL of another store.
//! Linux only.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints what it measured"
)]

mod common;

use std::{
    process::ExitCode,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use actix::prelude::*;
use common::{
    Counts, Worker,
    bounds::{judge, number},
    usage::{kibibytes, processor_time},
};
use futures::future::join_all;
use tenure::{LeaseStore, LockActor, MemoryStore, open_store, testing::FaultyStore};

#[actix::main]
async fn main() -> ExitCode {
    let locks = number("MANY_LOCKS", 10_000);
    let seconds = number("MANY_LOCKS_SECONDS", 60);
    // By default the memory of the process, otherwise a store of this URL, emptied before.
    let url = std::env::var("MANY_LOCKS_STORE");
    let has_server = url.as_ref().is_ok_and(|url| !url.starts_with("sqlite:"));
    let store: Arc<dyn LeaseStore> = match url {
        Ok(url) => open_store(&url).await.unwrap(),
        Err(_) => Arc::new(MemoryStore::new()),
    };
    store.prepare().await.unwrap();
    // It counts the requests.
    let store = FaultyStore::new(store);
    // One `Arc` for all: by it, the locks know that they share the store.
    let shared: Arc<dyn LeaseStore> = Arc::new(store.clone());
    let counts = Counts::default();

    let start = Instant::now();
    let mut started = Vec::with_capacity(locks);
    for index in 0..locks {
        let resource = format!("shard/{index}");
        let lock = LockActor::builder(resource, shared.clone())
            .start()
            .unwrap();
        let worker = Worker(counts.clone()).start();
        lock.subscribe(&worker);
        started.push((lock, worker));
    }
    while counts.leaders.load(Relaxed) < locks && start.elapsed() < Duration::from_secs(60) {
        actix::clock::sleep(Duration::from_millis(10)).await;
    }
    let all_lead = start.elapsed();

    // Two renewals later, the leases are renewed together.
    actix::clock::sleep(Duration::from_secs(10)).await;
    let sent = store.calls();
    let (before, wall) = (processor_time(), Instant::now());
    actix::clock::sleep(Duration::from_secs(seconds as u64)).await;
    let load = (processor_time() - before).as_secs_f64() / wall.elapsed().as_secs_f64();
    let ended = counts.ended.load(Relaxed);
    let calls = store.calls();
    let requests = calls.total() - sent.total();
    // `renew_every` is 5 s.
    let per_interval = requests as f64 / wall.elapsed().as_secs_f64() * 5.0;
    let memory = kibibytes("VmRSS:") / 1024.0;

    let stopping = Instant::now();
    join_all(started.iter().map(|(lock, _)| lock.shutdown())).await;
    let stopped = stopping.elapsed();

    println!("locks                       {locks}");
    println!(
        "all lead after              {:.2} s",
        all_lead.as_secs_f64()
    );
    println!("leaderships ended in {seconds} s   {ended}");
    println!("requests per renew_every    {per_interval:.1} ({calls:?})");
    println!("resident memory             {memory:.1} MiB");
    println!(
        "processor                   {:.1} % of a core",
        load * 100.0
    );
    println!("all shut down after         {:.2} s", stopped.as_secs_f64());

    // A server writes each lease for itself, which is not what this measures.
    let (prompt, within) = if has_server {
        (60, "all lead, and all shut down, within 60 s")
    } else {
        (5, "all lead, and all shut down, within 5 s")
    };
    let prompt = Duration::from_secs(prompt);
    judge([
        (all_lead < prompt && stopped < prompt, within),
        (ended == 0, "no leadership ends"),
        (
            memory <= 120e6 / 1024.0 / 1024.0,
            "resident memory of at most 120 MB",
        ),
        (load <= 0.10, "at most 10 % of a core"),
        (
            per_interval <= 20.0,
            "at most 20 requests per renewal interval",
        ),
    ])
}
