use std::{future::Future, io};

use actix::ArbiterHandle;

use super::{
    locks,
    task_with_result::{TaskLost, task_with_result},
};

/// A thread of this crate that runs tasks. If it ends, no other takes its place: sockets belong to the runtime
/// on which they were opened.
#[derive(Clone, Debug)]
pub(crate) struct LibraryThread(ArbiterHandle);

impl LibraryThread {
    /// The thread of the lock actors.
    pub(crate) fn of_locks() -> io::Result<Self> {
        locks().map(Self)
    }

    /// Starts a task in the background. False if the thread has ended.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> bool {
        self.0.spawn(work)
    }

    /// Runs a task on the thread and waits for it on any runtime. Dropping the future drops the task.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, TaskLost> {
        let (task, result) = task_with_result(work);
        if !self.spawn(task) {
            return Err(TaskLost::Gone);
        }
        result.wait().await
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, sync::mpsc, thread, time::Duration};

    use futures::FutureExt as _;

    use super::*;
    use crate::runtime::{system, text_of};

    /// Waits on a runtime without timers and I/O.
    fn block_on<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(work)
    }

    /// A thread that a test may end.
    fn thread_to_end() -> LibraryThread {
        LibraryThread(system("test-thread").unwrap())
    }

    #[test]
    fn a_task_runs_on_the_thread_whatever_runtime_waits_for_it() {
        let name = || thread::current().name().map(str::to_owned);
        let done = block_on(thread_to_end().run(async move {
            // Needs the runtime of the thread.
            tokio::time::sleep(Duration::from_millis(1)).await;
            name()
        }));
        assert_eq!(done.unwrap().as_deref(), Some("test-thread"));
    }

    #[test]
    fn a_task_that_panics_reports_it_and_leaves_the_thread_alive() {
        let thread = thread_to_end();
        let lost = block_on(thread.run(async { panic!("odd {}", 1) }));
        let Err::<(), _>(TaskLost::Panicked(panic)) = lost else {
            panic!("{lost:?}");
        };
        assert_eq!(text_of(&*panic), "odd 1");
        assert_eq!(block_on(thread.run(async { 1 })).unwrap(), 1);
    }

    #[test]
    fn dropping_the_future_drops_the_task() {
        struct NotifyOnDrop(mpsc::Sender<()>);
        impl Drop for NotifyOnDrop {
            fn drop(&mut self) {
                let _ = self.0.send(());
            }
        }
        let (thread, (tell, told)) = (thread_to_end(), mpsc::channel());
        let (begin, begun) = mpsc::channel();
        let witness = NotifyOnDrop(tell);
        let mut call = Box::pin(thread.run(async move {
            let _witness = witness;
            let _ = begin.send(());
            pending::<()>().await;
        }));
        assert!(call.as_mut().now_or_never().is_none());
        begun.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(told.try_recv().is_err(), "dropped too early");
        drop(call);
        told.recv_timeout(Duration::from_secs(10)).unwrap();
    }

    #[test]
    fn a_task_whose_future_was_dropped_before_it_began_is_not_started() {
        let (thread, (tell, told)) = (thread_to_end(), mpsc::channel());
        let (free, wait) = mpsc::channel::<()>();
        assert!(thread.spawn(async move { assert!(wait.recv().is_err(), "nothing is sent") }));
        let mut call = Box::pin(thread.run(async move { tell.send(()) }));
        assert!(call.as_mut().now_or_never().is_none());
        drop(call);
        drop(free);
        // Fails once the task is dropped, with its sender, and has sent nothing.
        assert!(told.recv_timeout(Duration::from_secs(10)).is_err());
        assert_eq!(block_on(thread.run(async { 1 })).unwrap(), 1);
    }

    #[test]
    fn a_task_for_a_thread_that_has_ended_is_not_started() {
        let thread = thread_to_end();
        let lost = block_on(thread.run(async {
            actix::System::current().stop();
            pending::<()>().await;
        }));
        assert!(matches!(lost, Err(TaskLost::Ended)), "{lost:?}");
        while thread.0.alive() {
            thread::yield_now();
        }
        let lost = block_on(thread.run(async {}));
        assert!(matches!(lost, Err(TaskLost::Gone)), "{lost:?}");
    }
}
