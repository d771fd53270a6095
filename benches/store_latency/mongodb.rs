use std::sync::Arc;

use async_trait::async_trait;
use mongodb::{
    Client, Collection,
    bson::{Binary, DateTime, Document, doc, spec::BinarySubtype},
    options::{Acknowledgment, ReturnDocument, WriteConcern},
};
use tenure::{LeaseStore, MongoStore};

use crate::{Done, Subject};

pub(crate) struct Mongo {
    collection: Collection<Document>,
}

impl Mongo {
    pub(crate) async fn open(url: &str) -> mongodb::error::Result<Self> {
        let client = Client::with_uri_str(url).await?;
        let collection = client.database("tenure_bench").collection("leases");
        Ok(Self { collection })
    }
}

#[async_trait]
impl Subject for Mongo {
    fn name(&self) -> &'static str {
        "mongodb"
    }

    fn store(&self) -> Arc<dyn LeaseStore> {
        Arc::new(MongoStore::new(self.collection.clone()))
    }

    async fn raw_write(&self, key: &str) -> Done {
        let now = DateTime::now();
        let attempt = Binary {
            subtype: BinarySubtype::Generic,
            bytes: vec![7; 16],
        };
        let entry = doc! { "token": 1_i64, "holder": "host-12345-0123456789abcdef", "since": now };
        let change = doc! {
            "$set": {
                "scope": "bench/",
                "holder": "host-12345-0123456789abcdef",
                "attempt": attempt,
                "ttl": 15_000_i64,
                "expires_at": now,
                "since": now,
                "closing": false,
                "metadata": null,
                "history": vec![entry; 8],
                "min_reader": 1,
            },
            "$inc": { "token": 1_i64, "version": 1_i64 },
        };
        let concern = WriteConcern::builder()
            .w(Acknowledgment::Majority)
            .journal(true)
            .build();
        self.collection
            .find_one_and_update(doc! { "_id": key }, change)
            .upsert(true)
            .return_document(ReturnDocument::After)
            .write_concern(concern)
            .await?
            .ok_or("no document")?;
        Ok(())
    }
}
