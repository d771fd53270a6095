use tenure::{Reason, operator::HandOverOutcome, store::StoreErrorKind, testing::Fault};

use crate::support::*;

#[test]
fn a_hand_over_lets_the_named_candidate_lead_next_and_says_how_long_it_took() {
    paused(async {
        let lab = Lab::new();
        let (_first, worker) = lab.candidate("first");
        sleep(1.0).await;
        let (_second, _w2) = lab.candidate("second");
        let (third, _w3) = lab.candidate("third");
        sleep(1.0).await;
        let token = lab.token().await;
        let outcome = lab.operator().hand_over("r", "third").await.unwrap();
        let HandOverOutcome::HandedOver {
            from,
            to,
            token: next,
            took,
        } = outcome
        else {
            panic!("{outcome}");
        };
        assert_eq!((from, to), (name("first"), name("third")));
        assert_eq!(next.get(), token.get() + 1);
        assert!(took < secs(2.6), "{took:?}: the store pushes");
        assert!(third.is_leader());
        let to = name("third");
        let reasons = shared(&worker).await.reasons;
        assert_eq!(
            reasons.lock().unwrap().last(),
            Some(&Reason::HandedOver { to })
        );
    });
}

#[test]
fn if_the_named_candidate_never_shows_up_another_one_leads_after_a_poll() {
    paused(async {
        let lab = Lab::new();
        let (first, _w1) = lab.candidate("first");
        sleep(1.0).await;
        let (second, _w2) = lab.candidate("second");
        sleep(1.0).await;
        let outcome = lab.operator().hand_over("r", "absent").await.unwrap();
        let HandOverOutcome::LedByAnother { by, took, .. } = outcome else {
            panic!("{outcome}");
        };
        // Also the one that was asked to hand over.
        assert_eq!(by == name("second"), second.is_leader());
        assert_eq!(by == name("first"), first.is_leader());
        assert!(took >= secs(2.0) && took < secs(10.0), "{took:?}");
    });
}

#[test]
fn a_guard_does_not_obey_and_the_outcome_says_that_it_still_holds() {
    paused(async {
        let lab = Lab::new();
        let guard = lab.guard("r").await;
        let operator = lab.operator().wait_for(secs(15.0));
        let outcome = operator.hand_over("r", "second").await.unwrap();
        let HandOverOutcome::StillHeld {
            by, token, waited, ..
        } = &outcome
        else {
            panic!("{outcome}");
        };
        assert_eq!((by, *token), (&guard.lease().holder, guard.token()));
        assert!(*waited >= secs(15.0) && !outcome.is_done());
        assert!(guard.is_current());
        assert_eq!(lab.record().await.hand_over, Some(name("second")));
    });
}

#[test]
fn nothing_is_changed_if_there_is_nobody_to_hand_over() {
    paused(async {
        let lab = Lab::new();
        let operator = lab.operator();
        let never = operator.hand_over("r", "second").await.unwrap();
        assert_eq!(never, HandOverOutcome::NeverHeld);
        operator.pause("r", "").await.unwrap();
        operator.resume("r").await.unwrap();
        let paused_only = operator.hand_over("r", "second").await.unwrap();
        assert_eq!(paused_only, HandOverOutcome::NeverHeld);
        let (first, _w1) = lab.candidate("first");
        sleep(1.0).await;
        let outcome = operator.hand_over("r", "first").await.unwrap();
        let token = lab.token().await;
        assert_eq!(outcome, HandOverOutcome::AlreadyLeads { token });
        assert_eq!(lab.record().await.hand_over, None);
        first.shutdown().await.unwrap();
        let outcome = operator.hand_over("r", "second").await.unwrap();
        assert_eq!(outcome, HandOverOutcome::NotHeld);
        operator.pause("r", "upgrade").await.unwrap();
        let outcome = operator.hand_over("r", "second").await.unwrap();
        assert!(matches!(outcome, HandOverOutcome::Paused { note } if note.as_str() == "upgrade"));
        assert_eq!(lab.store.calls().instruct, 3, "the pauses and the resume");
    });
}

#[test]
fn a_lost_reply_is_asked_again_and_a_token_that_no_longer_leads_is_reported() {
    paused(async {
        let lab = Lab::new();
        let (first, _w1) = lab.candidate("first");
        sleep(1.0).await;
        let (second, _w2) = lab.candidate("second");
        sleep(1.0).await;
        // The read is answered, the reply to the instruction is lost. The holder obeys before it is asked again.
        lab.store.script([Fault::None, Fault::LostReply]);
        let operator = lab.operator().poll_every(secs(20.0));
        let outcome = operator.hand_over("r", "second").await.unwrap();
        assert!(
            matches!(outcome, HandOverOutcome::HandedOver { .. }),
            "{outcome}"
        );
        assert!(second.is_leader());
        // The second one steps down while the instruction is on its way.
        lab.store
            .script([Fault::None, Fault::Error(StoreErrorKind::Unavailable)]);
        let stepping_down = async {
            sleep(1.0).await;
            second.step_down().await.unwrap();
        };
        let (outcome, ()) = futures::join!(operator.hand_over("r", "third"), stepping_down);
        let HandOverOutcome::NoLongerLeads { leader, .. } = outcome.unwrap() else {
            panic!("it has led");
        };
        assert_eq!(leader, Some(name("first")));
        assert!(first.is_leader());
    });
}

#[test]
fn an_outcome_serializes_with_its_name_and_milliseconds() {
    paused(async {
        let lab = Lab::new();
        let (_first, _w1) = lab.candidate("first");
        sleep(1.0).await;
        let (_second, _w2) = lab.candidate("second");
        sleep(1.0).await;
        let outcome = lab.operator().hand_over("r", "second").await.unwrap();
        let json = serde_json::to_value(&outcome).unwrap();
        assert_eq!(
            (&json["outcome"], &json["to"]),
            (&"handed_over".into(), &"second".into())
        );
        assert!(json["took_ms"].is_u64(), "{json}");
        let text = outcome.to_string();
        assert!(
            text.starts_with("handed over from first to second (token "),
            "{text}"
        );
    });
}
