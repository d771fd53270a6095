//! Stores with one planted fault each. The case that names the fault must fail.

mod acquire;
mod client;
mod shared_owner;

use std::{
    any::Any,
    collections::BTreeMap,
    sync::{Arc, Mutex, Weak, atomic::AtomicU64},
    time::Duration,
};

use async_trait::async_trait;

use self::client::Client;
use super::{Capabilities, Subject};
use crate::{
    store::{LeaseStore, StoredRecord},
    testing::ManualClock,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    NoCompareAndSet,
    NoCompareAndSetOnFreeKeys,
    TokenResetOnRelease,
    TokenKeptOnExpiry,
    ReleaseWithoutOwnerCheck,
    ReleaseByAnyAttempt,
    ReleaseByOwnerRefused,
    ReleaseByAnyOwner,
    ReleaseByOwnerUndoesOneBid,
    TokenResetOnReleaseByOwner,
    ReleaseByOwnerForgetsTheAttempt,
    ReleaseByOwnerChecksTheExpiry,
    ReleaseByOwnerMakesARecord,
    ExpiryByTheCallersClock,
    SameAttemptWithoutWrite,
    ExpiredAttemptGetsItsTokenBack,
    ReleasedAttemptGranted,
    EveryBidIsReentrant,
    ReentrantBidRefused,
    ReentrantBidTakesFromAnybody,
    ReentrantBidKeepsTheExpiry,
    ReentrantBidTakesAClosingLease,
    ExpiredLeaseRenewed,
    RenewalWithoutTokenCheck,
    RenewalDoesNotExtend,
    RenewalNeverShortens,
    RenewalKeepsTheTtl,
    EvictionFreesAtOnce,
    EvictedLeaseRenewed,
    EvictionWithoutTokenCheck,
    ExpiryByTheBiddersTtl,
    RefusalWrites,
    NamesLowercased,
    ListIncludesSubscopes,
    MetadataTruncated,
    HistoryForgotten,
    ObservationFromTheRequest,
    VersionSetByTheClient,
    LimitIgnored,
}

/// The database: its records, its clock and its state.
#[derive(Debug)]
struct Database {
    records: Mutex<BTreeMap<String, StoredRecord>>,
    clock: ManualClock,
    clients: AtomicU64,
    /// Alive while the database does not answer writes.
    stalled: Mutex<Weak<()>>,
}

/// A subject whose store has this fault, or no fault.
pub(super) struct Broken {
    fault: Option<Fault>,
    shared: Arc<Database>,
}

impl Broken {
    pub(super) fn new(fault: impl Into<Option<Fault>>) -> Self {
        Self {
            fault: fault.into(),
            shared: Arc::new(Database {
                records: Mutex::default(),
                clock: ManualClock::new(),
                clients: AtomicU64::new(0),
                stalled: Mutex::default(),
            }),
        }
    }
}

#[async_trait]
impl Subject for Broken {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::new(Duration::from_secs(10));
        capabilities.observed = matches!(
            self.fault,
            Some(Fault::ObservationFromTheRequest | Fault::VersionSetByTheClient)
        );
        capabilities
    }

    async fn client(&self) -> Arc<dyn LeaseStore> {
        Arc::new(Client::new(self.fault, self.shared.clone()))
    }

    async fn pass(&self, time: Duration) {
        self.shared.clock.advance(time);
    }

    async fn stall(&self) -> Option<Box<dyn Any + Send>> {
        let stalled = Arc::new(());
        *self.shared.stalled.lock().unwrap() = Arc::downgrade(&stalled);
        Some(Box::new(stalled))
    }
}
