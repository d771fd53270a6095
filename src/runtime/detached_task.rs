use std::{any::Any, future::Future, panic::AssertUnwindSafe};

use futures::FutureExt as _;
use tokio::sync::oneshot;

use super::TaskLost;

/// Why a task that sends its results itself has ended without one.
#[derive(Debug)]
pub(crate) struct DetachedTaskEnd(oneshot::Receiver<Box<dyn Any + Send>>);

impl DetachedTaskEnd {
    /// Waits for the end of the task. Dropping the future does not stop the task.
    pub(crate) async fn wait(self) -> TaskLost {
        self.0.await.map_or(TaskLost::Ended, TaskLost::Panicked)
    }
}

/// Makes a task of work that sends its results itself. If the work panics, the end has the payload.
pub(crate) fn detached_task(
    work: impl Future<Output = ()> + Send + 'static,
) -> (impl Future<Output = ()> + Send + 'static, DetachedTaskEnd) {
    let (sender, end) = oneshot::channel();
    let task = async move {
        let done = AssertUnwindSafe(work).catch_unwind().await;
        if let Err(panic) = done {
            // This fails if no caller waits for a result any more.
            let _ = sender.send(panic);
        }
    };
    (task, DetachedTaskEnd(end))
}
