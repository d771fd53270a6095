use std::error::Error;

use tenure::LockManager;

use crate::{Subject, TTL, samples::Samples};

/// Acquires and releases a guard without contention, and compares each with a raw write.
pub(crate) async fn measure(
    subject: &dyn Subject,
    cycles: usize,
) -> Result<Samples, Box<dyn Error>> {
    let store = subject.store();
    store.prepare().await?;
    let unique = format!("bench/{:016x}", rand::random::<u64>());
    let locks = LockManager::builder(store).ttl(TTL).build()?;
    let mutex = locks.mutex(unique.as_str())?;
    let raw = format!("{unique}-raw");
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
    }
    samples.compare_with("raw write");
    Ok(samples)
}
