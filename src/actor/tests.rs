use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use actix::{Actor, Context, Handler, System};

use super::{BecameFollower, BecameLeader, LockActor, messages::ClockJumped};
use crate::{
    Leadership, MemoryStore, Timing,
    clock::{Clock, Moment},
    testing::{ManualClock, TokioClock},
};

#[derive(Clone, Debug)]
struct SleepingClock {
    awake: TokioClock,
    slept: ManualClock,
}

impl Clock for SleepingClock {
    fn now(&self) -> Moment {
        Moment::from_nanos(self.awake.now().as_nanos() + self.slept.now().as_nanos())
    }
}

struct Follower(Arc<Mutex<Option<Leadership>>>);

impl Actor for Follower {
    type Context = Context<Self>;
}

impl Handler<BecameLeader> for Follower {
    type Result = ();
    fn handle(&mut self, message: BecameLeader, _: &mut Self::Context) {
        *self.0.lock().unwrap() = Some(message.leadership);
    }
}

impl Handler<BecameFollower> for Follower {
    type Result = ();
    fn handle(&mut self, _: BecameFollower, _: &mut Self::Context) {}
}

#[test]
fn renews_in_time_after_the_machine_has_slept() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap()
    };
    System::with_tokio_rt(runtime).block_on(async {
        let second = Duration::from_secs(1);
        let clock = Arc::new(SleepingClock {
            awake: TokioClock::new(),
            slept: ManualClock::new(),
        });
        let timing = Timing::builder()
            .ttl(second * 10)
            .renew_every(Duration::from_millis(8500))
            .call_timeout(Duration::from_millis(500))
            .build()
            .unwrap();
        let store = Arc::new(MemoryStore::with_clock(clock.clone()));
        let lock = LockActor::builder("r", store)
            .timing(timing)
            .clock(clock.clone())
            .start_on_current_runtime()
            .unwrap();
        let leadership = Arc::default();
        let follower = Follower(Arc::clone(&leadership)).start();
        lock.subscribe(&follower);
        tokio::time::sleep(second).await;
        let leadership = leadership.lock().unwrap().clone().unwrap();
        // The renewal is due 7.65 to 8.5 s after the grant, the deadline is at 9 s.
        clock.slept.advance(second * 6);
        lock.address().do_send(ClockJumped);
        tokio::time::sleep(second * 3).await;
        assert!(
            leadership.is_current(),
            "7 of 9 s had passed when the lock was woken; 3 s later it has not renewed"
        );
    });
}
