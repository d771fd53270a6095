//! What the log says of subscribers that do not acknowledge, and of locks that have none.

use std::future::IntoFuture as _;

use actix::Actor as _;
use tenure::{
    LeaderCallbacks, Leadership, LeaseStore as _, Reason, actor::StepDownOutcome,
    store::EvictionMode, testing::WatchFault,
};

use super::journal::journal;
use crate::support::*;

#[test]
fn a_subscriber_that_does_not_acknowledge_is_warned_of_until_the_lock_does_not_contend() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let mut stuck = Recorder::new(&lock, &lab.log);
        stuck.stopping_takes = None;
        let _stuck = stuck.start();
        let _other = Recorder::follow(&lock, &Log::new());
        lab.log.wait(2).await;
        sleep(60.0).await;
        assert!(journal.warnings().is_empty(), "it leads");
        let stepping_down = actix::spawn({
            let lock = lock.clone();
            async move { lock.step_down().await }
        });
        // yield_for is one ttl: 10 s.
        sleep(2.4).await;
        assert!(journal.warnings().is_empty());
        sleep(0.2).await;
        assert_eq!(journal.warnings(), ["tenure.subscriber_slow"]);
        sleep(7.3).await;
        assert_eq!(journal.warnings().len(), 1);
        sleep(0.2).await;
        let given_up = ["tenure.subscriber_given_up", "tenure.lease_left_to_expire"];
        assert_eq!(journal.warnings()[1..], given_up);
        stepping_down.await.unwrap().unwrap();
        sleep(9.8).await;
        assert_eq!(journal.warnings().len(), 3);
        sleep(0.2).await;
        assert_eq!(journal.warnings()[3..], ["tenure.not_contending"]);
        sleep(3600.0).await;
        assert_eq!(journal.warnings().len(), 4, "each once");
    });
    let slow = &journal.named("tenure.subscriber_slow")[0];
    assert!(slow["actor"].ends_with("Recorder"), "{slow:?}");
    assert_eq!(slow["awaits"], "BecameFollower");
    assert_eq!(
        (&*slow["waiting_for"], &*slow["subscribers"]),
        ("2.5 s", "1")
    );
    let idle = &journal.named("tenure.not_contending")[0];
    assert_eq!(idle["waiting_for"], "20 s");
}

#[test]
fn a_became_leader_handler_that_outlives_the_leadership_is_named_in_the_log() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let mut stuck = Recorder::new(&lock, &lab.log);
        stuck.leading_takes = Some(secs(100.0));
        let _stuck = stuck.start();
        lab.log.wait(2).await;
        sleep(60.0).await;
        assert!(journal.warnings().is_empty(), "it may work while it leads");
        lock.step_down_for(secs(0.0)).await.unwrap();
        sleep(100.0).await;
    });
    let told = [
        "tenure.subscriber_slow",
        "tenure.subscriber_given_up",
        "tenure.lease_left_to_expire",
        "tenure.not_contending",
    ];
    assert_eq!(journal.warnings(), told);
    assert_eq!(journal.named(told[0])[0]["awaits"], "BecameLeader");
    assert_eq!(
        journal.named("tenure.became_leader").len(),
        2,
        "it contends again"
    );
}

#[test]
fn a_subscriber_that_does_not_acknowledge_its_first_message_is_warned_of() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let builder = lab.lock("me");
        let follow = builder.follow(Slow).on_current_runtime().start().unwrap();
        let lock = follow.handle().clone();
        let task = actix::spawn(follow.into_future());
        sleep(300.0).await;
        lock.pause().await.unwrap();
        task.abort();
    });
    let told = ["tenure.subscriber_slow", "tenure.not_contending"];
    assert_eq!(journal.warnings(), told);
    let slow = &journal.named(told[0])[0];
    assert!(
        slow["actor"].ends_with("slow_subscribers::Slow"),
        "{slow:?}"
    );
    assert_eq!(journal.named(told[1])[0]["waiting_for"], "10 s");
}

/// Does not return from `became_follower`.
struct Slow;

#[async_trait::async_trait]
impl LeaderCallbacks for Slow {
    async fn became_leader(&mut self, _: Leadership) {}
    async fn became_follower(&mut self, _: Reason) {
        std::future::pending::<()>().await;
    }
}

#[test]
fn a_lock_without_subscribers_logs_one_warning() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        drop(Plain::start_with(&lock, &lab.log));
        sleep(60.0).await;
    });
    assert_eq!(journal.warnings(), ["tenure.no_subscriber"]);
}

#[test]
fn a_command_after_the_lease_was_left_to_expire_does_not_warn_again() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let mut stuck = Recorder::new(&lock, &lab.log);
        stuck.stopping_takes = None;
        let _stuck = stuck.start();
        lab.log.wait(2).await;
        assert_eq!(lock.pause().await, Ok(StepDownOutcome::LeftToExpire));
        for _ in 0..2 {
            assert_eq!(lock.pause().await, Ok(StepDownOutcome::NotLeading));
        }
        // Two ttls.
        sleep(20.0).await;
        for _ in 0..2 {
            assert_eq!(lock.shutdown().await, Ok(StepDownOutcome::NotLeading));
        }
    });
    assert_eq!(journal.named("tenure.lease_left_to_expire").len(), 1);
}

#[test]
fn a_step_down_of_a_deposed_leader_does_not_say_that_nobody_else_leads() {
    for stopping_takes in [Some(secs(5.0)), None] {
        let journal = journal();
        paused(async {
            let lab = Lab::new();
            // Otherwise it would hear of the eviction before the rival leads.
            lab.store.watch_fault(WatchFault::Deaf);
            let lock = lab.lock("me").start_on_current_runtime().unwrap();
            let mut slow = Recorder::new(&lock, &lab.log);
            slow.stopping_takes = stopping_takes;
            let _slow = slow.start();
            lab.log.wait(2).await;
            let rival = lab.healthy("rival").start_on_current_runtime().unwrap();
            let other = Log::new();
            let _rival = Recorder::follow(&rival, &other);
            other.wait(1).await;
            let (resource, token) = ("r".parse().unwrap(), lab.token().await);
            lab.memory
                .evict(&resource, token, EvictionMode::Force, secs(1.0))
                .await
                .unwrap();
            lab.log.wait(3).await;
            let by = "rival".parse().unwrap();
            assert_eq!(lab.log.last().1, follower(Reason::Deposed { by }));
            assert_eq!(lock.step_down().await, Ok(StepDownOutcome::NotLeading));
            assert!(rival.is_leader());
        });
        assert_eq!(journal.named("tenure.lease_left_to_expire").len(), 0);
    }
}
