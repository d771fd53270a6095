use tenure::{
    LeaseStore as _, Reason,
    lease::Note,
    operator::{PauseOutcome, ResumeOutcome},
    store::{InstructOutcome, Instruction, StoreErrorKind},
    testing::Fault,
};

use crate::support::*;

#[test]
fn a_pause_is_done_when_the_work_has_stopped_and_lasts_until_it_is_resumed() {
    paused(async {
        let lab = Lab::new();
        let (first, worker) = lab.candidate("first");
        sleep(1.0).await;
        let worker = shared(&worker).await;
        *worker.stopping_takes.lock().unwrap() = secs(4.0);
        let outcome = lab.operator().pause("r", "database upgrade").await.unwrap();
        let PauseOutcome::Paused { took } = outcome else {
            panic!("{outcome}");
        };
        assert!(took >= secs(4.0) && took < secs(7.0), "{took:?}");
        assert_eq!(worker.reasons.lock().unwrap().last(), Some(&Reason::Paused));
        assert!(!lab.record().await.is_held() && !first.is_leader());
        drop(first);
        // Also a new process does not lead.
        let (second, _w2) = lab.candidate("second");
        sleep(60.0).await;
        assert!(!second.is_leader());
        let operator = lab.operator();
        assert_eq!(operator.resume("r").await.unwrap(), ResumeOutcome::Resumed);
        sleep(3.0).await;
        assert!(second.is_leader());
        assert_eq!(
            operator.resume("r").await.unwrap(),
            ResumeOutcome::NotPaused
        );
    });
}

#[test]
fn the_outcome_names_a_guard_that_goes_on() {
    paused(async {
        let lab = Lab::new();
        let guard = lab.guard("r").await;
        let outcome = lab.operator().pause("r", "").await.unwrap();
        let PauseOutcome::StillHeld { by, waited, .. } = &outcome else {
            panic!("{outcome}");
        };
        assert_eq!(by, &guard.lease().holder);
        assert!(*waited >= secs(60.0) && *waited < secs(61.0) && guard.is_current());
        // The same command waits for it again.
        let again = async { lab.operator().pause("r", "").await.unwrap() };
        let releasing = async {
            sleep(5.0).await;
            guard.release().await.unwrap();
        };
        let (outcome, ()) = futures::join!(again, releasing);
        assert!(outcome.is_done(), "{outcome}");
    });
}

/// The simulation found it: a command that was answered "done" was undone by an earlier one that came late.
#[test]
fn a_command_also_stops_the_opposite_one_that_is_still_on_its_way() {
    paused(async {
        let lab = Lab::new();
        let (operator, resource) = (lab.operator(), "r".parse().unwrap());
        operator.pause("r", "").await.unwrap();
        // A resume of this edition is sent, its answer is lost, and the operator thinks better of it.
        let edition = lab.record().await.edition;
        operator.pause("r", "").await.unwrap();
        let late = Instruction::Resume { edition };
        let late = lab.store.instruct(&resource, &late, LIMIT).await.unwrap();
        assert!(matches!(late, InstructOutcome::Refused(_)), "{late:?}");
        assert!(lab.record().await.pause.is_some());
        operator.resume("r").await.unwrap();
        let edition = lab.record().await.edition;
        let outcome = operator.resume("r").await.unwrap();
        assert_eq!(outcome, ResumeOutcome::NotPaused);
        let note = Note::default();
        let late = Instruction::Pause { note, edition };
        let late = lab.store.instruct(&resource, &late, LIMIT).await.unwrap();
        assert!(matches!(late, InstructOutcome::Refused(_)), "{late:?}");
        assert_eq!(lab.record().await.pause, None);
    });
}

