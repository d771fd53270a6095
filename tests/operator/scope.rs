use tenure::{
    Once,
    lease::Scope,
    operator::{PauseOutcome, ResumeOutcome},
};

use crate::support::*;

fn jobs() -> Scope {
    Scope::new("jobs").unwrap()
}

#[test]
fn a_scope_is_paused_with_an_outcome_for_each_of_its_records() {
    paused(async {
        let lab = Lab::new();
        let (_a, _wa) = lab.candidate_of("jobs/a", "me");
        let (other, _wo) = lab.candidate_of("other", "me");
        sleep(1.0).await;
        let guard = lab.guard("jobs/b").await;
        let operator = lab.operator().wait_for(secs(20.0));
        let start = tokio::time::Instant::now();
        let outcomes = operator.pause_scope(&jobs(), "upgrade").await.unwrap();
        assert!(start.elapsed() < secs(21.0));
        let names: Vec<_> = outcomes.iter().map(|it| it.resource.as_str()).collect();
        assert_eq!(names, ["jobs/a", "jobs/b"]);
        assert!(
            matches!(outcomes[0].result, Ok(PauseOutcome::Paused { took }) if took < secs(6.0))
        );
        assert!(matches!(
            outcomes[1].result,
            Ok(PauseOutcome::StillHeld { .. })
        ));
        assert!(guard.is_current() && other.is_leader());
        let json = serde_json::to_value(&outcomes).unwrap();
        assert_eq!(json[0]["resource"], "jobs/a");
        assert_eq!(json[0]["outcome"], "paused");
        assert_eq!(json[1]["outcome"], "still_held");
        // A name that comes later is not paused.
        let (later, _wl) = lab.candidate_of("jobs/c", "me");
        sleep(1.0).await;
        assert!(later.is_leader());
        let outcomes = operator.resume_scope(&jobs()).await.unwrap();
        let outcomes: Vec<_> = outcomes.into_iter().map(|it| it.result.unwrap()).collect();
        let resumed = ResumeOutcome::Resumed;
        assert_eq!(outcomes, [resumed, resumed, ResumeOutcome::NotPaused]);
    });
}

#[test]
fn a_list_has_the_records_of_the_library_and_a_pause_of_the_scope_spares_them() {
    paused(async {
        let lab = Lab::new();
        let store = std::sync::Arc::new(lab.memory.clone());
        let once = Once::builder(store, "jobs/once");
        let once = once.build_on_current_runtime().unwrap();
        once.run(|| async { Ok::<_, ()>(()) }).await.unwrap();
        let operator = lab.operator();
        let scope = Scope::new("jobs/once").unwrap();
        let records = operator.list(&scope).await.unwrap();
        assert_eq!((records.len(), records[0].internal), (1, true));
        assert!(operator.pause_scope(&scope, "").await.unwrap().is_empty());
        let read = operator.read("jobs/once/done").await.unwrap().unwrap();
        assert_eq!((read.edition, &read.pause), (records[0].edition, &None));
    });
}
