//! The doorbell, between stores that share nothing but the file, and between processes.

use std::{
    env, fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    process::Command,
    time::Instant,
};

use futures::{StreamExt as _, stream::BoxStream};

use super::{processes::block_on, *};
use crate::store::StoreEvent;

type Events = BoxStream<'static, StoreEvent>;

/// A store of its own that watches the file.
fn events(test_file: &TestFile) -> Events {
    test_file.store().watch(SECOND).unwrap()
}

/// The next event that says something.
async fn next(events: &mut Events) -> StoreEvent {
    let next = async {
        loop {
            match events.next().await.expect("the stream has ended") {
                StoreEvent::Alive => {}
                event => return event,
            }
        }
    };
    let next = tokio::time::timeout(60 * SECOND, next).await;
    next.expect("no event came")
}

fn changed() -> StoreEvent {
    StoreEvent::Changed(resource())
}

fn acquired(ttl: Duration) -> StoreEvent {
    let resource = resource();
    StoreEvent::Acquired { resource, ttl }
}

#[tokio::test]
async fn what_lets_a_lease_be_taken_earlier_is_an_event_and_so_is_an_acquisition() {
    let test_file = TestFile::new();
    let mut events = events(&test_file);
    let store = test_file.store();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    assert_eq!(next(&mut events).await, acquired(TTL));
    store.renew(&lease("a", 1), TTL / 2, LIMIT).await.unwrap();
    assert_eq!(next(&mut events).await, changed(), "a shorter ttl");
    let shorter = [(lease("a", 1), TTL / 4)];
    store.renew_many(&shorter, LIMIT).await;
    assert_eq!(
        next(&mut events).await,
        changed(),
        "a shorter ttl in a batch"
    );
    instruct(&store, &pause("", 1)).await;
    assert_eq!(next(&mut events).await, changed(), "a pause");
    instruct(&store, &Instruction::Resume { edition: 2 }).await;
    assert_eq!(next(&mut events).await, changed(), "a resumption");
    let to = CandidateId::new("b").unwrap();
    let token = FencingToken::new(1);
    instruct(&store, &Instruction::HandOver { token, to }).await;
    assert_eq!(next(&mut events).await, changed(), "a hand-over");
    evict(&store, 1, EvictionMode::Close).await;
    assert_eq!(next(&mut events).await, changed(), "an eviction");
    store.release(&claim("a", 1), None, LIMIT).await.unwrap();
    assert_eq!(next(&mut events).await, changed(), "a release");
}

#[tokio::test]
async fn a_renewal_and_a_refused_bid_ring_for_nobody() {
    let test_file = TestFile::new();
    let store = test_file.store();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let mut events = events(&test_file);
    let rung = fs::read(test_file.companion("-wake")).unwrap();
    for _ in 0..50 {
        test_file.clock.advance(TTL / 3);
        store.renew(&lease("a", 1), TTL, LIMIT).await.unwrap();
        store.renew_many(&[(lease("a", 1), TTL)], LIMIT).await;
        store.acquire(&bid("a", 1), LIMIT).await.unwrap();
        refused(store.acquire(&bid("b", 2), LIMIT).await.unwrap());
    }
    assert!(fs::read(test_file.companion("-wake")).unwrap() == rung);
    store.release(&claim("a", 1), None, LIMIT).await.unwrap();
    assert_eq!(next(&mut events).await, changed());
}

#[tokio::test]
async fn who_is_woken_sees_what_was_committed() {
    let test_file = TestFile::new();
    let mut events = events(&test_file);
    let (here, there) = (test_file.store(), test_file.store());
    for round in 1..=100u64 {
        here.acquire(&bid("a", round.into()), LIMIT).await.unwrap();
        assert_eq!(next(&mut events).await, acquired(TTL));
        let target = claim("a", round);
        let (released, seen) = futures::join!(here.release(&target, None, LIMIT), async {
            assert_eq!(next(&mut events).await, changed());
            there.read(&resource(), LIMIT).await.unwrap().unwrap()
        });
        assert_eq!(released.unwrap(), ReleaseOutcome::Released);
        assert_eq!(seen.holder, None, "round {round}");
    }
}

