//! One of the processes that contend. For each resource, an actor writes to the register while it leads, and
//! once after.

use std::{error::Error, sync::Arc, time::Duration};

use actix::prelude::*;
use rand::RngExt as _;
use tenure::{
    BecameFollower, BecameLeader, Leader as _, LeaseStore, LockActor, LockHandle, Timing,
    clock::{BootClock, Clock as _},
    open_store,
};
use tokio::time::{sleep, timeout};

use crate::{
    belief::{Belief, Watch},
    capture::{self, Logged},
    children::commands,
    outside_holder::hold_from_outside,
    protocol::{Command, Event, Fault, Orders, Outcome},
    register::{self, Register},
};

/// How long a node with the fault `undying` believes in an ended leadership.
const UNDYING: Duration = Duration::from_secs(2);

/// Contends until it is asked to shut down, or the supervisor is gone.
pub(crate) fn run(orders: Orders) -> Result<(), Box<dyn Error>> {
    tracing::subscriber::set_global_default(capture::subscriber(|logged| {
        Event::Logged(logged).send();
    }))?;
    let mut commands = commands(Command::from_line)?;
    System::new().block_on(async {
        let (store, register) = open(&orders.url).await;
        let watch = Watch::start()?;
        let mut locks = Vec::new();
        for contest in &orders.contests {
            let timing = Timing::builder().ttl(contest.ttl).build()?;
            let lock = LockActor::builder(contest.resource.as_str(), Arc::clone(&store))
                .candidate(orders.name.as_str())
                .timing(timing)
                .start()?;
            let writer = Writer {
                lock: lock.clone(),
                register: Arc::clone(&register),
                watch: watch.clone(),
                fault: orders.fault,
            };
            locks.push((lock, writer.start()));
        }
        if orders.fault == Some(Fault::Squatting) {
            for contest in orders.contests {
                actix::spawn(hold_from_outside(Arc::clone(&store), contest));
            }
        }
        while let Some(Command::StepDown { resource }) = commands.recv().await {
            let lock = locks
                .iter()
                .find(|(lock, _)| lock.resource().as_str() == resource);
            if let Some((lock, _)) = lock.cloned() {
                // Spawned, because it waits for the subscriber, and other commands may arrive meanwhile.
                actix::spawn(async move { lock.step_down().await });
            }
        }
        let shutdowns = locks.iter().map(|(lock, _)| {
            // A store that hangs must not keep the process alive.
            timeout(lock.timing().ttl() * 3, lock.shutdown())
        });
        for shutdown in futures::future::join_all(shutdowns).await {
            shutdown??;
        }
        Ok(())
    })
}

/// Opens the store, and retries: a fault may be active when a node starts.
async fn open(url: &str) -> (Arc<dyn LeaseStore>, Arc<dyn Register>) {
    loop {
        let opened = async {
            let store = open_store(url).await.map_err(|error| error.to_string())?;
            Ok::<_, String>((store, register::open(url).await?))
        };
        match opened.await {
            Ok(opened) => return opened,
            Err(text) => Event::Logged(Logged::Warned { text }).send(),
        }
        sleep(Duration::from_millis(100)).await;
    }
}

struct Writer {
    lock: LockHandle,
    register: Arc<dyn Register>,
    watch: Watch,
    fault: Option<Fault>,
}

impl Actor for Writer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.subscribe(&self.lock, ctx);
    }
}

impl Handler<BecameLeader> for Writer {
    type Result = ();

    fn handle(&mut self, BecameLeader { leadership }: BecameLeader, _: &mut Context<Self>) {
        let resource = leadership.resource().to_string();
        let token = leadership.token().get();
        let at = BootClock.now().as_nanos();
        Event::Leads {
            resource,
            token,
            at,
        }
        .send();
        let undying = match self.fault {
            Some(Fault::Undying) => UNDYING,
            _ => Duration::ZERO,
        };
        let belief = Belief::new(leadership, undying);
        self.watch.add(Arc::clone(&belief));
        let write = Write {
            belief,
            register: Arc::clone(&self.register),
            guarded: self.fault != Some(Fault::Unguarded),
            ttl: self.lock.timing().ttl(),
        };
        let write = Arc::new(write);
        actix::spawn(Arc::clone(&write).late());
        actix::spawn(write.while_it_leads());
        if self.fault == Some(Fault::Fickle) {
            let lock = self.lock.clone();
            actix::spawn(async move {
                sleep(lock.timing().ttl() * 2).await;
                lock.step_down().await
            });
        }
    }
}

impl Handler<BecameFollower> for Writer {
    type Result = ();

    fn handle(&mut self, message: BecameFollower, _: &mut Context<Self>) {
        let follows = Event::Follows {
            resource: message.resource.to_string(),
            token: message.token.map(tenure::FencingToken::get),
            reason: message.reason.to_string(),
            at: BootClock.now().as_nanos(),
        };
        follows.send();
    }
}

struct Write {
    belief: Arc<Belief>,
    register: Arc<dyn Register>,
    guarded: bool,
    ttl: Duration,
}

impl Write {
    async fn while_it_leads(self: Arc<Self>) {
        while self.belief.holds() {
            self.once().await;
            let pause = rand::rng().random_range(50..300);
            sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Checks that it leads, but writes only after the end, as if the process had been frozen in between.
    async fn late(self: Arc<Self>) {
        if !self.belief.holds() {
            return;
        }
        self.belief.leadership.lost().await;
        let held_up = self.ttl.mul_f64(rand::rng().random_range(0.0..1.5));
        sleep(held_up).await;
        self.once().await;
    }

    async fn once(&self) {
        let leadership = &self.belief.leadership;
        let now = BootClock.now().as_nanos();
        let believed = self.belief.holds().then_some(now);
        let write = self.register.write(leadership.lease(), self.guarded);
        let outcome = match timeout(self.ttl, write).await {
            Ok(Ok(true)) => Outcome::Applied,
            Ok(Ok(false)) => Outcome::Refused,
            Ok(Err(_)) | Err(_) => Outcome::Unknown,
        };
        let wrote = Event::Wrote {
            resource: leadership.resource().to_string(),
            token: leadership.token().get(),
            believed,
            outcome,
        };
        wrote.send();
    }
}
