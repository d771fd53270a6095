use std::{future::Future, panic::catch_unwind, time::Duration};

use tokio::runtime::Handle;

use super::task_with_result::{TaskLost, task_with_result};

/// Starts a task on the tokio runtime that polls the caller. False if there is none with timers.
pub(crate) fn spawn_on_current_tokio(work: impl Future<Output = ()> + Send + 'static) -> bool {
    let runtime = current_tokio();
    runtime.map(|runtime| runtime.spawn(work)).is_some()
}

/// Runs a task there and waits for it on any runtime. Dropping the future drops the task.
pub(crate) async fn run_on_current_tokio<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, TaskLost> {
    let (task, result) = task_with_result(work);
    if !spawn_on_current_tokio(task) {
        return Err(TaskLost::Gone);
    }
    result.wait().await
}

fn current_tokio() -> Option<Handle> {
    let runtime = Handle::try_current().ok()?;
    // The only way to ask. It panics on a runtime without timers: the panic hook runs, and `panic = "abort"` ends
    // the process. `LockError::NoRuntime` documents that.
    let has_timers = catch_unwind(|| drop(tokio::time::sleep(Duration::ZERO))).is_ok();
    has_timers.then_some(runtime)
}
