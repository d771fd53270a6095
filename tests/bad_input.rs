//! What does not fit together is refused when a lock is built, with what, where and what to do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use tenure::{LockActor, LockBuilder, MemoryStore, StartError, Timing, lease::ResourceName};

fn lock(resource: &str) -> LockBuilder {
    LockActor::builder(resource, Arc::new(MemoryStore::new()))
}

fn refused(builder: LockBuilder) -> String {
    match builder.start() {
        Err(error @ (StartError::Name(_) | StartError::Timing(_))) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_that_are_empty_too_long_or_have_control_characters_are_refused() {
    assert_eq!(
        refused(lock("")),
        "a resource name is empty: give it 1 to 255 bytes"
    );
    let text = refused(lock(&"x".repeat(256)));
    assert_eq!(
        text,
        "a resource name of 256 bytes is too long: at most 255 bytes are allowed"
    );
    assert!(refused(lock("a\u{1b}[31m")).contains("'\\u{1b}' at byte 1"));
    assert!(refused(lock("r").candidate("")).contains("candidate id"));
    assert!(refused(lock("r").metadata("x".repeat(4097))).contains("4096"));
}

#[test]
fn a_builder_accepts_a_resource_name() {
    let name = ResourceName::new("r").unwrap();
    assert!(
        LockActor::builder(&name, Arc::new(MemoryStore::new()))
            .start()
            .is_ok()
    );
    assert!(
        LockActor::builder(name, Arc::new(MemoryStore::new()))
            .start()
            .is_ok()
    );
}

#[cfg(feature = "sqlite")]
#[test]
fn a_ttl_below_the_minimum_of_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = tenure::SqliteStore::open(folder.path().join("leases.db")).unwrap();
    let timing = Timing::builder()
        .ttl(Duration::from_millis(5))
        .margin(Duration::from_millis(1))
        .build()
        .unwrap();
    let text = refused(LockActor::builder("r", Arc::new(store)).timing(timing));
    let expected =
        "a ttl of 5 ms is below the minimum of the sqlite store, 10 ms: lengthen the ttl";
    assert_eq!(text, expected);
}

#[test]
fn conflicting_times_are_refused() {
    let second = Duration::from_secs(1);
    let zero = Timing::builder().ttl(Duration::ZERO).build().unwrap_err();
    assert_eq!(
        zero.to_string(),
        "ttl of 0 s is too short: at least 10 ms is needed"
    );
    let late = Timing::builder()
        .ttl(second)
        .renew_every(second)
        .build()
        .unwrap_err();
    assert!(
        late.to_string()
            .contains("renew_every of 1 s leaves too little of the ttl of 1 s"),
        "{late}"
    );
}
