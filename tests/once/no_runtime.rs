//! Work that was built for the current runtime, where there is none.

use std::{fmt, future::ready, sync::Arc};

use futures::FutureExt as _;
use tenure::{MemoryStore, Once, once::OnceError};

fn assert_no_runtime<T, E: fmt::Debug + fmt::Display>(outcome: Result<T, OnceError<E>>) {
    let text = outcome.map(drop).unwrap_err().to_string();
    assert!(
        text.starts_with("this work runs on the current tokio runtime"),
        "{text}"
    );
}

/// Every call fails.
async fn assert_calls_fail(once: &Once) {
    assert_no_runtime(once.run(|| ready(Ok::<_, String>(()))).await);
    assert_no_runtime(once.run_with(|_| ready(Ok::<_, String>(()))).await);
    assert_no_runtime(once.status().await);
    assert_no_runtime(once.reset().await);
}

fn once() -> Once {
    let builder = Once::builder(Arc::new(MemoryStore::new()), "m");
    builder.build_on_current_runtime().unwrap()
}

#[test]
fn a_call_outside_a_runtime_returns_an_error() {
    let calls = once();
    let calls = assert_calls_fail(&calls).now_or_never();
    calls.expect("they do not wait");
}

#[test]
fn a_call_on_a_runtime_without_timers_returns_an_error() {
    let without_timers = tokio::runtime::Builder::new_current_thread().build();
    without_timers.unwrap().block_on(assert_calls_fail(&once()));
}
