use std::{any::Any, future::Future, panic::AssertUnwindSafe, pin::pin};

use futures::{
    FutureExt as _,
    future::{Either, select},
};
use tokio::sync::oneshot;

/// Why a task did not complete.
#[derive(Debug)]
pub(crate) enum TaskLost {
    /// There was nothing to run the task on; it was not started.
    Gone,
    /// The thread or the runtime ended before the task did.
    Ended,
    /// The task panicked with this payload.
    Panicked(Box<dyn Any + Send>),
}

/// The result of a task, which the caller waits for on any runtime.
#[derive(Debug)]
pub(super) struct TaskResult<T>(oneshot::Receiver<Result<T, TaskLost>>);

impl<T> TaskResult<T> {
    /// Waits for the task. Dropping the future drops the task.
    pub(super) async fn wait(self) -> Result<T, TaskLost> {
        self.0.await.unwrap_or(Err(TaskLost::Ended))
    }
}

/// Makes a task of this work. Start the task, then wait for its result.
pub(super) fn task_with_result<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> (impl Future<Output = ()> + Send + 'static, TaskResult<T>) {
    let (mut sender, result) = oneshot::channel();
    let task = async move {
        let done = {
            let work = pin!(AssertUnwindSafe(work).catch_unwind());
            // In this order: if the caller dropped the result before the task began, the work is not started.
            match select(pin!(sender.closed()), work).await {
                Either::Left(_) => return,
                Either::Right((done, _)) => done,
            }
        };
        // This fails only if the caller drops the result at this moment.
        let _ = sender.send(done.map_err(TaskLost::Panicked));
    };
    (task, TaskResult(result))
}
