use std::{future::Future, io, panic::AssertUnwindSafe, pin::pin};

use actix::ArbiterHandle;
use futures::{
    FutureExt as _,
    future::{Either, select},
};
use tokio::sync::oneshot;

use super::{locks, text_of};

/// Why there is no result of work that a thread was given.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TaskLost {
    /// The thread is not there any more; the work was not begun.
    Gone,
    /// The thread ended before the work did.
    Ended,
    /// The work panicked with this message.
    Panicked(String),
}

/// One thread with a runtime. It is never replaced by another: sockets stay where they were opened.
#[derive(Clone, Debug)]
pub(crate) struct LibraryThread(ArbiterHandle);

impl LibraryThread {
    /// The thread of the lock actors.
    pub(crate) fn of_locks() -> io::Result<Self> {
        locks().map(Self)
    }

    /// Starts work whose end nobody is told. False if the thread is gone.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> bool {
        self.0.spawn(work)
    }

    /// Does the work there, whatever runtime waits for it. It is dropped when nobody waits any more.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, TaskLost> {
        let (mut tell, told) = oneshot::channel();
        let task = async move {
            let done = {
                let work = pin!(AssertUnwindSafe(work).catch_unwind());
                // In this order: work whose caller has left while the thread was busy is not begun.
                match select(pin!(tell.closed()), work).await {
                    Either::Left(_) => return,
                    Either::Right((done, _)) => done,
                }
            };
            // Nobody is told only if the caller has left in this moment.
            let _ = tell.send(done.map_err(|panic| TaskLost::Panicked(text_of(&*panic))));
        };
        if !self.spawn(task) {
            return Err(TaskLost::Gone);
        }
        told.await.unwrap_or(Err(TaskLost::Ended))
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, sync::mpsc, thread, time::Duration};

    use super::*;
    use crate::runtime::system;

    /// Waits on a runtime that can do nothing but wait.
    fn block_on<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(work)
    }

    /// A thread that a test may end.
    fn host() -> LibraryThread {
        LibraryThread(system("test-host").unwrap())
    }

    #[test]
    fn work_is_done_on_the_thread_whatever_waits_for_it() {
        let name = || thread::current().name().map(str::to_owned);
        let done = block_on(host().run(async move {
            // Needs the runtime of the thread.
            tokio::time::sleep(Duration::from_millis(1)).await;
            name()
        }));
        assert_eq!(done, Ok(Some("test-host".to_owned())));
    }

    #[test]
    fn work_that_panics_says_so_and_leaves_the_thread_alive() {
        let host = host();
        let lost = block_on(host.run(async { panic!("odd {}", 1) }));
        assert_eq!(lost, Err::<(), _>(TaskLost::Panicked("odd 1".to_owned())));
        assert_eq!(block_on(host.run(async { 1 })), Ok(1));
    }

    #[test]
    fn work_for_which_nobody_waits_is_dropped() {
        struct Dropped(mpsc::Sender<()>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                let _ = self.0.send(());
            }
        }
        let (host, (tell, told)) = (host(), mpsc::channel());
        let (begin, begun) = mpsc::channel();
        let witness = Dropped(tell);
        let mut call = Box::pin(host.run(async move {
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
    fn work_whose_caller_left_before_its_turn_is_not_begun() {
        let (host, (tell, told)) = (host(), mpsc::channel());
        let (free, wait) = mpsc::channel::<()>();
        assert!(host.spawn(async move { assert!(wait.recv().is_err(), "it is never told") }));
        let mut call = Box::pin(host.run(async move { tell.send(()) }));
        assert!(call.as_mut().now_or_never().is_none());
        drop(call);
        drop(free);
        // Whatever the work has said, it said before this end of the line is dropped with it.
        assert!(told.recv_timeout(Duration::from_secs(10)).is_err());
        assert_eq!(block_on(host.run(async { 1 })), Ok(1));
    }

    #[test]
    fn work_for_a_thread_that_has_ended_is_not_begun() {
        let host = host();
        let lost = block_on(host.run(async {
            actix::System::current().stop();
            pending::<()>().await;
        }));
        assert_eq!(lost, Err(TaskLost::Ended));
        while host.0.alive() {
            thread::yield_now();
        }
        assert_eq!(block_on(host.run(async {})), Err(TaskLost::Gone));
    }
}
