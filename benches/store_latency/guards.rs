use std::{error::Error, thread};

use tenure::{
    LockManager,
    lease::{CandidateId, Lease, ResourceName},
    store::{AcquireOutcome, AttemptId, ReleaseTarget},
};
use tokio::{
    runtime,
    sync::{mpsc, oneshot},
};

use crate::{LIMIT, Subject, TTL, bid, samples::Samples};

/// Acquires and releases a guard without contention, and compares each with a raw write. Beside it, what the store
/// takes for the same, and what it costs to wake a task on another thread and to be woken by it.
pub(crate) async fn measure(
    subject: &dyn Subject,
    cycles: usize,
) -> Result<Samples, Box<dyn Error>> {
    let store = subject.store();
    store.prepare().await?;
    let unique = format!("bench/{:016x}", rand::random::<u64>());
    let locks = LockManager::builder(store.clone()).ttl(TTL).build()?;
    let mutex = locks.mutex(unique.as_str())?;
    let raw = format!("{unique}-raw");
    let (resource, holder) = (
        ResourceName::new(format!("{unique}-store"))?,
        CandidateId::generate(),
    );
    let echo = echo()?;
    let warm_up = (cycles / 10).max(1);
    let mut samples = Samples::default();
    for cycle in 0..warm_up + cycles {
        if cycle == warm_up {
            samples = Samples::default();
        }
        let first = cycle % 2 == 0;
        if first {
            samples.time("raw write", subject.raw_write(&raw)).await?;
        }
        let guard = samples.time("guard acquired", mutex.guard()).await?;
        if !first {
            samples.time("raw write", subject.raw_write(&raw)).await?;
        }
        samples.time("guard released", guard.release()).await?;
        let bid = bid(&resource, &holder, AttemptId::new(rand::random()));
        let granted = samples.time("store, acquire", store.acquire(&bid, LIMIT));
        let AcquireOutcome::Granted { token } = granted.await? else {
            return Err("a free lease was refused".into());
        };
        let lease = Lease {
            resource: resource.clone(),
            holder: holder.clone(),
            token,
        };
        let target = ReleaseTarget::Lease(lease);
        let released = samples.time("store, release", store.release(&target, None, LIMIT));
        released.await?;
        let (answer, answered) = oneshot::channel();
        let there_and_back = async {
            // It fails only if the other thread has panicked.
            let _ = echo.send(answer);
            answered.await
        };
        samples.time("thread and back", there_and_back).await?;
    }
    samples.compare_with("raw write");
    Ok(samples)
}

/// A thread like that of the library. It answers until the sender is dropped.
fn echo() -> Result<mpsc::UnboundedSender<oneshot::Sender<()>>, Box<dyn Error>> {
    let (ask, mut asked) = mpsc::unbounded_channel::<oneshot::Sender<()>>();
    let runtime = runtime::Builder::new_current_thread().build()?;
    thread::spawn(move || {
        runtime.block_on(async {
            while let Some(answer) = asked.recv().await {
                let _ = answer.send(());
            }
        });
    });
    Ok(ask)
}
