use super::*;
use crate::{intervals::Interval, operators::Pause};

fn interval(start: u64, end: u64) -> Interval {
    let (start, end) = (Moment::from_nanos(start), Moment::from_nanos(end));
    Interval { start, end }
}

fn pause(resource: &str, confirmed: Option<Interval>) -> Commanded {
    Commanded::Paused(Pause {
        resource: resource.to_owned(),
        during: interval(90, 210),
        confirmed,
    })
}

/// The verdict on an acquisition that lasts from `start` to `end`.
fn commanded(one: Commanded, start: u64, end: u64) -> Verdict {
    let mut verdict = Verdict::default();
    verdict.check_commands(&[term(1, 1, start, end)], &[one]);
    verdict
}

#[test]
fn an_acquisition_within_a_confirmed_pause_is_found() {
    let confirmed = Some(interval(100, 200));
    for (start, end) in [(50, 101), (120, 130), (199, 300), (50, 300)] {
        let found = commanded(pause("r", confirmed), start, end);
        assert_eq!(found.led_while_paused.len(), 1, "{start} to {end}");
        assert_eq!(found.pauses_confirmed, 1);
    }
}

#[test]
fn what_ends_before_the_answer_or_begins_after_the_resumption_is_allowed() {
    let confirmed = Some(interval(100, 200));
    for (start, end) in [(50, 100), (200, 300)] {
        let found = commanded(pause("r", confirmed), start, end);
        assert!(found.led_while_paused.is_empty(), "{start} to {end}");
    }
}

#[test]
fn a_pause_of_another_resource_or_without_an_answer_asks_for_nothing() {
    let other = commanded(pause("s", Some(interval(100, 200))), 120, 130);
    let unanswered = commanded(pause("r", None), 120, 130);
    assert!(other.led_while_paused.is_empty() && unanswered.led_while_paused.is_empty());
    assert_eq!(
        (other.pauses_confirmed, unanswered.pauses_confirmed),
        (1, 0)
    );
}

#[test]
fn hand_overs_that_were_done_are_counted() {
    let handed_over = |done| Commanded::HandedOver {
        resource: "r".to_owned(),
        during: interval(1, 2),
        done,
    };
    let mut verdict = Verdict::default();
    verdict.check_commands(&[], &[handed_over(true), handed_over(false)]);
    assert_eq!(verdict.hand_overs_done, 1);
}
