//! What is asked of the database, as it goes over the wire.

use std::sync::Mutex;

use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Region};
use aws_smithy_runtime_api::{
    client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
    client::orchestrator::{HttpRequest, HttpResponse},
};
use serde_json::{Value, json};

use super::*;
use crate::{
    mutants::{Mutant, with},
    store::{
        LeaseStore as _,
        fixtures::{LIMIT, bid, claim, lease, resource},
    },
};

/// A server that takes every request down. It refuses every write and shows nothing, so that the store
/// has to read.
#[derive(Clone, Debug, Default)]
struct RecordingConnector(Arc<Mutex<Vec<(String, Value)>>>);

impl HttpConnector for RecordingConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap();
        let (_, operation) = target.split_once('.').unwrap();
        let body = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let (status, answer) = match operation {
            "UpdateItem" => {
                let refused = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";
                (400, json!({ "__type": refused }))
            }
            _ => (200, json!({})),
        };
        let operation = operation.to_owned();
        self.0.lock().unwrap().push((operation, body));
        let status = status.try_into().unwrap();
        let answer = HttpResponse::new(status, answer.to_string().into());
        HttpConnectorFuture::ready(Ok(answer))
    }
}

impl RecordingConnector {
    fn store(&self) -> DynamoStore {
        let connector = SharedHttpConnector::new(self.clone());
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
            .endpoint_url("http://dynamodb.test")
            .http_client(http_client_fn(move |_, _| connector.clone()));
        DynamoStore::new(Client::from_conf(config.build()), "tenure")
    }

    /// Each read that does not ask for the newest state, and how many reads there were.
    fn reads(&self) -> (Vec<String>, usize) {
        let requests = self.0.lock().unwrap();
        let reads = requests
            .iter()
            .filter(|(operation, _)| operation != "UpdateItem");
        let inconsistent = reads
            .clone()
            .filter(|(_, body)| body["ConsistentRead"] != json!(true));
        let inconsistent = inconsistent.map(|(operation, _)| operation.clone());
        (inconsistent.collect(), reads.count())
    }
}

/// Every operation that reads.
async fn ask_all(store: &DynamoStore) {
    let ttl = Duration::from_secs(10);
    // Each is refused, or fails; only what it has asked for counts.
    let _ = store.acquire(&bid("a", 1), LIMIT).await;
    let _ = store.renew(&lease("a", 1), ttl, LIMIT).await;
    let _ = store.release(&claim("a", 1), None, LIMIT).await;
    store.read(&resource(), LIMIT).await.unwrap();
    store.list(&resource().scope(), LIMIT).await.unwrap();
}

fn reads_of_all(mutant: Option<Mutant>) -> (Vec<String>, usize) {
    let notebook = RecordingConnector::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    with(mutant, || runtime.block_on(ask_all(&notebook.store())));
    notebook.reads()
}

#[test]
fn every_read_asks_for_the_newest_state() {
    let (inconsistent, reads) = reads_of_all(None);
    assert_eq!(inconsistent, [""; 0]);
    assert!(reads >= 5, "only {reads} reads");
    let (inconsistent, reads) = reads_of_all(Some(Mutant::InconsistentReads));
    assert_eq!(inconsistent.len(), reads, "the test is blind");
    assert!(inconsistent.contains(&"GetItem".to_owned()));
    assert!(inconsistent.contains(&"Query".to_owned()));
}
