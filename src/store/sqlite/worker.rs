use std::{
    any::Any,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{
    failure::{Failure, RequestResult},
    session::Session,
};
use crate::{duration::human, store::StoreErrorKind};

type Job = Box<dyn FnOnce(&mut Session) + Send>;

/// The thread that owns the session. It ends when the last clone of its worker is dropped.
#[derive(Clone, Debug)]
pub(super) struct Worker(mpsc::Sender<Job>);

impl Worker {
    pub(super) fn start(mut session: Session) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        thread::Builder::new()
            .name("tenure-sqlite".to_owned())
            .spawn(move || {
                while let Ok(job) = queue.recv() {
                    job(&mut session);
                }
            })?;
        Ok(Self(jobs))
    }

    /// Runs `work` on the thread, which waits for other connections for at most `limit`. If the caller has
    /// dropped its request by then, or the limit has passed in the queue, `work` does not run.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce(&mut Session) -> RequestResult<T> + Send + 'static,
    ) -> RequestResult<T> {
        let caller = Arc::new(());
        let (reply, answer) = oneshot::channel();
        let waiting = Arc::downgrade(&caller);
        // The busy limit counts from now, so that the waits of queued requests do not add up.
        let since = Instant::now();
        let job = move |session: &mut Session| {
            if waiting.strong_count() == 0 {
                return;
            }
            if since.elapsed() >= limit {
                let _ = reply.send(Err(overtaken(limit)));
                return;
            }
            let done = catch_unwind(AssertUnwindSafe(|| {
                session.begin(since, limit, waiting)?;
                work(session)
            }));
            let done = done.unwrap_or_else(|panic| {
                // If this fails, the next request tries it again before it begins.
                let _ = session.end_transaction();
                Err(panicked(&*panic))
            });
            let _ = reply.send(done);
        };
        if self.0.send(Box::new(job)).is_err() {
            let message = "the thread of the store has ended: open the store again";
            return Err(Failure::unavailable(message));
        }
        let answer = answer.await;
        drop(caller);
        answer.unwrap_or_else(|_| {
            let message = "the thread of the store ended during the request: open the store again";
            Err(Failure::new(StoreErrorKind::Unknown, message))
        })
    }
}

fn overtaken(limit: Duration) -> Failure {
    Failure::unavailable(format!(
        "not begun within {}, because earlier requests of this store took the time: open another store for \
         long lists, and look for a slow disk",
        human(limit)
    ))
}

fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text.as_str(),
        _ => "without a message",
    };
    Failure::new(
        StoreErrorKind::Unknown,
        format!("the request panicked: {text}"),
    )
}
