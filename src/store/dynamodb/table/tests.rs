use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Config, Credentials, Region},
};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
    orchestrator::{HttpRequest, HttpResponse},
};
use serde_json::{Value, json};

use super::*;

/// A server whose answers to `CreateTable` are lost. It creates the table with the given request.
#[derive(Clone, Debug)]
struct LossyServer {
    requests: Arc<AtomicUsize>,
    created_by: usize,
}

impl LossyServer {
    fn new(created_by: usize) -> Self {
        Self {
            requests: Arc::default(),
            created_by,
        }
    }

    fn answer(&self, operation: &str) -> (u16, Value) {
        if operation == "CreateTable" {
            self.requests.fetch_add(1, SeqCst);
            return (500, json!({ "__type": "InternalServerError" }));
        }
        if self.requests.load(SeqCst) < self.created_by {
            let missing = "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException";
            return (400, json!({ "__type": missing }));
        }
        let table = json!({
            "TableStatus": "ACTIVE",
            "AttributeDefinitions": [
                { "AttributeName": SCOPE, "AttributeType": "S" },
                { "AttributeName": NAME, "AttributeType": "S" },
            ],
            "KeySchema": [
                { "AttributeName": SCOPE, "KeyType": "HASH" },
                { "AttributeName": NAME, "KeyType": "RANGE" },
            ],
        });
        (200, json!({ "Table": table }))
    }

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
}

impl HttpConnector for LossyServer {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap();
        let (_, operation) = target.split_once('.').unwrap();
        let (status, answer) = self.answer(operation);
        let answer = HttpResponse::new(status.try_into().unwrap(), answer.to_string().into());
        HttpConnectorFuture::ready(Ok(answer))
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_is_found_although_the_answer_to_its_creation_is_lost() {
    for created_by in [1, 3] {
        let server = LossyServer::new(created_by);
        server.store().create_table_if_missing().await.unwrap();
        assert_eq!(server.requests.load(SeqCst), created_by);
    }
}

#[tokio::test(start_paused = true)]
async fn creating_a_table_without_any_answer_is_unknown_after_a_minute() {
    let begun = Instant::now();
    let store = LossyServer::new(usize::MAX).store();
    let error = store.create_table_if_missing().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unknown, "{error}");
    assert!(begun.elapsed() >= READY_WITHIN, "{:?}", begun.elapsed());
}
