use std::error::Error;

use tenure::LockManager;

use crate::{Subject, TTL, samples::Samples};

/// Acquires and releases a guard without contention, and compares it with two raw writes.
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
        let twice = async {
            subject.raw_write(&raw).await?;
            subject.raw_write(&raw).await
        };
        let guarded = async { mutex.guard().await?.release().await };
        if cycle % 2 == 0 {
            samples.time("two writes", twice).await?;
            samples.time("guard", guarded).await?;
        } else {
            samples.time("guard", guarded).await?;
            samples.time("two writes", twice).await?;
        }
    }
    samples.compare_with("two writes");
    Ok(samples)
}