#[tokio::test]
async fn a_stream_shows_signs_of_life_and_ends_its_thread_when_it_is_dropped() {
    let test_file = TestFile::new();
    let store = test_file.store();
    let streams = [0; 2].map(|_| store.watch(Duration::from_millis(20)).unwrap());
    let mut others = store.clone().watch(3600 * SECOND).unwrap();
    for mut stream in streams {
        for _ in 0..3 {
            assert_eq!(stream.next().await, Some(StoreEvent::Alive));
        }
    }
    assert_eq!(others.next().await, Some(StoreEvent::Alive));
    assert_eq!(store.listeners.readers(), 1, "one thread for all streams");
    drop(others);
    let begun = Instant::now();
    while store.listeners.readers() > 0 {
        assert!(begun.elapsed() < 60 * SECOND, "the thread still runs");
        std::thread::yield_now();
    }
    let mut again = store.watch(SECOND).unwrap();
    assert_eq!(again.next().await, Some(StoreEvent::Alive));
}

#[tokio::test]
async fn a_doorbell_that_was_truncated_deleted_or_garbled_makes_streams_look_at_all() {
    let test_file = TestFile::new();
    let bell = test_file.companion("-wake");
    let store = test_file.store();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let mut events = events(&test_file);
    let spoil: [(&str, &dyn Fn()); 5] = [
        ("truncated", &|| {
            fs::File::options()
                .write(true)
                .open(&bell)
                .unwrap()
                .set_len(0)
                .unwrap();
        }),
        ("deleted", &|| fs::remove_file(&bell).unwrap()),
        ("replaced", &|| {
            let other = test_file.directory.path().join("other");
            fs::write(&other, "C\tlost\n").unwrap();
            fs::rename(&other, &bell).unwrap();
        }),
        ("moved", &|| {
            fs::rename(&bell, test_file.directory.path().join("away")).unwrap();
        }),
        ("garbled", &|| append(&test_file, b"\xff\x00\n")),
    ];
    for (round, (what, spoil)) in (1..).zip(spoil) {
        spoil();
        assert_eq!(next(&mut events).await, StoreEvent::LookAtAll, "{what}");
        store
            .release(&claim("a", round), None, LIMIT)
            .await
            .unwrap();
        assert_eq!(next(&mut events).await, changed(), "after it was {what}");
        let again = bid("a", 1 + u128::from(round));
        store.acquire(&again, LIMIT).await.unwrap();
        assert_eq!(
            next(&mut events).await,
            acquired(TTL),
            "after it was {what}"
        );
    }
}

fn append(test_file: &TestFile, bytes: &[u8]) {
    let bell = test_file.companion("-wake");
    let mut bell = fs::File::options().append(true).open(bell).unwrap();
    bell.write_all(bytes).unwrap();
}

#[tokio::test]
async fn a_doorbell_that_has_grown_long_begins_again_and_no_stream_misses_a_change() {
    let test_file = TestFile::new();
    let mut events = events(&test_file);
    let store = test_file.store();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    assert_eq!(next(&mut events).await, acquired(TTL));
    let full = vec![b'\n'; 64 * 1024];
    append(&test_file, &full);
    store.release(&claim("a", 1), None, LIMIT).await.unwrap();
    assert_eq!(next(&mut events).await, StoreEvent::LookAtAll);
    let bell = fs::read(test_file.companion("-wake")).unwrap();
    assert_eq!(bell, b"C\tjobs/nightly\n");
    store.acquire(&bid("a", 2), LIMIT).await.unwrap();
    // The release may have been read before the new file was.
    let event = next(&mut events).await;
    assert_eq!(event, acquired(TTL));
}

