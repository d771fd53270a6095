use super::bench::*;
use crate::{
    clock::Clock as _,
    election::{HoldOptions, Reply, Request},
    lease::{FencingToken, LeaseRecord, Note, PauseRecord},
};

/// Answers the next bid with this refusal, and returns the token that is reported.
fn refuse(bench: &mut Bench, record: LeaseRecord) -> Option<u64> {
    let bid = bench.request();
    bench.reply(&bid, Reply::Refused(record));
    found(bench)
}

fn found(bench: &mut Bench) -> Option<u64> {
    bench.election.poll_same_candidate().map(FencingToken::get)
}

fn unanswered(bench: &mut Bench) -> Request {
    let bid = bench.request();
    bench.reply(&bid, Reply::Unknown);
    bid
}

#[test]
fn a_lease_under_the_own_id_that_another_process_renews_is_reported_once_for_each_token() {
    let mut bench = Bench::new();
    assert_eq!(
        refuse(&mut bench, record("me", 7, 6.0)),
        None,
        "it may be dead"
    );
    assert_eq!(
        refuse(&mut bench, record("me", 7, 9.5)),
        Some(7),
        "it was renewed"
    );
    assert_eq!(refuse(&mut bench, record("me", 7, 9.9)), None, "said once");
    assert_eq!(refuse(&mut bench, record("me", 7, 9.9)), None);
    assert_eq!(refuse(&mut bench, record("me", 8, 6.0)), None);
    assert_eq!(refuse(&mut bench, record("me", 8, 9.5)), Some(8));
}

#[test]
fn the_lease_of_a_process_that_has_restarted_is_not_renewed_and_not_reported() {
    let mut bench = Bench::new();
    let expires_at = bench.clock.now() + secs(9.5);
    loop {
        let bid = bench.request();
        let left = bench.clock.now().until(expires_at);
        // The reply takes a while.
        bench.advance(0.5);
        if left.is_zero() {
            bench.reply(&bid, granted(8));
            break;
        }
        bench.reply(&bid, Reply::Refused(record("me", 7, left.as_secs_f64())));
        assert_eq!(found(&mut bench), None);
    }
}

#[test]
fn what_may_be_of_an_own_attempt_is_not_reported() {
    let mut bench = Bench::new();
    // The grant was lost, and the store shows the attempt only as a record.
    unanswered(&mut bench);
    for left in [4.0, 9.0] {
        assert_eq!(refuse(&mut bench, record("me", 7, left)), None);
    }
    // After a ttl and a call, it cannot be of that attempt.
    bench.advance(12.0);
    assert_eq!(refuse(&mut bench, record("me", 7, 4.0)), None);
    assert_eq!(refuse(&mut bench, record("me", 7, 9.0)), Some(7));
}

#[test]
fn a_token_that_was_granted_to_this_candidate_is_not_reported() {
    let (mut bench, _) = Bench::leading();
    let renewal = bench.request();
    bench.reply(&renewal, Reply::Lost(None));
    drop(bench.transition());
    bench.subscriber_state(READY);
    for left in [4.0, 9.0] {
        assert_eq!(refuse(&mut bench, record("me", 1, left)), None);
    }
    // A grant that was not taken, and whose release is not confirmed.
    let bid = bench.request();
    bench.election.pause(bench.clock.now());
    bench.reply(&bid, granted(3));
    for _ in 0..3 {
        let release = bench.request();
        bench.reply(&release, Reply::Unknown);
    }
    bench.election.resume(bench.clock.now());
    for left in [4.0, 9.0] {
        assert_eq!(refuse(&mut bench, record("me", 3, left)), None);
    }
}

#[test]
fn a_lease_of_another_and_one_that_is_closing_or_paused_are_not_reported() {
    let closing = |left| {
        let mut record = record("me", 7, left);
        record.closing = true;
        record
    };
    let paused = |left| {
        let mut record = record("me", 7, left);
        record.pause = Some(PauseRecord {
            note: Note::default(),
            since: std::time::SystemTime::UNIX_EPOCH,
        });
        record
    };
    let other = |left| record("other", 7, left);
    for show in [&closing as &dyn Fn(f64) -> LeaseRecord, &paused, &other] {
        let mut bench = Bench::new();
        for left in [4.0, 9.0] {
            assert_eq!(refuse(&mut bench, show(left)), None);
        }
    }
    let mut bench = Bench::with(HoldOptions {
        is_mutex: true,
        ..HoldOptions::default()
    });
    for left in [4.0, 9.0] {
        assert_eq!(
            refuse(&mut bench, record("me", 7, left)),
            None,
            "owners share"
        );
    }
}