#[test]
fn a_lease_that_is_left_to_expire_is_waited_for() {
    paused(async {
        let lab = Lab::new();
        let guard = lab.guard("r").await;
        std::mem::forget(guard);
        let (resource, token) = ("r".parse().unwrap(), lab.token().await);
        let mode = tenure::store::EvictionMode::Close;
        lab.memory
            .evict(&resource, token, mode, LIMIT)
            .await
            .unwrap();
        let outcome = lab.operator().pause("r", "").await.unwrap();
        let PauseOutcome::Paused { took } = outcome else {
            panic!("{outcome}");
        };
        assert!(took > secs(5.0) && took <= secs(10.5), "{took:?}");
    });
}

#[test]
fn a_name_that_was_never_led_can_be_paused() {
    paused(async {
        let lab = Lab::new();
        let outcome = lab.operator().pause("r", "not yet").await.unwrap();
        assert!(outcome.is_done());
        let record = lab.record().await;
        assert_eq!(record.history.len(), 0);
        let (lock, _worker) = lab.candidate("first");
        sleep(60.0).await;
        assert!(!lock.is_leader());
    });
}

#[test]
fn a_lost_reply_raises_the_edition_once_and_another_note_replaces_the_first() {
    paused(async {
        let lab = Lab::new();
        lab.store.script([Fault::None, Fault::LostReply]);
        let operator = lab.operator();
        assert!(operator.pause("r", "one").await.unwrap().is_done());
        let first = lab.record().await;
        assert_eq!(first.edition, first.token.get(), "that of the creation");
        assert!(operator.pause("r", "two").await.unwrap().is_done());
        let record = lab.record().await;
        assert_eq!(
            (record.edition, record.pause.unwrap().note.as_str()),
            (first.edition + 1, "two")
        );
        lab.store.script([Fault::None, Fault::LostReply]);
        assert_eq!(operator.resume("r").await.unwrap(), ResumeOutcome::Resumed);
        assert_eq!(lab.record().await.edition, first.edition + 2);
    });
}

#[test]
fn a_store_that_fails_is_asked_three_times() {
    paused(async {
        let lab = Lab::new();
        lab.store.always(Fault::Error(StoreErrorKind::Unavailable));
        let error = lab.operator().pause("r", "").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "memory read: unavailable: injected fault"
        );
        assert_eq!(lab.store.calls().read, 3);
        lab.store.always(Fault::Hang);
        let start = tokio::time::Instant::now();
        let error = lab.operator().read("r").await.unwrap_err();
        assert!(error.to_string().contains("no answer within"), "{error}");
        assert_eq!(
            start.elapsed(),
            secs(6.5),
            "three times 2 s, and the pauses"
        );
        lab.store.always(Fault::Error(StoreErrorKind::Denied));
        lab.operator().read("r").await.unwrap_err();
        assert_eq!(lab.store.calls().read, 7, "no retry fixes that");
    });
}

#[test]
fn an_operator_that_is_overtaken_begins_again_and_says_if_it_was_resumed() {
    paused(async {
        let lab = Lab::new();
        let _guard = lab.guard("r").await;
        // Another operator pauses and resumes between the read and the instruction.
        lab.store.script([Fault::None, Fault::Delay(secs(1.0))]);
        let other = lab.operator();
        let resource = "r".parse().unwrap();
        let first = lab.record().await.edition;
        let overtaking = async {
            sleep(0.5).await;
            let note = Default::default();
            for instruction in [
                Instruction::Pause {
                    note,
                    edition: first,
                },
                Instruction::Resume { edition: first + 1 },
            ] {
                lab.memory
                    .instruct(&resource, &instruction, LIMIT)
                    .await
                    .unwrap();
            }
            sleep(10.0).await;
            let edition = lab.record().await.edition;
            assert_eq!(edition, first + 3, "paused by the first one");
            other.resume("r").await.unwrap();
        };
        let operator = lab.operator();
        let (outcome, ()) = futures::join!(operator.pause("r", "mine"), overtaking);
        assert_eq!(outcome.unwrap(), PauseOutcome::ResumedMeanwhile);
    });
}
