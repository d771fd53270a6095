//! Cases about the edition that a pause and a resume name.

use futures::future::join_all;

use super::{
    super::{
        operator::{instructed, not_instructed, pause, resume},
        trial::{LIMIT, Trial, granted, refused, released},
    },
    tokens::deleted,
};
use crate::store::InstructOutcome;

pub(super) async fn each_pause_and_resume_raises_the_edition_by_one(t: &Trial) {
    t.held().await;
    let first = t.record().await.edition;
    let mut edition = first;
    for _ in 0..2 {
        assert_eq!(t.pause().await, edition + 1);
        assert_eq!(t.record().await.edition, edition + 1);
        assert_eq!(t.resume().await, edition + 2);
        edition = t.record().await.edition;
    }
    assert_eq!(edition, first + 4);
}

pub(super) async fn a_late_pause_changes_nothing(t: &Trial) {
    t.held().await;
    let first = pause(t.record().await.edition);
    instructed(t.instruct(&first).await);
    t.resume().await;
    let before = t.record().await;
    for late in [first, pause(0), pause(before.edition + 1)] {
        let seen = not_instructed(t.instruct(&late).await).expect("the record");
        assert_eq!((seen.token, seen.edition), (before.token, before.edition));
    }
    let after = t.record().await;
    assert_eq!((after.pause, after.edition), (None, before.edition));
    assert_eq!(after.touched, before.touched);
}

pub(super) async fn a_late_resume_changes_nothing(t: &Trial) {
    let first = resume(t.pause().await);
    instructed(t.instruct(&first).await);
    granted(t.store().acquire(&t.bid("a"), LIMIT).await);
    t.pause().await;
    let before = t.record().await;
    for late in [first, resume(0), resume(before.edition + 1)] {
        let seen = not_instructed(t.instruct(&late).await).expect("the record");
        assert_eq!(
            (seen.pause, seen.edition),
            (before.pause.clone(), before.edition)
        );
    }
    assert!(
        t.record().await.pause.is_some(),
        "a late resume was applied"
    );
    refused(t.other().acquire(&t.bid("b"), LIMIT).await);
}

pub(super) async fn a_resume_of_an_absent_record_makes_no_record(t: &Trial) {
    for edition in [0, 1] {
        let answer = not_instructed(t.instruct(&resume(edition)).await);
        assert_eq!(answer, None);
    }
    // Nor does a pause of an edition that there is not.
    assert_eq!(not_instructed(t.instruct(&pause(1)).await), None);
    let record = t.store().read(&t.resource, LIMIT).await;
    assert_eq!(record.expect("an answer"), None);
}

pub(super) async fn one_of_many_simultaneous_pauses_applies(t: &Trial) {
    let mut edition = 0;
    for _ in 0..10 {
        let pauses = (0..8).map(|index| {
            let (client, resource) = (t.clients[index % 4].clone(), t.resource.clone());
            let request = async move { client.instruct(&resource, &pause(edition), LIMIT).await };
            tokio::spawn(request)
        });
        let answers = join_all(pauses).await.into_iter();
        let applied = answers.map(|answer| answer.expect("no panic").expect("an answer"));
        let editions: Vec<_> = applied
            .filter_map(|outcome| match outcome {
                InstructOutcome::Instructed { edition } => Some(edition),
                InstructOutcome::Refused(_) => None,
            })
            .collect();
        let [applied] = editions[..] else {
            panic!("several pauses of edition {edition} applied: {editions:?}");
        };
        assert!(edition == 0 || applied == edition + 1);
        edition = t.resume().await;
    }
}

pub(super) async fn an_edition_grows_across_a_purge(t: &Trial) {
    let token = t.held().await;
    t.pause().await;
    let last = t.resume().await;
    released(t.store().release(&t.claim("a", token), None, LIMIT).await);
    deleted(t).await;
    t.held().await;
    assert_grown(t, last).await;
}

pub(super) async fn an_edition_grows_across_a_purge_and_a_pause(t: &Trial) {
    t.pause().await;
    let last = t.resume().await;
    deleted(t).await;
    t.pause().await;
    assert_grown(t, last).await;
    let pause = t.record().await.pause;
    assert!(pause.is_some(), "a late resume was applied");
}

/// Instructions for a record that was deleted do not apply to the present one.
async fn assert_grown(t: &Trial, last: u64) {
    let first = t.record().await.edition;
    assert!(first > last, "{first} after {last}");
    for late in [resume(last - 1), resume(last), pause(last)] {
        not_instructed(t.instruct(&late).await);
    }
}
