use std::{sync::Arc, time::Duration};

use futures::FutureExt as _;
use tenure::{
    MemoryStore, Once, Operator,
    lease::{InvalidName, Scope},
    operator::OperatorError,
    store::EvictionMode,
};

use crate::support::*;

#[test]
fn a_purge_younger_than_an_hour_is_refused_without_a_request() {
    paused(async {
        let lab = Lab::new();
        let operator = lab.operator();
        let scope = Scope::root();
        let error = operator.purge(&scope, secs(3599.0)).await.unwrap_err();
        assert!(matches!(error, OperatorError::PurgeTooYoung { .. }));
        let text = error.to_string();
        assert!(
            text.contains("59 min 59 s") && text.contains("give it 1 h or more"),
            "{text}"
        );
        assert_eq!(
            serde_json::to_value(&error).unwrap()["error"],
            "purge_too_young"
        );
        assert_eq!(lab.store.calls().purge, 0);
        assert_eq!(operator.purge(&scope, secs(3600.0)).await.unwrap(), 0);
    });
}

#[test]
fn names_and_notes_that_are_not_accepted_are_typed_errors() {
    paused(async {
        let lab = Lab::new();
        let operator = lab.operator();
        let long = "x".repeat(257);
        let error = operator.pause("r", &long).await.unwrap_err();
        let too_long = |error: &OperatorError| {
            matches!(
                error,
                OperatorError::Name(InvalidName::TooLong { len: 257, .. })
            )
        };
        assert!(too_long(&error), "{error}");
        let error = operator
            .pause_scope(&Scope::root(), &long)
            .await
            .unwrap_err();
        assert!(too_long(&error), "{error}");
        let error = operator.hand_over("r", long.as_str()).await.unwrap_err();
        assert!(too_long(&error), "{error}");
        assert!(matches!(
            operator.resume("").await,
            Err(OperatorError::Name(_))
        ));
        assert!(matches!(
            operator.read("a\n").await,
            Err(OperatorError::Name(_))
        ));
        assert_eq!(lab.store.calls().total(), 0);
    });
}

#[test]
fn a_record_of_the_library_takes_no_command() {
    paused(async {
        let lab = Lab::new();
        let once = Once::builder(Arc::new(lab.memory.clone()), "job");
        let once = once.build_on_current_runtime().unwrap();
        once.run(|| async { Ok::<_, ()>(()) }).await.unwrap();
        let operator = lab.operator();
        let mark = "job/done";
        let errors = [
            operator.pause(mark, "").await.unwrap_err(),
            operator.resume(mark).await.unwrap_err(),
            operator.hand_over(mark, "me").await.unwrap_err(),
            operator.evict(mark, EvictionMode::Force).await.unwrap_err(),
        ];
        for error in errors {
            let internal =
                matches!(&error, OperatorError::Internal { resource } if resource.as_str() == mark);
            assert!(internal, "{error}");
        }
        assert_eq!(lab.store.calls().instruct + lab.store.calls().evict, 0);
    });
}

#[test]
fn odd_times_are_accepted() {
    paused(async {
        let lab = Lab::new();
        // The time of day of a test begins in 1970, which is as long ago as a purge can ask for.
        sleep(1.0).await;
        let operator = lab
            .operator()
            .call_timeout(Duration::ZERO)
            .poll_every(Duration::ZERO);
        let operator = operator.wait_for(Duration::ZERO);
        assert!(operator.pause("r", "").await.unwrap().is_done());
        let operator = operator.call_timeout(Duration::MAX).wait_for(Duration::MAX);
        operator.resume("r").await.unwrap();
        assert_eq!(
            operator.purge(&Scope::root(), Duration::MAX).await.unwrap(),
            0
        );
    });
}

/// Waits on a runtime without timers.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(work)
}

#[test]
fn a_command_works_on_any_runtime_and_without_one() {
    let operator = Operator::new(Arc::new(MemoryStore::new()));
    let outcome = block_on(operator.pause("r", "")).unwrap();
    assert!(outcome.is_done());
    let operator = operator.on_current_runtime();
    let mut here = Box::pin(operator.read("r"));
    // Polled outside any runtime.
    let Some(Err(error)) = here.as_mut().now_or_never() else {
        panic!("it waits");
    };
    assert!(matches!(error, OperatorError::NoRuntime));
}
