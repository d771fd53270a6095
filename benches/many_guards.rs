//! What many guards of one process cost: `cargo bench --bench many_guards`.
//!
//! Holds 1,000 guards with a ttl of 3 s, renewed every second, and prints the requests and the processor time of ten
//! seconds. `MANY_GUARDS` sets the number, `MANY_GUARDS_STORE` the URL of the store (default: a new SQLite file). Fails
//! if a bound does not hold. Linux only.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints what it measured"
)]

#[path = "common/bounds.rs"]
mod bounds;
#[path = "common/usage.rs"]
#[allow(dead_code, reason = "it does not measure the memory")]
mod usage;

use std::{env, error::Error, process::ExitCode, sync::Arc, time::Duration};

use bounds::{judge, number};
use tenure::{LockManager, Timing, open_store, testing::FaultyStore};
use usage::processor_time;

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let file = format!("sqlite:{}", folder.path().join("leases.db").display());
    let url = env::var("MANY_GUARDS_STORE").unwrap_or(file);
    let count = number("MANY_GUARDS", 1_000);
    let store = open_store(&url).await?;
    store.prepare().await?;
    // It counts the requests.
    let store = FaultyStore::new(store);
    let seconds = Duration::from_secs;
    let timing = Timing::builder().ttl(seconds(3)).renew_every(seconds(1));
    let locks = LockManager::builder(Arc::new(store.clone()))
        .owner("bench")
        .timing(timing)
        .build()?;
    let mut guards = Vec::with_capacity(count);
    for index in 0..count {
        guards.push(locks.mutex(format!("bench/guard-{index}"))?.guard().await?);
    }
    // Two renewals later, they are renewed together.
    tokio::time::sleep(seconds(3)).await;
    let (sent, used) = (store.calls(), processor_time());
    tokio::time::sleep(seconds(10)).await;
    let used = processor_time() - used;
    let requests = store.calls().total() - sent.total();
    let lost = guards.iter().filter(|guard| !guard.is_current()).count();
    for guard in guards {
        guard.release().await?;
    }
    let place = url.split(['?', '@']).next().unwrap_or_default();
    println!("{place}, {count} guards, ttl 3 s, 10 s");
    println!("requests        {requests}");
    println!("processor time  {used:?}");
    println!("lost            {lost}");
    Ok(judge([
        (requests <= 40, "at most 40 requests"),
        (
            used <= Duration::from_millis(100),
            "at most 100 ms of processor time",
        ),
        (lost == 0, "no guard is lost"),
    ]))
}
