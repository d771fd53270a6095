use async_trait::async_trait;
use mongodb::{
    Client, Collection,
    bson::{Bson, Document, doc},
    options::{ClientOptions, WriteConcern},
};
use tenure::lease::Lease;

use super::{Register, guard, taken};

/// A document for each resource, with its history.
pub(crate) struct MongoRegister(Collection<Document>);

impl MongoRegister {
    pub(crate) async fn open(url: &str) -> Result<Self, String> {
        let mut options = ClientOptions::parse(url).await.map_err(text)?;
        options.write_concern = Some(WriteConcern::majority());
        let client = Client::with_options(options).map_err(text)?;
        Ok(Self(client.database("tenure").collection("register")))
    }
}

#[async_trait]
impl Register for MongoRegister {
    async fn prepare(&self, resources: &[String]) -> Result<(), String> {
        let documents = resources
            .iter()
            .map(|resource| doc! { "_id": resource, "token": 0_i64, "history": [] });
        let insert = self.0.insert_many(documents);
        insert.await.map(drop).map_err(text)
    }

    async fn write(&self, lease: &Lease, guarded: bool) -> Result<bool, String> {
        let filter = doc! { "_id": lease.resource.as_str() };
        let token = i64::try_from(lease.token.get()).map_err(text)?;
        let mut update = doc! { "$push": { "history": token } };
        if guarded {
            let written = guard(lease).update_one(&self.0, filter, update).await;
            return taken(written, text);
        }
        update.insert("$set", doc! { "token": token });
        let done = self.0.update_one(filter, update).await.map_err(text)?;
        Ok(done.matched_count == 1)
    }

    async fn history(&self, resource: &str) -> Result<Vec<u64>, String> {
        let found = self.0.find_one(doc! { "_id": resource }).await;
        let record = found.map_err(text)?.ok_or("the register is gone")?;
        let tokens = record.get_array("history").map_err(text)?.iter();
        Ok(tokens
            .filter_map(Bson::as_i64)
            .map(i64::unsigned_abs)
            .collect())
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
