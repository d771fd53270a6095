use std::{any::Any, sync::Arc, time::Duration};

use async_trait::async_trait;

use super::LeaseStore;
use crate::{
    lease::{
        AttemptId, Bid, CandidateId, FencingToken, Lease, LeaseRecord, Metadata, ReleaseTarget,
        ResourceName,
    },
    store::{AcquireOutcome, RegisterStore, ReleaseOutcome, RenewOutcome},
};

/// The time limit of calls in cases that do not test it: longer than any store needs.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// The properties of a store under test that the cases depend on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Capabilities {
    /// The ttl that the cases use: the shortest that the store keeps reliably on the machine of the tests.
    pub ttl: Duration,
    /// How late the store may be: the cases wait this much longer than the contract says. Default: ttl / 10.
    pub slack: Duration,
    /// Whether the store has no clock, so its clients observe expiry (as with DynamoDB). Default: `false`.
    pub observed: bool,
    /// Whether the [`Subject`] can change records without the store: it has its own
    /// [`add_unknown_field`](Subject::add_unknown_field) and the two methods after it. Default: `false`.
    pub can_edit_records: bool,
    /// Whether the [`Subject`] can stop the store from answering writes: it has its own
    /// [`stall`](Subject::stall). Default: `false`.
    pub can_stall: bool,
    /// Whether the store can push: its [`watch`](LeaseStore::watch) returns a stream. Default: `false`.
    pub can_watch: bool,
    /// Whether that stream also tells that a lease was acquired. Default: `false`.
    pub watch_tells_acquisitions: bool,
    /// Whether the store keeps registers: the [`Subject`] has its own [`registers`](Subject::registers). Default:
    /// `false`.
    pub registers: bool,
}

impl Capabilities {
    /// The properties of a store with a clock, and the defaults of the other fields.
    #[must_use]
    pub fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            slack: ttl / 10,
            observed: false,
            can_edit_records: false,
            can_stall: false,
            can_watch: false,
            watch_tells_acquisitions: false,
            registers: false,
        }
    }
}

/// A store under test. Implement it for each store.
#[async_trait]
pub trait Subject: Send + Sync + 'static {
    /// The properties of the store.
    fn capabilities(&self) -> Capabilities;

    /// A new client of the store, as another process has one. All clients see the same records.
    async fn client(&self) -> Arc<dyn LeaseStore>;

    /// A new client of the store's registers, as another process has one. Default: `None`. Then leave
    /// [`registers`](Capabilities::registers) unset.
    async fn registers(&self) -> Option<Arc<dyn RegisterStore>> {
        None
    }

    /// Lets time pass. Default: sleeps. If the store has a manual clock, move that instead.
    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Stops the store from answering writes until the returned value is dropped.
    ///
    /// Give the store a time limit of its own that is longer than 2 s: the case about time limits checks that the
    /// limit of a call counts.
    ///
    /// Default: `None`. Then leave [`can_stall`](Capabilities::can_stall) unset.
    async fn stall(&self) -> Option<Box<dyn Any + Send>> {
        None
    }

    /// Adds a field to the record that no version of Tenure knows. Default: does nothing.
    async fn add_unknown_field(&self, resource: &ResourceName) {
        let _ = resource;
    }

    /// Whether that field is still in the record. Default: `false`.
    async fn has_unknown_field(&self, resource: &ResourceName) -> bool {
        let _ = resource;
        false
    }

    /// Marks the record as one that only newer versions of Tenure may write. Default: does nothing.
    async fn raise_min_reader(&self, resource: &ResourceName) {
        let _ = resource;
    }
}

/// The store of one case, with its clients and its resource.
pub(super) struct Trial {
    pub(super) subject: Arc<dyn Subject>,
    pub(super) capabilities: Capabilities,
    pub(super) clients: Vec<Arc<dyn LeaseStore>>,
    pub(super) resource: ResourceName,
}

