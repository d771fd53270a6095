use std::{sync::Arc, time::Duration};

use tenure::{LockManager, MemoryStore, MutexOptions, StartError, mutex::LockManagerBuilder};

const SECOND: Duration = Duration::from_secs(1);

fn builder() -> LockManagerBuilder {
    LockManager::builder(Arc::new(MemoryStore::new()))
}

/// The error of building this manager.
fn build_error(builder: LockManagerBuilder) -> String {
    builder.build().unwrap_err().to_string()
}

/// The error of making a mutex with these options.
fn mutex_error(options: MutexOptions) -> String {
    let locks = builder().ttl(SECOND * 10).build().unwrap();
    locks.mutex(options).unwrap_err().to_string()
}

#[test]
fn building_a_manager_with_times_out_of_range_fails() {
    for (wrong, part) in [
        (builder().ttl(Duration::ZERO), "ttl of 0 s is too short"),
        (builder().ttl(Duration::MAX), "ttl of"),
        (
            builder().poll_every(Duration::ZERO),
            "poll_every of 0 s is too short",
        ),
        (builder().poll_every(Duration::MAX), "too long"),
        (builder().ttl(Duration::from_nanos(1)), "too short"),
    ] {
        let text = build_error(wrong);
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn building_a_manager_with_an_invalid_owner_fails() {
    for owner in ["", "two\nlines", "a\u{7f}"] {
        assert!(matches!(
            builder().owner(owner).build(),
            Err(StartError::Name(_))
        ));
    }
    assert!(build_error(builder().owner("x".repeat(256))).contains("256 bytes"));
}

#[test]
fn making_a_mutex_with_invalid_options_fails() {
    let named = || MutexOptions::new("m");
    for (wrong, part) in [
        (MutexOptions::new(""), "resource name is empty"),
        (MutexOptions::new("a\tb"), "control character"),
        (named().owner("a\0"), "control character"),
        (named().ttl(Duration::ZERO), "ttl of 0 s"),
        (named().ttl(Duration::MAX), "too long"),
        (
            named().max_hold(SECOND * 9),
            "max_hold of 9 s is shorter than the ttl of 10 s",
        ),
        (
            named().max_hold(Duration::ZERO),
            "max_hold of 0 s is too short",
        ),
        (named().max_hold(Duration::MAX), "max_hold of"),
        (
            named().min_hold(Duration::ZERO),
            "min_hold of 0 s is too short",
        ),
        (named().min_hold(Duration::MAX), "min_hold of"),
    ] {
        let text = mutex_error(wrong);
        assert!(text.contains(part), "{text}");
    }
    let locks = builder().ttl(SECOND * 10).build().unwrap();
    assert!(locks.mutex(named().max_hold(SECOND * 10)).is_ok());
}

#[cfg(feature = "sqlite")]
#[test]
fn a_ttl_below_the_minimum_of_the_store_is_refused() {
    use tenure::{LeaseStore as _, SqliteStore};

    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(folder.path().join("leases.db")).unwrap());
    let short = store.min_ttl() - Duration::from_nanos(1);
    let manager = || LockManager::builder(store.clone());
    let timing = tenure::Timing::builder()
        .ttl(short)
        .margin(Duration::from_millis(1));
    let text = build_error(manager().timing(timing));
    assert!(
        text.contains("below the minimum of the sqlite store"),
        "{text}"
    );
}

#[test]
fn the_defaults_are_as_documented() {
    let locks = builder().build().unwrap();
    let mutex = locks.mutex("m").unwrap();
    assert_eq!(mutex.timing().ttl(), SECOND * 15);
    assert_eq!(mutex.timing().poll_every(), SECOND * 3);
    assert_eq!(mutex.owner(), locks.owner());
    assert!(
        !locks
            .owner()
            .as_str()
            .contains(&std::process::id().to_string())
    );
    let other = locks.mutex(MutexOptions::new("m").owner("me").ttl(SECOND * 5));
    let other = other.unwrap();
    assert_eq!(other.owner().as_str(), "me");
    assert_eq!(other.timing().poll_every(), SECOND);
}

#[test]
fn the_shortest_ttl_is_as_documented() {
    let ttl = |millis| MutexOptions::new("m").ttl(Duration::from_millis(millis));
    let text = mutex_error(ttl(9));
    assert!(
        text.contains("ttl of 9 ms is too short: at least 10 ms"),
        "{text}"
    );
    let locks = builder().build().unwrap();
    assert!(locks.mutex(ttl(10)).is_ok());
}

#[test]
fn locks_guards_and_their_futures_are_send() {
    fn goes<T: Send + 'static>(_: &T) {}
    fn is_shared<T: Send + Sync + std::fmt::Debug + 'static>() {}
    is_shared::<LockManager>();
    is_shared::<LockManagerBuilder>();
    is_shared::<MutexOptions>();
    is_shared::<tenure::Mutex>();
    is_shared::<tenure::Guard>();
    is_shared::<tenure::mutex::Guards>();
    is_shared::<tenure::LockError>();
    is_shared::<StartError>();
    is_shared::<tenure::Once>();
    is_shared::<tenure::once::OnceError<std::io::Error>>();
    is_shared::<tenure::follow::FollowError>();
    is_shared::<tenure::Leadership>();
    let locks = builder().build().unwrap();
    let (one, two) = (locks.mutex("a").unwrap(), locks.mutex("b").unwrap());
    goes(&async move {
        let both = tenure::lock_all([&one, &two]).await?;
        both[0].run(std::future::ready(())).await?;
        both.release().await?;
        one.lock_timeout(SECOND).await?;
        one.unlock().await?;
        two.guard().await?.release().await
    });
}
