//! One of the processes that contend: an actor that reports each message of its lock to the supervisor.

use std::error::Error;

use actix::prelude::*;
use tenure::{
    BecameFollower, BecameLeader, Leader as _, LockActor, LockHandle, Timing,
    clock::{BootClock, Clock as _},
};
use tokio::time::timeout;

use crate::{
    args,
    capture::{self, Logged},
    children::commands,
    probe,
    protocol::{Command, Event},
    store_choice::StoreChoice,
};

/// Contends until it is asked to shut down, or the supervisor is gone.
pub(crate) fn run(node: &args::Node, timing: Timing) -> Result<(), Box<dyn Error>> {
    tracing::subscriber::set_global_default(capture::subscriber(|logged| {
        Event::Logged(logged).send();
    }))?;
    let mut commands = commands(Command::from_word)?;
    let store_choice = StoreChoice::passed(node.file.clone())?;
    System::new().block_on(async {
        let store = store_choice.open(&timing).await?;
        let lock = LockActor::builder(node.resource.as_str(), store)
            .candidate(node.name.as_str())
            .timing(timing)
            .start()?;
        let _actor = Node { lock: lock.clone() }.start();
        while let Some(Command::StepDown) = commands.recv().await {
            let outcome = format!("{:?}", lock.step_down().await?);
            Event::SteppedDown { outcome }.send();
        }
        // A store that hangs must not keep the process alive.
        timeout(timing.ttl() * 2, lock.shutdown()).await??;
        Ok(())
    })
}

struct Node {
    lock: LockHandle,
}

impl Actor for Node {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.subscribe(&self.lock, ctx);
    }
}

impl Handler<BecameLeader> for Node {
    type Result = ();

    fn handle(&mut self, message: BecameLeader, _: &mut Context<Self>) {
        let at = BootClock.now().as_nanos();
        let token = message.leadership.token().get();
        Event::Leads { token, at }.send();
        if let Err(error) = probe::start(message.leadership) {
            let text = format!("cannot start a thread to call is_current() from: {error}");
            Event::Logged(Logged::Warned { text }).send();
        }
    }
}

impl Handler<BecameFollower> for Node {
    type Result = ();

    fn handle(&mut self, message: BecameFollower, _: &mut Context<Self>) {
        let follows = Event::Follows {
            token: message.token.map(tenure::FencingToken::get),
            reason: message.reason.to_string(),
            at: BootClock.now().as_nanos(),
        };
        follows.send();
    }
}