impl Trial {
    pub(super) async fn new(case: &str, subject: Arc<dyn Subject>) -> Self {
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(subject.client().await);
        }
        let unique: u64 = rand::random();
        let resource = ResourceName::new(format!("conformance/{unique:016x}/{case}"));
        Self {
            capabilities: subject.capabilities(),
            subject,
            clients,
            resource: resource.expect("a name that is short enough"),
        }
    }

    pub(super) fn ttl(&self) -> Duration {
        self.capabilities.ttl
    }

    /// The first client, which the holder uses.
    pub(super) fn store(&self) -> &dyn LeaseStore {
        &*self.clients[0]
    }

    /// The second client, which another candidate uses.
    pub(super) fn other(&self) -> &dyn LeaseStore {
        &*self.clients[1]
    }

    pub(super) fn bid(&self, candidate: &str) -> Bid {
        Bid {
            resource: self.resource.clone(),
            candidate: name(candidate),
            attempt: AttemptId::generate().expect("the operating system gives random bits"),
            ttl: self.ttl(),
            metadata: None,
            reentrant: false,
            replaces: None,
            waited: None,
            internal: false,
        }
    }

    pub(super) fn lease(&self, holder: &str, token: FencingToken) -> Lease {
        Lease {
            resource: self.resource.clone(),
            holder: name(holder),
            token,
        }
    }

    pub(super) fn claim(&self, holder: &str, token: FencingToken) -> ReleaseTarget {
        ReleaseTarget::Lease(self.lease(holder, token))
    }

    /// Acquires the lease for candidate `a` through the first client.
    pub(super) async fn held(&self) -> FencingToken {
        granted(self.store().acquire(&self.bid("a"), LIMIT).await)
    }

    pub(super) async fn pass(&self, part_of_ttl: f64) {
        self.subject.pass(self.ttl().mul_f64(part_of_ttl)).await;
    }

    /// Lets a whole ttl and the slack pass.
    pub(super) async fn expire(&self) {
        self.subject
            .pass(self.ttl() + self.capabilities.slack)
            .await;
    }

    /// Waits until the current lease has expired for another candidate.
    pub(super) async fn wait_out(&self, challenger: &str) {
        if self.capabilities.observed {
            refused(self.other().acquire(&self.bid(challenger), LIMIT).await);
        }
        self.expire().await;
    }

    pub(super) async fn record(&self) -> LeaseRecord {
        let record = self.store().read(&self.resource, LIMIT).await;
        record.expect("an answer").expect("a record")
    }
}

pub(super) fn name(candidate: &str) -> CandidateId {
    CandidateId::new(candidate).expect("a good name")
}

pub(super) fn metadata(text: &str) -> Metadata {
    Metadata::new(text).expect("a text that is short enough")
}

type StoreResult<T> = Result<T, crate::store::StoreError>;

#[track_caller]
pub(super) fn granted(answer: StoreResult<AcquireOutcome>) -> FencingToken {
    match answer.expect("an answer") {
        AcquireOutcome::Granted { token } => token,
        AcquireOutcome::Refused(record) => panic!("not granted, but refused for {record:?}"),
    }
}

#[track_caller]
pub(super) fn refused(answer: StoreResult<AcquireOutcome>) -> LeaseRecord {
    match answer.expect("an answer") {
        AcquireOutcome::Refused(record) => record,
        AcquireOutcome::Granted { token } => panic!("not refused, but granted {token}"),
    }
}

#[track_caller]
pub(super) fn renewed(answer: StoreResult<RenewOutcome>) {
    let outcome = answer.expect("an answer");
    assert_eq!(outcome, RenewOutcome::RENEWED);
}

#[track_caller]
pub(super) fn lost(answer: StoreResult<RenewOutcome>) -> Option<LeaseRecord> {
    match answer.expect("an answer") {
        RenewOutcome::Lost(record) => record,
        RenewOutcome::Renewed { .. } => panic!("not lost, but renewed"),
    }
}

#[track_caller]
pub(super) fn released(answer: StoreResult<ReleaseOutcome>) {
    assert_eq!(answer.expect("an answer"), ReleaseOutcome::Released);
}

#[track_caller]
pub(super) fn not_held(answer: StoreResult<ReleaseOutcome>) -> Option<LeaseRecord> {
    match answer.expect("an answer") {
        ReleaseOutcome::NotHeld(record) => record,
        ReleaseOutcome::Released => panic!("released what was not held as claimed"),
    }
}
