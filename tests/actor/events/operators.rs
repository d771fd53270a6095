use std::sync::Arc;

use tenure::{Operator, testing::Fault};

use super::journal::journal;
use crate::support::*;

#[test]
fn a_pause_is_logged_when_it_is_first_seen_and_when_it_ends() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let (_lock, _recorder) = lab.leader().await;
        let operator = Operator::new(Arc::new(lab.memory.clone())).on_current_runtime();
        operator.pause("r", "database upgrade").await.unwrap();
        sleep(60.0).await;
        operator.pause("r", "and another one").await.unwrap();
        sleep(60.0).await;
        assert_eq!(journal.named("tenure.resumed").len(), 0);
        operator.resume("r").await.unwrap();
        sleep(60.0).await;
    });
    let paused = journal.named("tenure.paused");
    assert_eq!(paused.len(), 1);
    assert_eq!(
        (&*paused[0]["note"], &*paused[0]["candidate"]),
        ("database upgrade", "me")
    );
    assert_eq!(journal.named("tenure.resumed").len(), 1);
    let follower = journal.named("tenure.became_follower");
    assert_eq!((follower.len(), &*follower[0]["reason"]), (1, "paused"));
    assert!(journal.warnings().is_empty(), "{:?}", journal.warnings());
}

#[test]
fn a_hand_over_is_logged_as_the_reason_of_the_end() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let (lock, _recorder) = lab.leader().await;
        let second = lab.healthy("second").start_on_current_runtime().unwrap();
        let _second = Recorder::follow(&second, &Log::new());
        sleep(1.0).await;
        lock.hand_over("second").await.unwrap();
    });
    let ends = journal.named("tenure.became_follower");
    assert_eq!(ends[0]["reason"], "handed over to second");
    assert!(journal.warnings().is_empty());
}

#[test]
fn two_processes_with_one_id_are_warned_of_once() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let (first, _recorder) = lab.leader().await;
        let second = lab.healthy("me").start_on_current_runtime().unwrap();
        let _second = Recorder::follow(&second, &Log::new());
        sleep(120.0).await;
        assert!(first.is_leader());
        let warned = journal.named("tenure.same_candidate_id");
        assert_eq!(warned.len(), 1);
        assert_eq!(warned[0]["token"], lab.token().await.to_string());
    });
    assert_eq!(journal.warnings(), ["tenure.same_candidate_id"]);
}

#[test]
fn a_restarted_process_a_lost_reply_and_a_lease_left_to_expire_are_not_warned_of() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let (first, recorder) = lab.leader().await;
        // It crashes: nothing renews its lease.
        lab.store.always(Fault::Hang);
        sleep(1.0).await;
        let log = Log::new();
        let restarted = lab.healthy("me").start_on_current_runtime().unwrap();
        let _restarted = Recorder::follow(&restarted, &log);
        sleep(20.0).await;
        assert!(restarted.is_leader());
        drop((first, recorder));
        restarted.shutdown().await.unwrap();
        // Two grants whose replies are lost.
        let lab = Lab::new();
        lab.store.script([Fault::LostReply, Fault::LostReply]);
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let mut stuck = Recorder::new(&lock, &lab.log);
        stuck.stopping_takes = Some(secs(15.0));
        let _stuck = actix::Actor::start(stuck);
        lab.log.wait(2).await;
        // Its work does not stop in time.
        lock.step_down_for(secs(0.0)).await.unwrap();
        sleep(60.0).await;
        assert!(lock.is_leader());
    });
    assert!(journal.named("tenure.same_candidate_id").is_empty());
}
