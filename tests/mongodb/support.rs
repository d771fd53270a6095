use std::{
    collections::HashMap,
    env,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use mongodb::{
    Client, Collection,
    bson::{Document, doc},
    event::{EventHandler, command::CommandEvent},
    options::ClientOptions,
};
use tenure::{
    FencingToken, LeaseStore as _, MongoStore,
    lease::{CandidateId, Lease, LeaseRecord, ResourceName, Scope},
    store::{AcquireOutcome, AttemptId, Bid, ReleaseTarget},
};

pub(crate) const TTL: Duration = Duration::from_secs(100);
/// The time limit of calls in tests that are not about limits: longer than any store needs.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn url() -> String {
    env::var("TENURE_MONGODB_URL").unwrap_or_else(|_| {
        panic!(
            "TENURE_MONGODB_URL is not set: start the servers with `scripts/servers up`, then run \
             `eval \"$(scripts/servers env)\"`"
        )
    })
}

pub(crate) async fn options() -> ClientOptions {
    ClientOptions::parse(url()).await.unwrap()
}

/// The address of the member that is primary.
pub(crate) async fn primary() -> String {
    let client = Client::with_options(options().await).unwrap();
    let hello = client
        .database("admin")
        .run_command(doc! { "hello": 1 })
        .await;
    let hello: Document = hello.unwrap();
    hello.get_str("primary").unwrap().to_owned()
}

/// The first token of each resource that a test has acquired.
static FIRST: LazyLock<Mutex<HashMap<ResourceName, u64>>> = LazyLock::new(Mutex::default);

/// A resource that no other test uses, alone in its scope, and a separate client.
pub(crate) struct TestCollection {
    pub(crate) collection: Collection<Document>,
    pub(crate) store: MongoStore,
    pub(crate) name: ResourceName,
}

impl TestCollection {
    pub(crate) async fn new() -> Self {
        Self::of(options().await)
    }

    pub(crate) fn of(options: ClientOptions) -> Self {
        Self::new_at(&Client::with_options(options).unwrap())
    }

    pub(crate) fn new_at(client: &Client) -> Self {
        let collection = client.database("tenure_test").collection("leases");
        Self {
            store: MongoStore::new(collection.clone()).call_limit(Duration::from_secs(10)),
            collection,
            name: ResourceName::new(format!("{}/one", unique())).unwrap(),
        }
    }

    pub(crate) fn scope(&self) -> Scope {
        self.name.scope()
    }

    pub(crate) fn bid(&self, candidate: &str, attempt: u128) -> Bid {
        Bid {
            resource: self.name.clone(),
            candidate: CandidateId::new(candidate).unwrap(),
            attempt: AttemptId::new(attempt),
            ttl: TTL,
            metadata: None,
            reentrant: false,
            replaces: None,
            waited: None,
            internal: false,
        }
    }

    /// The outcome has the number of the acquisition as its token: see [`counted`](Self::counted).
    pub(crate) async fn acquire(&self, candidate: &str, attempt: u128) -> AcquireOutcome {
        self.acquire_by(&self.bid(candidate, attempt)).await
    }

    /// The same for any bid for the resource.
    pub(crate) async fn acquire_by(&self, bid: &Bid) -> AcquireOutcome {
        self.counted(self.store.acquire(bid, LIMIT).await.unwrap())
    }

    /// Counts the acquisitions of the resource from 1, because its first token is the time of day.
    pub(crate) fn counted(&self, outcome: AcquireOutcome) -> AcquireOutcome {
        let AcquireOutcome::Granted { token } = outcome else {
            return outcome;
        };
        let mut first = FIRST.lock().unwrap();
        let first = *first.entry(self.name.clone()).or_insert(token.get());
        granted(token.get() - first + 1)
    }

    /// The token of this acquisition, counted from 1.
    pub(crate) fn token(&self, number: u64) -> FencingToken {
        let first = FIRST.lock().unwrap();
        let first = first.get(&self.name).copied().unwrap_or(1);
        FencingToken::new(first - 1 + number)
    }

