//! What an operation of a store takes beside a raw write of the same kind on the same client:
//! `cargo bench --bench store_latency --features dynamodb,mongodb`.
//!
//! Runs a raw write, an acquisition, a renewal and a release in turns, a thousand times, and prints the times of
//! each. Then compares the acquisition and the release of a guard with a raw write, with what the store takes for the
//! same, and with a wake-up of another thread and back. It has no bounds: it fails only
//! on errors. It skips a store, and says so, if the address of its server is not in the environment.
//! `STORE_LATENCY_CYCLES` sets the number of cycles.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints what it measured"
)]

#[cfg(feature = "dynamodb")]
mod dynamodb;
mod guards;
#[cfg(feature = "mongodb")]
mod mongodb;
mod samples;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::{env, error::Error, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use tenure::{
    LeaseStore,
    lease::{CandidateId, Lease, ResourceName},
    store::{AcquireOutcome, AttemptId, Bid, ReleaseOutcome, ReleaseTarget, RenewOutcome},
};

use samples::Samples;

/// The time limit of a call.
const LIMIT: Duration = Duration::from_secs(5);

type Done = Result<(), Box<dyn Error>>;

/// A store, and the bare client that it uses.
#[async_trait]
trait Subject {
    fn name(&self) -> &'static str;

    fn store(&self) -> Arc<dyn LeaseStore>;

    /// Writes a record of the same size with the same durability, creating it if it is missing, and reads it
    /// back. If the store writes leases on a condition, so does this, on one that always holds.
    async fn raw_write(&self, key: &str) -> Done;
}

const TTL: Duration = Duration::from_secs(15);

fn bid(resource: &ResourceName, holder: &CandidateId, attempt: AttemptId) -> Bid {
    Bid {
        resource: resource.clone(),
        candidate: holder.clone(),
        attempt,
        ttl: TTL,
        metadata: None,
        reentrant: false,
        replaces: None,
        waited: None,
        internal: false,
    }
}

/// All on one name, as a lock does it; after the first cycle every write is an update.
async fn measure(subject: &dyn Subject, cycles: usize) -> Result<Samples, Box<dyn Error>> {
    let store = subject.store();
    store.prepare().await?;
    let unique = format!("bench/{:016x}", rand::random::<u64>());
    let resource = ResourceName::new(unique.as_str())?;
    let holder = CandidateId::generate();
    let raw = format!("{unique}-raw");
    let warm_up = (cycles / 10).max(1);
    let mut samples = Samples::default();
    for cycle in 0..warm_up + cycles {
        if cycle == warm_up {
            samples = Samples::default();
        }
        // Alternately before and after the acquisition, so that neither always follows the same request.
        let first = cycle % 2 == 0;
        if first {
            samples.time("raw write", subject.raw_write(&raw)).await?;
        }
        let bid = bid(&resource, &holder, AttemptId::new(rand::random()));
        let token = match samples.time("acquire", store.acquire(&bid, LIMIT)).await? {
            AcquireOutcome::Granted { token } => token,
            AcquireOutcome::Refused(record) => return Err(format!("refused: {record:?}").into()),
        };
        if !first {
            samples.time("raw write", subject.raw_write(&raw)).await?;
        }
        let lease = Lease {
            resource: resource.clone(),
            holder: holder.clone(),
            token,
        };
        match samples
            .time("renew", store.renew(&lease, TTL, LIMIT))
            .await?
        {
            RenewOutcome::Renewed { .. } => {}
            RenewOutcome::Lost(record) => return Err(format!("lost: {record:?}").into()),
        }
        let claim = ReleaseTarget::Lease(lease);
        match samples
            .time("release", store.release(&claim, None, LIMIT))
            .await?
        {
            ReleaseOutcome::Released => {}
            ReleaseOutcome::NotHeld(record) => return Err(format!("not held: {record:?}").into()),
        }
    }
    Ok(samples)
}

async fn subjects(folder: &Path) -> Result<Vec<Box<dyn Subject>>, Box<dyn Error>> {
    #[allow(unused_mut, reason = "without a store's feature nothing is pushed")]
    let mut subjects: Vec<Box<dyn Subject>> = Vec::new();
    #[cfg(not(feature = "mongodb"))]
    println!("mongodb: skipped: it needs --features mongodb");
    #[cfg(feature = "mongodb")]
    match env::var("TENURE_MONGODB_URL") {
        Ok(url) => subjects.push(Box::new(mongodb::Mongo::open(&url).await?)),
        Err(_) => println!("mongodb: skipped: TENURE_MONGODB_URL is not set"),
    }
    #[cfg(feature = "dynamodb")]
    for (name, variable) in [
        ("dynamodb, on dynoxide", "TENURE_DYNAMODB_URL"),
        ("dynamodb, on DynamoDB Local", "TENURE_DYNAMODB_LOCAL_URL"),
    ] {
        match env::var(variable) {
            Ok(url) => subjects.push(Box::new(dynamodb::Dynamo::open(name, &url).await?)),
            Err(_) => println!("{name}: skipped: {variable} is not set"),
        }
    }
    #[cfg(feature = "sqlite")]
    subjects.push(Box::new(sqlite::Sqlite::open(folder)?));
    Ok(subjects)
}

#[tokio::main]
async fn main() -> Done {
    let cycles = env::var("STORE_LATENCY_CYCLES").map_or(Ok(1000), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    for subject in subjects(folder.path()).await? {
        let samples = measure(subject.as_ref(), cycles).await?;
        println!("{}, {cycles} cycles", subject.name());
        println!("{samples}");
        println!("{}", guards::measure(subject.as_ref(), cycles).await?);
    }
    Ok(())
}
