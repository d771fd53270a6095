use std::{sync::Arc, time::Duration};

use tenure::{LeaseStore, MemoryStore, Once, StartError, once::OnceBuilder};

const SECOND: Duration = Duration::from_secs(1);

fn builder() -> OnceBuilder {
    Once::builder(Arc::new(MemoryStore::new()), "m")
}

#[test]
fn a_name_must_leave_room_for_that_of_the_mark_record() {
    let store: Arc<dyn LeaseStore> = Arc::new(MemoryStore::new());
    let once = |name: &str| Once::new(store.clone(), name);
    assert!(once(&"x".repeat(250)).is_ok());
    let error = once(&"x".repeat(251)).unwrap_err();
    assert!(matches!(error, StartError::Name(_)));
    assert_eq!(
        error.to_string(),
        "a Once name of 251 bytes is too long: at most 250 bytes are allowed"
    );
    for wrong in ["", "a\0", "two\nlines"] {
        assert!(matches!(once(wrong), Err(StartError::Name(_))));
    }
}

#[test]
fn building_with_times_or_an_owner_out_of_range_fails() {
    for (wrong, said) in [
        (builder().ttl(Duration::ZERO), "ttl of 0 s is too short"),
        (builder().ttl(Duration::MAX), "ttl of"),
        (
            builder().poll_every(Duration::ZERO),
            "poll_every of 0 s is too short",
        ),
        (builder().poll_every(Duration::MAX), "too long"),
        (
            builder().max_hold(SECOND * 14),
            "max_hold of 14 s is shorter than the ttl of 15 s",
        ),
        (builder().max_hold(Duration::MAX), "max_hold of"),
        (builder().owner(""), "candidate id is empty"),
        (builder().owner("a\tb"), "control character"),
    ] {
        let text = wrong.build().unwrap_err().to_string();
        assert!(text.contains(said), "{text}");
    }
    assert!(builder().max_hold(SECOND * 15).build().is_ok());
    assert!(builder().owner("x".repeat(255)).build().is_ok());
}

#[test]
fn a_once_and_its_futures_are_send() {
    fn is_send<T: Send>(it: T) -> T {
        it
    }
    let once = Arc::new(builder().build().unwrap());
    let again = once.clone();
    let run = is_send(async move { once.run(|| async { Ok::<_, String>(1) }).await });
    // It can do nothing but wait.
    let bare = tokio::runtime::Builder::new_current_thread().build();
    let bare = bare.unwrap();
    let ran = bare.block_on(run).unwrap();
    assert!(ran.was_by_this_call());
    let run = is_send(async move { again.run(|| async { Err::<u8, _>("no") }).await });
    assert!(!bare.block_on(run).unwrap().was_by_this_call());
}
