use std::{any::Any, sync::Arc, time::Duration};

use async_trait::async_trait;

use super::LeaseStore;
use crate::{
    lease::{
        AttemptId, Bid, CandidateId, Claim, FencingToken, Lease, LeaseRecord, Metadata,
        ResourceName,
    },
    store::{AcquireOutcome, ReleaseOutcome, RenewOutcome},
};

/// The time limit of a call whose case is not about that: longer than what any store needs.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// What a store under test can do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Capabilities {
    /// The ttl that the cases use: as short as the store keeps it reliably on the machine of the tests.
    pub ttl: Duration,
    /// How late the store may be with anything: the cases wait this much longer. Default: a tenth of
    /// the ttl.
    pub slack: Duration,
    /// Whether one client only observes what another has written, for want of a common clock.
    pub observed: bool,
    /// Whether [`Subject`] can meddle with records past the store.
    pub meddles: bool,
}

impl Capabilities {
    /// A store with a clock of its own.
    #[must_use]
    pub fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            slack: ttl / 10,
            observed: false,
            meddles: false,
        }
    }
}

/// A store under test.
#[async_trait]
pub trait Subject: Send + Sync + 'static {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// A client of the store, as another process would have it: all see the same records.
    async fn client(&self) -> Arc<dyn LeaseStore>;

    /// Lets time pass. Default: sleeps; a store whose clock is moved by hand moves it.
    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Keeps the store from answering writes while the returned value lives. Default: it cannot, and what
    /// the contract says of time limits is not tested.
    async fn stall(&self) -> Option<Box<dyn Any + Send>> {
        None
    }

    /// Adds to the record a field that no version of this library knows.
    async fn add_unknown_field(&self, resource: &ResourceName) {
        let _ = resource;
    }

    /// Whether that field is still there.
    async fn has_unknown_field(&self, resource: &ResourceName) -> bool {
        let _ = resource;
        false
    }

    /// Marks the record as one for newer libraries only.
    async fn raise_min_reader(&self, resource: &ResourceName) {
        let _ = resource;
    }
}

/// One case's store, and what it asks for.
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

    /// The first client, that of the holder.
    pub(super) fn store(&self) -> &dyn LeaseStore {
        &*self.clients[0]
    }

    /// The client of a challenger.
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
        }
    }

    pub(super) fn lease(&self, holder: &str, token: FencingToken) -> Lease {
        Lease {
            resource: self.resource.clone(),
            holder: name(holder),
            token,
        }
    }

    pub(super) fn claim(&self, holder: &str, token: FencingToken) -> Claim {
        Claim::Lease(self.lease(holder, token))
    }

    /// A lease of candidate `a`, taken by the first client.
    pub(super) async fn held(&self) -> FencingToken {
        granted(self.store().acquire(&self.bid("a"), LIMIT).await)
    }

    pub(super) async fn pass(&self, part_of_ttl: f64) {
        self.subject.pass(self.ttl().mul_f64(part_of_ttl)).await;
    }

    /// A whole ttl and the slack.
    pub(super) async fn expire(&self) {
        self.subject
            .pass(self.ttl() + self.capabilities.slack)
            .await;
    }

    /// Has a challenger wait until the present lease has expired for it.
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

type Answer<T> = Result<T, crate::store::StoreError>;

#[track_caller]
pub(super) fn granted(answer: Answer<AcquireOutcome>) -> FencingToken {
    match answer.expect("an answer") {
        AcquireOutcome::Granted { token } => token,
        AcquireOutcome::Refused(record) => panic!("not granted, but refused for {record:?}"),
    }
}

#[track_caller]
pub(super) fn refused(answer: Answer<AcquireOutcome>) -> LeaseRecord {
    match answer.expect("an answer") {
        AcquireOutcome::Refused(record) => record,
        AcquireOutcome::Granted { token } => panic!("not refused, but granted {token}"),
    }
}

#[track_caller]
pub(super) fn renewed(answer: Answer<RenewOutcome>) {
    let outcome = answer.expect("an answer");
    assert_eq!(outcome, RenewOutcome::Renewed);
}

#[track_caller]
pub(super) fn lost(answer: Answer<RenewOutcome>) -> Option<LeaseRecord> {
    match answer.expect("an answer") {
        RenewOutcome::Lost(record) => record,
        RenewOutcome::Renewed => panic!("not lost, but renewed"),
    }
}

#[track_caller]
pub(super) fn released(answer: Answer<ReleaseOutcome>) {
    assert_eq!(answer.expect("an answer"), ReleaseOutcome::Released);
}

#[track_caller]
pub(super) fn not_held(answer: Answer<ReleaseOutcome>) -> Option<LeaseRecord> {
    match answer.expect("an answer") {
        ReleaseOutcome::NotHeld(record) => record,
        ReleaseOutcome::Released => panic!("released what was not held as claimed"),
    }
}
