use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::lease::{HistoryEntry, ResourceName};

/// A mark record that these holders have acquired, one after the other.
fn record(holders: &[&str]) -> LeaseRecord {
    let resource = ResourceName::new("m/done").unwrap();
    let token = FencingToken::new(holders.len() as u64);
    let mut record = LeaseRecord::new(resource, token);
    for (index, holder) in holders.iter().enumerate() {
        let number = index as u64 + 1;
        record.since = SystemTime::UNIX_EPOCH + Duration::from_secs(number);
        record.history.push(HistoryEntry {
            token: FencingToken::new(number),
            holder: CandidateId::new(holder).unwrap(),
            since: record.since,
            ended: None,
        });
    }
    record
}

fn mark_in(holders: &[&str]) -> Result<String, String> {
    let seen = OnceMark::read_from(&record(holders));
    seen.map(|seen| seen.mark.to_string())
        .map_err(|error| error.to_string())
}

#[test]
fn a_mark_that_arrives_after_a_newer_one_does_not_count() {
    for (holders, counts) in [
        (&["done 1 a"][..], "done 1 a"),
        (&["done 1 a", "open 2 b"], "open 2 b"),
        (&["done 1 a", "open 3 b", "done 2 c"], "open 3 b"),
        (&["open 3 b", "done 4 c", "open 3 b"], "done 4 c"),
        (&["done 9 a", "done 10 b"], "done 10 b"),
    ] {
        assert_eq!(mark_in(holders).as_deref(), Ok(counts), "{holders:?}");
    }
}

#[test]
fn a_foreign_holder_makes_the_record_unreadable_until_the_next_mark() {
    for foreign in [
        "host-1-abc",
        "done",
        "done 1",
        "done 1 ",
        "done x a",
        "done +1 a",
        "done 01 a",
        "done -1 a",
        "done 18446744073709551616 a",
        "DONE 1 a",
        "undone 1 a",
        " done 1 a",
    ] {
        let text = mark_in(&["done 1 a", foreign]).unwrap_err();
        assert_eq!(
            text,
            format!("{foreign} has acquired it, which is not a mark")
        );
        assert!(mark_in(&[foreign]).is_err());
        assert_eq!(mark_in(&[foreign, "done 2 a"]).as_deref(), Ok("done 2 a"));
        // A late mark does not hide it.
        assert!(mark_in(&["open 3 a", foreign, "done 2 b"]).is_err());
    }
}

#[test]
fn a_record_without_its_last_acquisition_is_unreadable() {
    let mut cut = record(&["done 1 a", "done 2 a"]);
    cut.history.pop();
    assert_eq!(OnceMark::read_from(&cut), Err(UnreadableMark::NoHistory));
    cut.history.clear();
    assert_eq!(OnceMark::read_from(&cut), Err(UnreadableMark::NoHistory));
}

#[test]
fn raising_the_token_after_a_restore_changes_no_mark() {
    for holders in [&["done 1 a"][..], &["done 1 a", "open 2 b"]] {
        let mut raised = record(holders);
        raised.token = FencingToken::new(1_764_000_000_000);
        assert_eq!(
            OnceMark::read_from(&raised),
            OnceMark::read_from(&record(holders))
        );
        let mut cut = raised;
        cut.history.pop();
        assert_eq!(OnceMark::read_from(&cut), Err(UnreadableMark::NoHistory));
    }
    let mut lowered = record(&["done 1 a", "done 2 a"]);
    lowered.token = FencingToken::new(1);
    assert_eq!(
        OnceMark::read_from(&lowered),
        Err(UnreadableMark::NoHistory)
    );
}

#[test]
fn a_mark_with_the_longest_id_of_a_guard_fits_in_a_holder() {
    let by = CandidateId::generate_for(&CandidateId::new("x".repeat(255)).unwrap());
    let (state, token) = (MarkState::Done, FencingToken::new(u64::MAX));
    let mark = OnceMark { state, token, by };
    assert_eq!(OnceMark::parse(&mark.to_holder()), Some(mark));
}

proptest! {
    #[test]
    fn every_mark_reads_back_as_it_was_written(
        done: bool,
        token: u64,
        by in "[^\\p{Cc}]{1,50}",
    ) {
        let state = if done { MarkState::Done } else { MarkState::Open };
        let (token, by) = (FencingToken::new(token), CandidateId::new(by).unwrap());
        let mark = OnceMark { state, token, by };
        prop_assert_eq!(OnceMark::parse(&mark.to_holder()), Some(mark));
    }

    #[test]
    fn the_order_in_which_marks_arrive_changes_nothing(
        mut tokens in proptest::collection::vec(1_u64..100, 1..8),
    ) {
        let text = |token: &u64| format!("{} {token} a", if token.is_multiple_of(2) { "open" } else { "done" });
        let counts = |tokens: &[u64]| {
            let holders: Vec<_> = tokens.iter().map(text).collect();
            mark_in(&holders.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let before = counts(&tokens);
        prop_assert_eq!(&before, &Ok(text(tokens.iter().max().unwrap())));
        tokens.sort_unstable();
        prop_assert_eq!(before, counts(&tokens));
    }
}
