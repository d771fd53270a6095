//! What a lock writes to `tracing`: stable names and fields, one event per change.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt,
    future::IntoFuture as _,
    sync::{Arc, Mutex, Once},
};

use actix::Actor as _;
use tenure::{
    LeaderCallbacks, Leadership, LeaseStore as _, LockManager, Reason,
    store::{EvictionMode, StoreErrorKind},
    testing::{Fault, TokioClock},
};
use tracing::{
    Event as TracingEvent, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context, prelude::*};

use crate::support::*;

type Fields = BTreeMap<String, String>;

#[derive(Clone, Default)]
struct Journal(Arc<Mutex<Vec<(String, Level, Fields)>>>);

impl Journal {
    fn named(&self, name: &str) -> Vec<Fields> {
        let events = self.0.lock().unwrap();
        let named = events.iter().filter(|(found, _, _)| found == name);
        named.map(|(_, _, fields)| fields.clone()).collect()
    }

    fn warnings(&self) -> Vec<String> {
        let events = self.0.lock().unwrap();
        let warnings = events.iter().filter(|(_, level, _)| *level <= Level::WARN);
        warnings.map(|(name, _, _)| name.clone()).collect()
    }
}

struct Reader<'a>(&'a mut Fields);

impl Visit for Reader<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

thread_local! {
    /// The journal of the test that runs on this thread.
    static OPEN: RefCell<Option<Journal>> = const { RefCell::new(None) };
}

/// Writes each event to the journal of its thread. One for the whole program: a subscriber that comes and
/// goes with a test may miss events that another test was the first to reach at that moment.
struct Scribe;

impl<S: Subscriber> Layer<S> for Scribe {
    fn on_event(&self, event: &TracingEvent<'_>, _: Context<'_, S>) {
        let Some(journal) = OPEN.with_borrow(Clone::clone) else {
            return;
        };
        let mut fields = Fields::new();
        event.record(&mut Reader(&mut fields));
        let metadata = event.metadata();
        fields.insert("target".to_owned(), metadata.target().to_owned());
        if metadata.name().starts_with("tenure.") {
            let entry = (metadata.name().to_owned(), *metadata.level(), fields);
            journal.0.lock().unwrap().push(entry);
        }
    }
}

/// A journal of what this thread says from now on; every test has a thread of its own.
fn journal() -> Journal {
    static SCRIBE: Once = Once::new();
    SCRIBE.call_once(|| {
        tracing_subscriber::registry().with(Scribe).init();
    });
    let journal = Journal::default();
    OPEN.set(Some(journal.clone()));
    journal
}

#[test]
fn each_transition_is_one_event_with_its_token_and_reason() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let (lock, _recorder) = lab.leader().await;
        sleep(8.0).await;
        lock.shutdown().await.unwrap();
    });
    let became_leader = journal.named("tenure.became_leader");
    assert_eq!(became_leader.len(), 1);
    let field = |fields: &Fields, name: &str| fields.get(name).cloned().unwrap_or_default();
    for (name, value) in [("resource", "r"), ("candidate", "me"), ("token", "1")] {
        assert_eq!(field(&became_leader[0], name), value);
    }
    let became_follower = journal.named("tenure.became_follower");
    assert_eq!(became_follower.len(), 1);
    assert_eq!(field(&became_follower[0], "reason"), "shut down");
    let extended = journal.named("tenure.lease_extended");
    assert_eq!(extended.len(), 3, "the grant and two renewals");
    let number = |fields: &Fields, name: &str| field(fields, name).parse::<u64>().unwrap();
    for fields in &extended {
        // ttl − margin, counted from the sending.
        assert_eq!(
            number(fields, "deadline") - number(fields, "at"),
            9_000_000_000
        );
    }
    let ended = journal.named("tenure.lease_ended");
    assert_eq!(ended.len(), 1);
    assert!(number(&ended[0], "at") < number(&extended[2], "deadline"));
    assert!(journal.warnings().is_empty(), "{:?}", journal.warnings());
}

#[test]
fn an_outage_is_logged_once_when_it_begins_and_once_when_it_ends() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let (lock, _recorder) = lab.leader().await;
        lab.store.always(Fault::Error(StoreErrorKind::Unavailable));
        sleep(60.0).await;
        assert!(lock.status().await.unwrap().store.failures > 20);
        let told = ["tenure.store_failing", "tenure.became_follower"];
        assert_eq!(journal.warnings(), told);
        lab.store.always(Fault::Error(StoreErrorKind::Denied));
        sleep(50.0).await;
        assert_eq!(journal.warnings().len(), 3, "it fails in another way");
        lab.store.always(None);
        sleep(5.0).await;
    });
    let failing = journal.named("tenure.store_failing");
    assert_eq!(
        failing[0]["error"],
        "memory renew: unavailable: injected fault"
    );
    let recovered = journal.named("tenure.store_recovered");
    assert_eq!(recovered.len(), 1);
    assert!(recovered[0]["failures"].parse::<u32>().unwrap() > 40);
}

/// Each has the name in a field, too, and one target.
#[test]
fn every_event_has_its_name_in_a_field_and_the_target_tenure() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let (lock, _recorder) = lab.leader().await;
        lab.store.always(Fault::Error(StoreErrorKind::Unavailable));
        sleep(20.0).await;
        lab.store.always(None);
        sleep(20.0).await;
        lock.shutdown().await.unwrap();
    });
    let events = journal.0.lock().unwrap();
    assert!(events.len() > 6);
    for (name, _, fields) in &*events {
        assert_eq!(
            (&fields["event"], &fields["target"]),
            (name, &"tenure".to_owned())
        );
    }
}

