//! In a process of its own: it ends the thread that every lock of the process shares.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use actix::prelude::*;
use tenure::{LockActor, MemoryStore, Timing, start_actor};

struct SystemStopper;

impl Actor for SystemStopper {
    type Context = Context<Self>;
}

#[test]
fn an_actor_of_start_actor_that_stops_its_system_does_not_stop_the_locks() {
    let store = MemoryStore::new();
    let timing = Timing::builder()
        .ttl(Duration::from_secs_f64(0.6))
        .build()
        .unwrap();
    let lock = LockActor::builder("r", Arc::new(store))
        .timing(timing)
        .start()
        .unwrap();
    let _stops = start_actor(move |_| {
        System::current().stop();
        SystemStopper
    });
    std::thread::sleep(Duration::from_secs_f64(0.5));
    System::new().block_on(async {
        assert!(
            lock.status().await.is_ok(),
            "the thread of the locks is gone"
        );
    });
}
