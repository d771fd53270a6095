//! What many subscribers of one lock cost the others: `cargo bench --bench many_subscribers`.
//!
//! Subscribes 10,000 actors to one lock on the memory store at a ttl of 1 s, beside 100 other locks with
//! a subscriber each, all on the same thread. Measures how long it takes until all are told that they
//! lead and, at a step-down, that they no longer do, how long another lock takes to answer meanwhile,
//! and how many of the other leaderships end. Fails if a bound does not hold.
//! `MANY_SUBSCRIBERS` sets the number.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints what it measured"
)]

mod common;

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use actix::prelude::*;
use common::{
    Counts, Worker,
    bounds::{judge, number},
};
use tenure::{LockActor, LockHandle, MemoryStore, Timing, actor::StepDownOutcome};

const OTHERS: usize = 100;

/// Waits until a count is reached, for at most a minute.
async fn reached(count: &AtomicUsize, wanted: usize) -> bool {
    let start = Instant::now();
    while count.load(Relaxed) < wanted && start.elapsed() < Duration::from_secs(60) {
        actix::clock::sleep(Duration::from_millis(1)).await;
    }
    count.load(Relaxed) >= wanted
}

/// How long a lock has taken to answer at the most, asked again and again from another thread.
fn probe(lock: LockHandle) -> std::thread::JoinHandle<Duration> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let mut longest = Duration::ZERO;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            let asked = Instant::now();
            runtime.block_on(lock.status()).unwrap();
            longest = longest.max(asked.elapsed());
            std::thread::sleep(Duration::from_millis(1));
        }
        longest
    })
}

#[actix::main]
async fn main() -> ExitCode {
    let subscribers = number("MANY_SUBSCRIBERS", 10_000);
    let store = Arc::new(MemoryStore::new());
    let timing = Timing::builder()
        .ttl(Duration::from_secs(1))
        .build()
        .unwrap();
    let start = |resource: String| {
        let builder = LockActor::builder(resource, store.clone()).timing(timing);
        builder.start().unwrap()
    };

    let other = Counts::default();
    let others: Vec<_> = (0..OTHERS)
        .map(|index| {
            let lock = start(format!("other/{index}"));
            let worker = Worker(other.clone()).start();
            lock.subscribe(&worker);
            (lock, worker)
        })
        .collect();
    assert!(reached(&other.leaders, OTHERS).await, "the others lead");
    let probe = probe(others[0].0.clone());

    let many = Counts::default();
    let lock = start("many".to_owned());
    let workers: Vec<_> = (0..subscribers)
        .map(|_| Worker(many.clone()).start())
        .collect();
    let subscribing = Instant::now();
    for worker in &workers {
        lock.subscribe(worker);
    }
    let led = reached(&many.leaders, subscribers).await;
    let told = subscribing.elapsed();

    actix::clock::sleep(Duration::from_secs(1)).await;
    let stepping = Instant::now();
    let stepping_down = lock.clone();
    let step_down = actix::spawn(async move {
        let outcome = stepping_down.step_down_for(Duration::ZERO).await.unwrap();
        (outcome, stepping.elapsed())
    });
    let ended = reached(&many.ended, subscribers).await;
    let told_of_end = stepping.elapsed();
    let (outcome, stepped_down) = step_down.await.unwrap();
    let led_again = reached(&many.leaders, 2 * subscribers).await;
    let told_again = stepping.elapsed();
    let longest = tokio::task::spawn_blocking(|| probe.join().unwrap());
    let longest = longest.await.unwrap();
    let lost = other.ended.load(Relaxed);

    let seconds = |time: Duration| time.as_secs_f64();
    println!("subscribers of one lock           {subscribers}, beside {OTHERS} other locks");
    println!("subscribed and told that they lead {:.3} s", seconds(told));
    println!(
        "told of the end                   {:.3} s",
        seconds(told_of_end)
    );
    println!(
        "stepped down ({outcome:?})           {:.3} s",
        seconds(stepped_down)
    );
    println!(
        "told of the next leadership       {:.3} s",
        seconds(told_again)
    );
    println!(
        "longest answer of another lock    {:.1} ms",
        seconds(longest) * 1000.0
    );
    println!("other leaderships ended           {lost}");

    judge([
        (led && ended && led_again, "all are told"),
        (told <= Duration::from_millis(500), "told within 0.5 s"),
        (
            told_of_end <= Duration::from_millis(500),
            "told of the end within 0.5 s",
        ),
        (outcome == StepDownOutcome::Released, "released"),
        (
            stepped_down <= Duration::from_secs(1),
            "stepped down within 1 s",
        ),
        (lost == 0, "no other leadership ends"),
    ])
}