#[tokio::test]
async fn a_line_is_read_when_it_is_complete() {
    let test_file = TestFile::new();
    let mut events = events(&test_file);
    for part in ["C\tjobs/", "nightly", "\nC\tjobs/other\nC\tjobs"] {
        append(&test_file, part.as_bytes());
        tokio::task::yield_now().await;
    }
    assert_eq!(next(&mut events).await, changed());
    let other = StoreEvent::Changed(ResourceName::new("jobs/other").unwrap());
    assert_eq!(next(&mut events).await, other);
    append(&test_file, b"/nightly\n");
    assert_eq!(next(&mut events).await, changed());
}

#[tokio::test]
async fn a_lease_under_another_clock_is_to_be_looked_at_at_once() {
    let test_file = TestFile::new();
    let mut events = events(&test_file);
    let there = on_clock(test_file.clock.clone(), "elsewhere");
    let there = there.open(test_file.path()).unwrap();
    there.acquire(&bid("a", 1), LIMIT).await.unwrap();
    assert_eq!(next(&mut events).await, changed());
}

#[tokio::test]
async fn a_doorbell_that_cannot_be_used_fails_no_request_and_ends_the_stream() {
    let test_file = TestFile::new();
    fs::create_dir(test_file.companion("-wake")).unwrap();
    let store = test_file.store();
    assert_eq!(
        store.acquire(&bid("a", 1), LIMIT).await.unwrap(),
        granted(1)
    );
    assert_eq!(store.watch(SECOND).unwrap().next().await, None);
    fs::remove_dir(test_file.companion("-wake")).unwrap();
    let mut events = store.watch(SECOND).unwrap();
    store.release(&claim("a", 1), None, LIMIT).await.unwrap();
    assert_eq!(next(&mut events).await, changed());
    // From here on it cannot be opened again.
    let begun = Instant::now();
    loop {
        fs::remove_file(test_file.companion("-wake")).unwrap();
        // The stream may have created it again already.
        if fs::create_dir(test_file.companion("-wake")).is_ok() {
            break;
        }
        assert!(begun.elapsed() < 60 * SECOND);
    }
    while let Some(event) = events.next().await {
        assert!(matches!(event, StoreEvent::Alive | StoreEvent::LookAtAll));
    }
}

#[tokio::test]
async fn the_doorbell_has_the_permissions_of_the_database() {
    let test_file = TestFile::new();
    let store = test_file.store();
    let permissions = fs::Permissions::from_mode(0o662);
    fs::set_permissions(test_file.path(), permissions).unwrap();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let bell = fs::metadata(test_file.companion("-wake")).unwrap();
    assert_eq!(bell.mode() & 0o777, 0o662, "whatever the umask is");
}

#[tokio::test]
async fn links_to_one_database_lead_to_one_doorbell() {
    let test_file = TestFile::new();
    let mut events = events(&test_file);
    let link = test_file.directory.path().join("link.db");
    std::os::unix::fs::symlink(test_file.path(), &link).unwrap();
    let store = test_file.builder().open(&link).unwrap();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    assert_eq!(next(&mut events).await, acquired(TTL));
}

const FILE: &str = "TENURE_TEST_DOORBELL_FILE";

#[tokio::test]
async fn a_change_by_another_process_is_an_event() {
    let test_file = TestFile::new();
    let store = SqliteStore::open(test_file.path()).unwrap();
    let mut events = store.watch(SECOND).unwrap();
    let mut process = Command::new(env::current_exe().unwrap())
        .args(["--exact", "--ignored"])
        .arg(concat!(module_path!(), "::another_process").replacen("tenure::", "", 1))
        .env(FILE, test_file.path())
        .spawn()
        .unwrap();
    assert_eq!(next(&mut events).await, acquired(TTL));
    assert_eq!(next(&mut events).await, changed());
    assert!(process.wait().unwrap().success());
}

#[test]
#[ignore = "a part of a_change_by_another_process_is_an_event, which starts it"]
fn another_process() {
    let path = env::var_os(FILE).expect("it is started by another test");
    let store = SqliteStore::open(path).unwrap();
    block_on(store.acquire(&bid("a", 1), LIMIT)).unwrap();
    block_on(store.release(&owner("a"), None, LIMIT)).unwrap();
}