#[test]
fn an_outage_is_logged_every_minute_for_all_locks_of_a_store_together() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let store: Arc<dyn tenure::LeaseStore> = Arc::new(lab.store.clone());
        let locks: Vec<_> = (0..100)
            .map(|number| {
                let lock = lab.lock_on(store.clone(), &format!("r/{number}"));
                let lock = lock.start_on_current_runtime().unwrap();
                let recorder = Recorder::follow(&lock, &Log::new());
                (lock, recorder)
            })
            .collect();
        sleep(5.0).await;
        lab.store.always(Fault::Error(StoreErrorKind::Unavailable));
        sleep(60.0).await;
        let count = |name: &str| journal.named(name).len();
        assert_eq!(count("tenure.store_failing"), 1);
        assert_eq!(count("tenure.store_still_failing"), 0);
        sleep(10.0).await;
        // One of them asks no more, and counts no more.
        locks[0].0.pause().await.unwrap();
        sleep(170.0).await;
        let reminders = journal.named("tenure.store_still_failing");
        assert_eq!(reminders.len(), 3);
        assert_eq!(
            (&*reminders[0]["locks"], &*reminders[2]["locks"]),
            ("100", "99")
        );
        assert!(
            reminders[1]["failing_for"].starts_with("2 min"),
            "{reminders:?}"
        );
        lab.store.always(None);
        sleep(30.0).await;
        assert_eq!(count("tenure.store_recovered"), 1);
        assert_eq!(count("tenure.store_failing"), 1);
        // Another outage is another story.
        lab.store.always(Fault::Error(StoreErrorKind::Unavailable));
        sleep(10.0).await;
        assert_eq!(count("tenure.store_failing"), 2);
    });
}

#[test]
fn a_follower_logs_each_leader_once() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let rival = lab.healthy("rival").start_on_current_runtime().unwrap();
        let _rival = Recorder::follow(&rival, &Log::new());
        sleep(1.0).await;
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let _recorder = Recorder::follow(&lock, &lab.log);
        sleep(30.0).await;
        // What is seen lapses in an outage, and is seen again.
        lab.store.always(Fault::Error(StoreErrorKind::Unavailable));
        sleep(30.0).await;
        lab.store.always(None);
        sleep(30.0).await;
    });
    let following = journal.named("tenure.following");
    assert_eq!(following.len(), 1, "{following:?}");
    assert_eq!(following[0]["leader"], "rival");
    assert_eq!(
        (&*following[0]["candidate"], &*following[0]["token"]),
        ("me", "1")
    );
}

#[test]
fn an_involuntary_end_is_logged_as_a_warning() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let (lock, _recorder) = lab.leader().await;
        lock.step_down_for(secs(1.0)).await.unwrap();
        sleep(5.0).await;
        assert!(lock.is_leader());
        assert!(journal.warnings().is_empty(), "it was asked to");
        let (resource, token) = ("r".parse().unwrap(), lab.token().await);
        lab.memory
            .evict(&resource, token, EvictionMode::Close, secs(1.0))
            .await
            .unwrap();
        sleep(5.0).await;
    });
    assert_eq!(journal.warnings(), ["tenure.became_follower"]);
    let ends = journal.named("tenure.became_follower");
    assert_eq!(ends.last().unwrap()["reason"], "evicted");
}

#[test]
fn a_guard_logs_its_acquisition_and_its_loss() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let store = Arc::new(lab.store.clone());
        let locks = LockManager::builder(store).ttl(secs(10.0));
        let locks = locks.clock(Arc::new(TokioClock::new()));
        let mutex = locks
            .build_on_current_runtime()
            .unwrap()
            .mutex("m")
            .unwrap();
        mutex.guard().await.unwrap().release().await.unwrap();
        assert!(journal.warnings().is_empty());
        let guard = mutex.guard().await.unwrap();
        lab.store.always(Fault::Hang);
        assert_eq!(guard.lost().await, Reason::StoreLost);
    });
    assert_eq!(journal.named("tenure.lock_acquired").len(), 2);
    let lost = journal.named("tenure.lock_lost");
    assert_eq!(lost.len(), 1);
    assert_eq!((&*lost[0]["resource"], &*lost[0]["token"]), ("m", "2"));
}

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
    assert!(slow["actor"].ends_with("events::Slow"), "{slow:?}");
    assert_eq!(journal.named(told[1])[0]["waiting_for"], "10 s");
}

/// Never gets over it that it follows.
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
fn a_lock_logs_where_it_contends_and_that_its_lease_was_released() {
    let journal = journal();
    paused(async {
        let lab = Lab::new();
        let lock = lab.lock("me").start_on_current_runtime().unwrap();
        let _follower = Recorder::follow(&lock, &lab.log);
        lab.log.wait(2).await;
        lock.shutdown().await.unwrap();
    });
    let started = &journal.named("tenure.lock_started")[0];
    assert_eq!(
        (&*started["store"], &*started["location"]),
        ("memory", "memory")
    );
    assert_eq!(journal.named("tenure.lease_released").len(), 1);
    assert!(journal.warnings().is_empty());
}
