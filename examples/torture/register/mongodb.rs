use async_trait::async_trait;
use mongodb::{
    Client, Collection,
    bson::{Bson, Document, doc},
    options::{ClientOptions, WriteConcern},
};

use super::Register;

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

    async fn write(&self, resource: &str, token: u64, guarded: bool) -> Result<bool, String> {
        let token = i64::try_from(token).map_err(text)?;
        let mut filter = doc! { "_id": resource };
        if guarded {
            filter.insert("token", doc! { "$lte": token });
        }
        let update = doc! { "$set": { "token": token }, "$push": { "history": token } };
        let update = self.0.update_one(filter, update);
        let done = update.await.map_err(text)?;
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
