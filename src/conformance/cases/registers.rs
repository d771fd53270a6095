//! Cases about registers.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;

use super::{
    super::{
        operator::later,
        trial::{LIMIT, Trial, released},
    },
    watch::Watch,
};
use crate::{
    lease::{RegisterValue, ResourceName},
    store::{PutOutcome, Register, RegisterStore, StoreErrorKind, StoreEvent},
};

fn value(text: &str) -> RegisterValue {
    RegisterValue::new(text).expect("a text that is short enough")
}

/// The register of the trial's name, through some clients.
struct Registers {
    clients: Vec<Arc<dyn RegisterStore>>,
    name: ResourceName,
}

impl Registers {
    async fn new(t: &Trial) -> Self {
        let mut clients = Vec::new();
        for _ in 0..4 {
            let client = t.subject.registers().await;
            clients.push(client.expect("a client of the registers"));
        }
        let name = t.resource.clone();
        Self { clients, name }
    }

    fn named(&self, suffix: &str) -> ResourceName {
        ResourceName::new(format!("{}{suffix}", self.name)).expect("a good name")
    }

    /// What a second client reads.
    async fn get(&self, name: &ResourceName) -> Option<Register> {
        let found = self.clients[1].get(name, LIMIT).await;
        found.expect("an answer")
    }

    async fn put(&self, name: &ResourceName, expected: Option<u64>, text: &str) -> PutOutcome {
        let value = value(text);
        let put = self.clients[0].put(name, expected, &value, LIMIT);
        put.await.expect("an answer")
    }

    #[track_caller]
    fn stored(outcome: PutOutcome) -> u64 {
        match outcome {
            PutOutcome::Stored { version } => version,
            PutOutcome::Conflict(found) => panic!("not stored, but a conflict with {found:?}"),
        }
    }

    /// Writes the register twice, and checks what is there then.
    async fn second_version(&self) -> Register {
        Self::stored(self.put(&self.name, None, "one").await);
        Self::stored(self.put(&self.name, Some(1), "two").await);
        self.get(&self.name).await.expect("a register")
    }
}

pub(super) async fn a_register_that_was_never_written_is_absent(t: &Trial) {
    let r = Registers::new(t).await;
    assert_eq!(r.get(&r.name).await, None);
    let many = r.clients[1].get_many(&r.name.scope(), LIMIT).await;
    assert_eq!(many.expect("an answer"), []);
    for expected in [0, 1, u64::MAX] {
        let outcome = r.put(&r.name, Some(expected), "x").await;
        assert_eq!(outcome, PutOutcome::Conflict(None));
    }
    assert_eq!(r.get(&r.name).await, None);
}

pub(super) async fn the_version_of_a_register_begins_at_1_and_grows_by_1(t: &Trial) {
    let r = Registers::new(t).await;
    let mut expected = None;
    for version in 1..5 {
        // Also if nothing changes.
        let text = ["a", "b"][version as usize % 4 / 2];
        let stored = Registers::stored(r.put(&r.name, expected, text).await);
        assert_eq!(stored, version);
        let (name, value) = (r.name.clone(), value(text));
        let written = Register {
            name,
            version,
            value,
        };
        assert_eq!(r.get(&r.name).await, Some(written));
        expected = Some(version);
    }
}

pub(super) async fn a_put_on_another_version_changes_nothing_and_shows_the_register(t: &Trial) {
    let r = Registers::new(t).await;
    let before = r.second_version().await;
    for expected in [None, Some(0), Some(1), Some(3), Some(u64::MAX)] {
        let outcome = r.put(&r.name, expected, "other").await;
        assert_eq!(outcome, PutOutcome::Conflict(Some(before.clone())));
        assert_eq!(r.get(&r.name).await.as_ref(), Some(&before));
    }
}

pub(super) async fn a_repeated_put_conflicts_with_its_own_value(t: &Trial) {
    let r = Registers::new(t).await;
    for (expected, text) in [(None, "one"), (Some(1), "two")] {
        let version = Registers::stored(r.put(&r.name, expected, text).await);
        let again = r.put(&r.name, expected, text).await;
        let PutOutcome::Conflict(Some(found)) = again else {
            panic!("{again:?}");
        };
        assert_eq!((found.version, found.value), (version, value(text)));
    }
}

pub(super) async fn one_of_32_simultaneous_puts_wins(t: &Trial) {
    let r = Registers::new(t).await;
    let mut expected = None;
    for version in 1..4 {
        let puts = (0..32).map(|index| {
            let (client, name) = (r.clients[index % 4].clone(), r.name.clone());
            let value = value(&format!("{version} by {index}"));
            tokio::spawn(async move { client.put(&name, expected, &value, LIMIT).await })
        });
        let mut winners = Vec::new();
        for (index, answer) in join_all(puts).await.into_iter().enumerate() {
            match answer.expect("no panic").expect("an answer") {
                PutOutcome::Stored { version: stored } => {
                    assert_eq!(stored, version);
                    winners.push(format!("{version} by {index}"));
                }
                PutOutcome::Conflict(found) => {
                    assert_eq!(found.expect("the winner").version, version);
                }
            }
        }
        let found = r.get(&r.name).await.expect("a register");
        assert_eq!(
            (vec![found.value.as_str()], found.version),
            (winners.iter().map(String::as_str).collect(), version)
        );
        expected = Some(version);
    }
}