    /// The lease of this acquisition, counted from 1.
    pub(crate) fn lease(&self, holder: &str, number: u64) -> Lease {
        Lease {
            resource: self.name.clone(),
            holder: CandidateId::new(holder).unwrap(),
            token: self.token(number),
        }
    }

    pub(crate) fn claim(&self, holder: &str, number: u64) -> ReleaseTarget {
        ReleaseTarget::Lease(self.lease(holder, number))
    }

    pub(crate) fn attempt(&self, attempt: u128) -> ReleaseTarget {
        ReleaseTarget::Attempt {
            resource: self.name.clone(),
            attempt: AttemptId::new(attempt),
        }
    }

    pub(crate) fn owner(&self, holder: &str) -> ReleaseTarget {
        ReleaseTarget::Holder {
            resource: self.name.clone(),
            holder: CandidateId::new(holder).unwrap(),
        }
    }

    pub(crate) async fn read(&self) -> LeaseRecord {
        self.store.read(&self.name, LIMIT).await.unwrap().unwrap()
    }

    pub(crate) async fn document(&self) -> Document {
        let found = self
            .collection
            .find_one(doc! { "_id": self.name.as_str() })
            .await;
        found.unwrap().unwrap()
    }

    pub(crate) async fn set(&self, fields: Document) {
        let change = doc! { "$set": fields };
        let done = self
            .collection
            .update_one(doc! { "_id": self.name.as_str() }, change)
            .await;
        assert_eq!(done.unwrap().matched_count, 1);
    }

    /// Lets time pass for the record, as if the clock of the server was set forward.
    pub(crate) async fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap();
        let earlier = doc! { "$set": { "expires_at": { "$subtract": ["$expires_at", by] } } };
        let named = doc! { "_id": self.name.as_str() };
        self.collection
            .update_one(named, vec![earlier])
            .await
            .unwrap();
    }

    /// How many writes to the record the replica set has logged.
    pub(crate) async fn writes(&self) -> u64 {
        let log = self
            .collection
            .client()
            .database("local")
            .collection::<Document>("oplog.rs");
        let name = self.name.as_str();
        let ours = doc! { "$or": [{ "o._id": name }, { "o2._id": name }] };
        log.count_documents(ours).await.unwrap()
    }
}

pub(crate) fn unique() -> String {
    format!("{:016x}", rand::random::<u64>())
}

pub(crate) fn granted(token: u64) -> AcquireOutcome {
    let token = FencingToken::new(token);
    AcquireOutcome::Granted { token }
}

#[track_caller]
pub(crate) fn refused(outcome: AcquireOutcome) -> LeaseRecord {
    match outcome {
        AcquireOutcome::Refused(record) => record,
        AcquireOutcome::Granted { token } => panic!("granted {token}"),
    }
}

/// The commands that a client has sent, without those that the driver sends by itself.
#[derive(Clone, Default)]
pub(crate) struct Commands(Arc<Mutex<Vec<Document>>>);

impl Commands {
    pub(crate) fn listen(&self, options: &mut ClientOptions) {
        let heard = Arc::clone(&self.0);
        options.command_event_handler = Some(EventHandler::callback(move |event| {
            if let CommandEvent::Started(started) = event {
                let ours = [
                    "findAndModify",
                    "find",
                    "getMore",
                    "createIndexes",
                    "update",
                    "delete",
                    "aggregate",
                ];
                if ours.contains(&started.command_name.as_str()) {
                    heard.lock().unwrap().push(started.command);
                }
            }
        }));
    }

    pub(crate) fn take(&self) -> Vec<Document> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// The names of the commands that were sent since the last call.
    pub(crate) fn names(&self) -> Vec<String> {
        let commands = self.take();
        commands
            .iter()
            .map(|command| command.keys().next().unwrap().clone())
            .collect()
    }
}
