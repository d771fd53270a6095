//! A leader that cannot do its work gives up.

use tenure::{
    Reason,
    actor::{ElectionState, IdleReason},
    lease::EndReason,
};

use crate::support::*;

#[test]
fn a_leader_that_resigns_stops_first_releases_and_then_holds_off() {
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let mut recorder = Recorder::new(&lock, &lab.log);
        recorder.stopping_takes = Some(secs(2.0));
        let _recorder = actix::Actor::start(recorder);
        lab.log.wait(2).await;
        let leadership = lab.log.leadership();
        // Any thread may do it, while the lock waits.
        std::thread::spawn(move || leadership.resign(secs(30.0)))
            .join()
            .unwrap();
        lab.log.wait(3).await;
        assert_eq!(lab.log.last().1, follower(Reason::Resigned));
        sleep(1.5).await;
        assert!(lab.record().await.is_held(), "the work has not stopped yet");
        sleep(1.0).await;
        let record = lab.record().await;
        let ended = record.history.last().unwrap().ended.clone().unwrap();
        assert_eq!((record.holder, ended.reason), (None, EndReason::Resigned));
        let state = lock.status().await.unwrap().state;
        let ElectionState::Idle(IdleReason::HeldOff { remaining }) = state else {
            panic!("{state}");
        };
        assert!(remaining > secs(29.0) && remaining <= secs(30.0));
        sleep(29.0).await;
        assert!(!lock.is_leader());
        sleep(2.0).await;
        assert!(lock.is_leader(), "it tries again");
    });
}

#[test]
fn another_candidate_leads_after_a_resignation_and_a_stale_handle_does_nothing() {
    paused(async {
        let lab = Lab::new();
        let (_lock, _recorder) = lab.leader().await;
        let other = Log::new();
        let rival = lab.healthy("rival").start_on_current_runtime().unwrap();
        let _rival = Recorder::follow(&rival, &other);
        sleep(1.0).await;
        let stale = lab.log.leadership();
        stale.resign(secs(5.0));
        sleep(3.0).await;
        assert!(rival.is_leader());
        rival.step_down_for(secs(5.0)).await.unwrap();
        sleep(3.0).await;
        let present = lab.log.leadership();
        assert!(present.is_current() && !stale.is_current());
        stale.resign(secs(60.0));
        sleep(3.0).await;
        assert!(present.is_current());
    });
}

/// Resigns in the handler of `BecameLeader`.
struct Broken(Log);

impl actix::Actor for Broken {
    type Context = actix::Context<Self>;
}

impl actix::Handler<tenure::BecameLeader> for Broken {
    type Result = ();
    fn handle(&mut self, message: tenure::BecameLeader, _: &mut Self::Context) {
        self.0.push(Event::Leader(0));
        message.leadership.resign(secs(10.0));
    }
}

impl actix::Handler<tenure::BecameFollower> for Broken {
    type Result = ();
    fn handle(&mut self, message: tenure::BecameFollower, _: &mut Self::Context) {
        self.0.push(Event::Follower(message.reason));
    }
}

#[test]
fn a_handler_that_resigns_each_time_waits_longer_each_time() {
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let broken = actix::Actor::start(Broken(lab.log.clone()));
        lock.subscribe(&broken);
        sleep(400.0).await;
        let led = lab.log.timed().into_iter();
        let led: Vec<_> = led
            .filter(|(_, event)| *event == Event::Leader(0))
            .map(|(at, _)| at)
            .collect();
        let gaps: Vec<_> = led.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.len() > 5, "{gaps:?}");
        let hold_offs = [10.0, 20.0, 40.0]
            .into_iter()
            .chain(std::iter::repeat(80.0));
        for (gap, hold_off) in gaps.iter().zip(hold_offs) {
            assert!((hold_off..hold_off + 3.0).contains(gap), "{gaps:?}");
        }
    });
}
