use std::{
    collections::HashMap,
    env,
    sync::{Arc, OnceLock},
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Builder, Config, Credentials, Region},
    types::AttributeValue,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use tenure::{
    DynamoStore, FencingToken, LeaseStore as _,
    lease::{CandidateId, Lease, LeaseRecord, ResourceName, Scope},
    store::{AcquireOutcome, AttemptId, Bid, ReleaseOutcome, ReleaseTarget},
};

pub(crate) const TTL: Duration = Duration::from_secs(100);
/// The time limit of calls in tests that are not about limits: longer than any store needs.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) const TABLE: &str = "tenure_test";

/// One of the servers, named by the variable that holds its URL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server(&'static str);

/// Returns the old item if a condition fails, as AWS does.
pub(crate) const DYNOXIDE: Server = Server("TENURE_DYNAMODB_URL");
/// Does not return the old item.
pub(crate) const LOCAL: Server = Server("TENURE_DYNAMODB_LOCAL_URL");

impl Server {
    pub(crate) fn url(self) -> String {
        env::var(self.0).unwrap_or_else(|_| {
            panic!(
                "{} is not set: start the servers with `scripts/servers up`, then run \
                 `eval \"$(scripts/servers env)\"`",
                self.0
            )
        })
    }

    /// The configuration of a client with its own HTTP client, as an application would have it.
    pub(crate) fn config(self) -> Builder {
        config(self.url())
    }

    pub(crate) fn client(self) -> Client {
        Client::from_conf(self.config().build())
    }

    pub(crate) async fn store(self) -> DynamoStore {
        let store = DynamoStore::new(self.client(), TABLE);
        store.create_table_if_missing().await.unwrap();
        store
    }
}

pub(crate) fn config(url: String) -> Builder {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .endpoint_url(url)
        .http_client(http)
}

/// The key of a record, as documented.
pub(crate) fn key(resource: &ResourceName) -> HashMap<String, AttributeValue> {
    let (scope, name) = match resource.as_str().rsplit_once('/') {
        Some((scope, name)) => (format!("/{scope}/"), name),
        None => ("/".to_owned(), resource.as_str()),
    };
    let name = if name.is_empty() { "/" } else { name };
    let text = |text: &str| AttributeValue::S(text.to_owned());
    HashMap::from([
        ("scope".to_owned(), text(&scope)),
        ("name".to_owned(), text(name)),
    ])
}

/// Sets an attribute of a record without the store.
pub(crate) async fn set(
    client: &Client,
    resource: &ResourceName,
    name: &str,
    value: AttributeValue,
) {
    client
        .update_item()
        .table_name(TABLE)
        .set_key(Some(key(resource)))
        .update_expression("SET #name = :value")
        .condition_expression("attribute_exists(#scope)")
        .expression_attribute_names("#name", name)
        .expression_attribute_names("#scope", "scope")
        .expression_attribute_values(":value", value)
        .send()
        .await
        .unwrap();
}

/// Reads the item of a record without the store.
pub(crate) async fn get(
    client: &Client,
    resource: &ResourceName,
) -> Option<HashMap<String, AttributeValue>> {
    let answer = client
        .get_item()
        .table_name(TABLE)
        .set_key(Some(key(resource)))
        .consistent_read(true)
        .send();
    answer.await.unwrap().item
}

/// A resource that no other test uses, alone in its scope, and a separate client.
///
/// It numbers the tokens from 1: the first one that it is granted is 1, the next 2.
pub(crate) struct TestTable {
    pub(crate) client: Client,
    pub(crate) store: DynamoStore,
    pub(crate) name: ResourceName,
    /// How much greater the tokens are in the store.
    pub(crate) offset: Arc<OnceLock<u64>>,
}

impl TestTable {
    pub(crate) async fn new(server: Server) -> Self {
        Self::at(server, server.url()).await
    }

    /// The same, but the client reaches the server at another URL.
    pub(crate) async fn at(server: Server, url: String) -> Self {
        server.store().await;
        let client = Client::from_conf(config(url).build());
        Self {
            store: DynamoStore::new(client, TABLE).call_limit(Duration::from_secs(10)),
            client: server.client(),
            name: ResourceName::new(format!("{}/one", unique())).unwrap(),
            offset: Arc::default(),
        }
    }

    /// The same resource through another client, as another process has it.
    pub(crate) fn other(&self, server: Server) -> Self {
        Self {
            client: self.client.clone(),
            store: DynamoStore::new(server.client(), TABLE).call_limit(Duration::from_secs(10)),
            name: self.name.clone(),
            offset: self.offset.clone(),
        }
    }

    /// The token in the store.
    pub(crate) fn stored(&self, token: u64) -> FencingToken {
        FencingToken::new(token + self.offset.get().unwrap_or(&0))
    }

    fn numbered(&self, token: FencingToken) -> FencingToken {
        FencingToken::new(token.get() - self.offset.get().unwrap_or(&0))
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

    pub(crate) async fn acquire(&self, candidate: &str, attempt: u128) -> AcquireOutcome {
        self.acquire_with(&self.bid(candidate, attempt)).await
    }

    pub(crate) async fn acquire_with(&self, bid: &Bid) -> AcquireOutcome {
        match self.store.acquire(bid, LIMIT).await.unwrap() {
            AcquireOutcome::Granted { token } => {
                self.offset.get_or_init(|| token.get() - 1);
                AcquireOutcome::Granted {
                    token: self.numbered(token),
                }
            }
            refused @ AcquireOutcome::Refused(_) => refused,
        }
    }

    pub(crate) fn lease(&self, holder: &str, token: u64) -> Lease {
        Lease {
            resource: self.name.clone(),
            holder: CandidateId::new(holder).unwrap(),
            token: self.stored(token),
        }
    }

    pub(crate) fn claim(&self, holder: &str, token: u64) -> ReleaseTarget {
        ReleaseTarget::Lease(self.lease(holder, token))
    }

    pub(crate) fn owner(&self, holder: &str) -> ReleaseTarget {
        ReleaseTarget::Holder {
            resource: self.name.clone(),
            holder: CandidateId::new(holder).unwrap(),
        }
    }

    pub(crate) async fn release(&self, holder: &str, token: u64) {
        let released = self
            .store
            .release(&self.claim(holder, token), None, LIMIT)
            .await;
        assert_eq!(released.unwrap(), ReleaseOutcome::Released);
    }

    pub(crate) async fn read(&self) -> LeaseRecord {
        let mut record = self.store.read(&self.name, LIMIT).await.unwrap().unwrap();
        record.token = self.numbered(record.token);
        for entry in &mut record.history {
            entry.token = self.numbered(entry.token);
        }
        record
    }

    pub(crate) async fn set(&self, name: &str, value: AttributeValue) {
        set(&self.client, &self.name, name, value).await;
    }

    pub(crate) async fn item(&self) -> HashMap<String, AttributeValue> {
        get(&self.client, &self.name).await.unwrap()
    }

    pub(crate) async fn version(&self) -> String {
        self.item().await["version"].as_n().unwrap().clone()
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
