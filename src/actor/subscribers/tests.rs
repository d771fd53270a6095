use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use actix::{Actor, Addr, Context, Handler, System};

use crate::{
    MemoryStore, Timing,
    actor::{BecameFollower, BecameLeader, LockActor, LockHandle, StepDown, Subscribe},
    leadership::Reason,
    testing::TokioClock,
};

/// The messages that an actor was sent: `None` for `BecameLeader`, otherwise the reason of `BecameFollower`.
type Messages = Arc<Mutex<Vec<Option<Reason>>>>;

/// When it leads, it subscribes another actor and then ends the leadership.
struct StepsDown {
    lock: LockHandle,
    late: Addr<Recorder>,
}

impl Actor for StepsDown {
    type Context = Context<Self>;
}

impl Handler<BecameLeader> for StepsDown {
    type Result = ();
    fn handle(&mut self, _: BecameLeader, _: &mut Context<Self>) {
        let lock = self.lock.address();
        lock.do_send(Subscribe::new(&self.late));
        let hold_off = Some(Duration::from_secs(3600));
        lock.do_send(StepDown { hold_off });
    }
}

impl Handler<BecameFollower> for StepsDown {
    type Result = ();
    fn handle(&mut self, _: BecameFollower, _: &mut Context<Self>) {}
}

struct Recorder(Messages);

impl Actor for Recorder {
    type Context = Context<Self>;
}

impl Handler<BecameLeader> for Recorder {
    type Result = ();
    fn handle(&mut self, _: BecameLeader, _: &mut Context<Self>) {
        self.0.lock().unwrap().push(None);
    }
}

impl Handler<BecameFollower> for Recorder {
    type Result = ();
    fn handle(&mut self, message: BecameFollower, _: &mut Context<Self>) {
        self.0.lock().unwrap().push(Some(message.reason));
    }
}

#[test]
fn a_subscriber_whose_first_leadership_ends_before_it_is_sent_gets_not_elected() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap()
    };
    System::with_tokio_rt(runtime).block_on(async {
        let clock = Arc::new(TokioClock::new());
        let timing = Timing::builder().ttl(Duration::from_secs(10));
        let store = Arc::new(MemoryStore::with_clock(clock.clone()));
        let lock = LockActor::builder("r", store)
            .timing(timing.build().unwrap())
            .clock(clock)
            .batch_size(1)
            .start_on_current_runtime()
            .unwrap();
        let messages = Messages::default();
        let late = Recorder(messages.clone()).start();
        let leader = StepsDown {
            lock: lock.clone(),
            late: late.clone(),
        }
        .start();
        lock.subscribe(&leader);
        // While these are sent the leadership one by one, the late one waits for its turn.
        let others: Vec<_> = (0..10)
            .map(|_| Recorder(Messages::default()).start())
            .collect();
        for other in &others {
            lock.subscribe(other);
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(*messages.lock().unwrap(), [Some(Reason::NotElected)]);
        let status = lock.status().await.unwrap();
        assert_eq!((status.subscribers, status.unacknowledged), (12, 0));
    });
}
