//! One actor that works while it leads, and stops cleanly on Ctrl-C.
//!
//! Run `cargo run --example hello_leader` in two terminals, then press Ctrl-C in the one that leads: the
//! other one leads. They share a file in the folder for temporary files.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, sync::Arc, time::Duration};

use actix::prelude::*;
use tenure::{
    BecameFollower, BecameLeader, Leader as _, LockActor, LockHandle, SqliteStore, Timing,
    shutdown_on_signal,
};

struct Greeter {
    lock: LockHandle,
    work: Option<SpawnHandle>,
}

impl Actor for Greeter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.subscribe(&self.lock, ctx);
    }
}

impl Handler<BecameLeader> for Greeter {
    type Result = ();

    fn handle(&mut self, BecameLeader { leadership }: BecameLeader, ctx: &mut Context<Self>) {
        println!("leading, token {}", leadership.token());
        let work = ctx.run_interval(Duration::from_secs(1), move |_, _| {
            // Ask before each step, and send the token along with every write.
            if leadership.is_current() {
                println!("hello from the leader, {:.1?} left", leadership.remaining());
            }
        });
        self.work = Some(work);
    }
}

impl Handler<BecameFollower> for Greeter {
    type Result = ();

    fn handle(&mut self, message: BecameFollower, ctx: &mut Context<Self>) {
        if let Some(work) = self.work.take() {
            ctx.cancel_future(work);
        }
        println!("following: {}", message.reason);
    }
}

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_env_filter("tenure=warn")
        .init();
    let path = std::env::temp_dir().join("tenure-hello.db");
    let store = Arc::new(SqliteStore::open(&path)?);
    let timing = Timing::builder().ttl(Duration::from_secs(5)).build()?;
    let lock = LockActor::builder("hello", store).timing(timing).start()?;
    println!(
        "candidate {}, contending in {}",
        lock.candidate(),
        path.display()
    );

    let greeter = Greeter {
        lock: lock.clone(),
        work: None,
    }
    .start();
    shutdown_on_signal([lock]).await?;
    println!("stopped");
    drop(greeter);
    Ok(())
}
