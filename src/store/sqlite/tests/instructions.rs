//! Instructions, and what a purge deletes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{processes::block_on, *};

async fn purge(store: &SqliteStore) -> u64 {
    let scope = resource().scope();
    store.purge(&scope, Duration::ZERO, LIMIT).await.unwrap()
}

#[tokio::test]
async fn a_pause_survives_reopening_and_the_lease_is_led_until_its_holder_obeys() {
    let test_file = TestFile::new();
    let store = test_file.store();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let paused = instruct(&store, &pause("moving", 1)).await;
    assert_eq!(paused, InstructOutcome::Instructed { edition: 2 });
    drop(store);
    let store = test_file.store();
    let record = refused(store.acquire(&bid("a", 1), LIMIT).await.unwrap());
    let pause = record.pause.unwrap();
    assert_eq!((pause.note.as_str(), pause.since), ("moving", early()));
    let renewed = store.renew(&lease("a", 1), TTL, LIMIT).await.unwrap();
    let note = pause.note;
    let instruction = Some(StandingInstruction::Pause { note });
    assert_eq!(renewed, RenewOutcome::Renewed { instruction });
    let leading = store.leader_transaction(&mut test_file.sql(), &lease("a", 1), |_| {
        Ok::<_, rusqlite::Error>(())
    });
    leading.expect("what is at work goes on");
    let reason = Some(EndReason::Paused);
    store.release(&claim("a", 1), reason, LIMIT).await.unwrap();
    refused(store.acquire(&bid("b", 2), LIMIT).await.unwrap());
    let resume = Instruction::Resume { edition: 2 };
    instruct(&store, &resume).await;
    assert_eq!(
        store.acquire(&bid("b", 2), LIMIT).await.unwrap(),
        granted(2)
    );
    let record = store.read(&resource(), LIMIT).await.unwrap().unwrap();
    let ended = record.history[0].ended.as_ref().unwrap();
    assert_eq!((ended.reason, ended.at), (EndReason::Paused, early()));
}

#[tokio::test]
async fn an_instruction_leaves_the_expiry_its_clock_and_the_version_as_they_are() {
    let test_file = TestFile::new();
    let store = test_file.store();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let there = on_clock(ManualClock::new(), "elsewhere");
    let there = there.open(test_file.path()).unwrap();
    let before = test_file.row();
    let to = CandidateId::new("b").unwrap();
    let token = FencingToken::new(1);
    instruct(&there, &Instruction::HandOver { token, to }).await;
    instruct(&there, &pause("", 1)).await;
    let after = test_file.row();
    assert_eq!(after[..9], before[..9]);
    assert_ne!(after, before);
}

#[tokio::test]
async fn a_purge_spares_what_is_held_paused_internal_or_touched_since() {
    let test_file = TestFile::new();
    let store = test_file.store();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    assert_eq!(purge(&store).await, 0, "held");
    test_file.clock.advance(TTL);
    let other = store.purge(&Scope::root(), Duration::ZERO, LIMIT).await;
    assert_eq!(other.unwrap(), 0, "another scope");
    let sql = test_file.sql();
    for (set, back) in [
        ("pause_note = ''", "pause_note = NULL"),
        ("internal = 1", "internal = 0"),
        ("touched = 2", "touched = 1"),
        ("min_reader = 2", "min_reader = NULL"),
    ] {
        let write = |set| format!("UPDATE tenure_leases SET {set}");
        sql.execute_batch(&write(set)).unwrap();
        assert_eq!(purge(&store).await, 0, "{set}");
        sql.execute_batch(&write(back)).unwrap();
    }
    assert_eq!(purge(&store).await, 1, "expired");
    assert_eq!(store.read(&resource(), LIMIT).await.unwrap(), None);
}

#[tokio::test]
async fn a_lease_under_a_foreign_clock_is_purged_only_if_it_was_released() {
    let test_file = TestFile::new();
    let store = test_file.store();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    let clock = ManualClock::new();
    let there = on_clock(clock.clone(), "elsewhere");
    let there = there.open(test_file.path()).unwrap();
    there.read(&resource(), LIMIT).await.unwrap();
    clock.advance(10 * TTL);
    assert_eq!(purge(&there).await, 0);
    store.release(&claim("a", 1), None, LIMIT).await.unwrap();
    assert_eq!(purge(&there).await, 1);
}

#[tokio::test]
async fn a_huge_purge_deletes_all_records_in_several_transactions() {
    let test_file = TestFile::new();
    let store = test_file.store();
    store.acquire(&bid("a", 1), LIMIT).await.unwrap();
    store.release(&claim("a", 1), None, LIMIT).await.unwrap();
    let copies = 2 * AT_ONCE + 100;
    test_file.copy("jobs/", copies);
    assert_eq!(purge(&store).await, copies as u64 + 1);
}

/// Each call is 10 ms later.
fn ticking() -> SystemTime {
    static TICKS: AtomicU64 = AtomicU64::new(0);
    early() + Duration::from_millis(10 * TICKS.fetch_add(1, Ordering::SeqCst))
}

#[test]
fn a_purge_that_races_bids_deletes_no_lease_that_is_held_and_tokens_grow() {
    let test_file = TestFile::new();
    let open = || {
        let mut builder = test_file.builder().busy_limit(60 * SECOND);
        builder.clock.wall = ticking;
        builder.open(test_file.path()).unwrap()
    };
    let (bidding, purging) = (open(), open());
    let done = AtomicBool::new(false);
    let purged = std::thread::scope(|scope| {
        let purged = scope.spawn(|| {
            let mut purged = 0;
            while !done.load(Ordering::SeqCst) {
                purged += block_on(purge(&purging));
            }
            purged
        });
        let mut last = 0;
        for round in 0..200 {
            let token = block_on(async {
                let outcome = bidding.acquire(&bid("a", round), LIMIT).await.unwrap();
                let AcquireOutcome::Granted { token } = outcome else {
                    panic!("{outcome:?}");
                };
                let held = lease("a", token.get());
                let renewed = bidding.renew(&held, TTL, LIMIT).await.unwrap();
                assert_eq!(renewed, RenewOutcome::RENEWED);
                let target = claim("a", token.get());
                let released = bidding.release(&target, None, LIMIT).await.unwrap();
                assert_eq!(released, ReleaseOutcome::Released);
                token.get()
            });
            assert!(token > last, "{token} after {last}");
            last = token;
        }
        done.store(true, Ordering::SeqCst);
        purged.join().unwrap()
    });
    assert!(purged > 0);
}

#[tokio::test]
async fn the_first_token_after_a_purge_is_greater() {
    let test_file = TestFile::new();
    let store = test_file.builder().open(test_file.path()).unwrap();
    let mut builder = test_file.builder();
    builder.clock.wall = SystemTime::now;
    let now = builder.open(test_file.path()).unwrap();
    for round in 1..=3 {
        store.acquire(&bid("a", round), LIMIT).await.unwrap();
        test_file.clock.advance(TTL);
    }
    assert_eq!(purge(&now).await, 1);
    let earliest = FencingToken::first_at(SystemTime::now());
    let AcquireOutcome::Granted { token } = now.acquire(&bid("b", 9), LIMIT).await.unwrap() else {
        panic!("the lease is free");
    };
    assert!(token >= earliest && token.get() > 3);
}