pub(super) async fn get_many_has_the_registers_directly_in_the_scope(t: &Trial) {
    let r = Registers::new(t).await;
    let within = ["/b", "/a", "/a b", "/B"].map(|suffix| r.named(suffix));
    for name in within.iter().chain([&r.named("/a/below"), &r.named("x/a")]) {
        Registers::stored(r.put(name, None, name.as_str()).await);
    }
    // The first one by name.
    let [others @ .., again] = within.each_ref();
    Registers::stored(r.put(again, Some(1), "again").await);
    let found = r.clients[2].get_many(&within[0].scope(), LIMIT).await;
    let found: Vec<_> = (found.expect("an answer").into_iter())
        .map(|register| (register.name.to_string(), register.version, register.value))
        .collect();
    let mut expected: Vec<_> = (others.iter())
        .map(|name| (name.to_string(), 1, value(name.as_str())))
        .chain([(again.to_string(), 2, value("again"))])
        .collect();
    expected.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(found, expected);
}

pub(super) async fn a_register_and_a_lease_may_have_one_name(t: &Trial) {
    let r = Registers::new(t).await;
    let before = r.second_version().await;
    let scope = r.name.scope();
    let record = t.store().read(&t.resource, LIMIT).await;
    assert_eq!(record.expect("an answer"), None);
    assert_eq!(t.store().list(&scope, LIMIT).await.expect("an answer"), []);
    let token = t.held().await;
    let listed = t.store().list(&scope, LIMIT).await.expect("an answer");
    assert_eq!(listed.len(), 1);
    let many = r.clients[1].get_many(&scope, LIMIT).await;
    assert_eq!(many.expect("an answer"), std::slice::from_ref(&before));
    released(t.store().release(&t.claim("a", token), None, LIMIT).await);
    later().await;
    let purged = t.store().purge(&scope, Duration::ZERO, LIMIT).await;
    assert_eq!(purged.expect("an answer"), 1);
    assert_eq!(r.get(&r.name).await, Some(before));
}

pub(super) async fn a_register_keeps_any_text_of_65536_bytes(t: &Trial) {
    let r = Registers::new(t).await;
    let odd = "{\"$set\": {\"a.b\": null}} '\"\\\u{0}\r\n\t\u{fffd}\u{10ffff}e\u{301} $$NOW";
    let long = "\u{e9}".repeat(32_768);
    let mut expected = None;
    for (version, text) in (1..).zip(["", odd, &long, " "]) {
        Registers::stored(r.put(&r.name, expected, text).await);
        let found = r.get(&r.name).await.expect("a register");
        assert_eq!((found.version, found.value), (version, value(text)));
        expected = Some(version);
    }
}

pub(super) async fn names_of_registers_stay_distinct(t: &Trial) {
    let r = Registers::new(t).await;
    let names = [
        "/a",
        "/A",
        "/a.b",
        "/a%2Fb",
        "/a b",
        "/\u{e9}",
        "/e\u{301}",
        "/$a",
    ];
    for suffix in names {
        Registers::stored(r.put(&r.named(suffix), None, suffix).await);
    }
    for suffix in names {
        let found = r.get(&r.named(suffix)).await.expect("a register");
        assert_eq!((found.version, found.value), (1, value(suffix)));
    }
}

pub(super) async fn a_put_that_gets_no_answer_fails_within_its_limit(t: &Trial) {
    let r = Registers::new(t).await;
    Registers::stored(r.put(&r.name, None, "one").await);
    let stalled = t
        .subject
        .stall()
        .await
        .expect("a store that can be stalled");
    let limit = Duration::from_millis(500);
    let value = value("two");
    let put = r.clients[0].put(&r.name, Some(1), &value, limit);
    let answer = tokio::time::timeout(Duration::from_secs(2), put).await;
    let error = answer
        .expect("an answer in time")
        .expect_err("no answer from the store");
    let unsent = [StoreErrorKind::Unavailable, StoreErrorKind::Throttled];
    drop(stalled);
    // What is said not to have been applied is not, also later.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let found = r.get(&r.name).await.expect("a register");
    match error.kind() {
        StoreErrorKind::Unknown => assert!(found.version <= 2),
        kind if unsent.contains(&kind) => assert_eq!(found.version, 1, "{error}"),
        _ => panic!("{error}"),
    }
}

pub(super) async fn a_watch_tells_a_put_that_is_visible_by_then(t: &Trial) {
    let r = Registers::new(t).await;
    let mut watch = Watch::open(t).await;
    for expected in [None, Some(1)] {
        let (client, name) = (r.clients[0].clone(), r.name.clone());
        let value = value("x");
        let put = tokio::spawn(async move { client.put(&name, expected, &value, LIMIT).await });
        match watch.tells("a put").await {
            StoreEvent::RegisterChanged(_) | StoreEvent::LookAtAll => {}
            event => panic!("{event:?}"),
        }
        let found = r.get(&r.name).await.map(|found| found.version);
        let version = expected.unwrap_or(0) + 1;
        assert_eq!(found, Some(version), "told before it was visible");
        let outcome = put.await.expect("no panic");
        assert_eq!(Registers::stored(outcome.expect("an answer")), version);
        watch.settle().await;
    }
}
