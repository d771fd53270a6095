use std::sync::Arc;

use async_trait::async_trait;
use mongodb::{
    Client, Collection,
    bson::{Bson, Document, doc},
    options::WriteConcern,
};
use tenure::{
    LeaseStore, MongoStore,
    fencing::{FencingError, TokenGuard},
    lease::Lease,
};

use super::{ContestStore, Guard, Ledger, Outcome, ROWS};

/// A document for each row, with its journal.
pub(super) struct Mongo {
    store: MongoStore,
    rows: Collection<Document>,
    run: String,
}

impl Mongo {
    pub(super) async fn open(contest_store: &ContestStore) -> Self {
        let client = Client::with_uri_str(&contest_store.at).await.unwrap();
        let database = client.database("tenure_test");
        Self {
            store: MongoStore::new(database.collection("frozen_leases")),
            rows: database.collection("frozen_rows"),
            run: contest_store.run.clone(),
        }
    }

    fn name(&self, row: usize) -> Document {
        doc! { "_id": format!("{}/{row}", self.run) }
    }
}

#[async_trait]
impl Ledger for Mongo {
    async fn prepare(&self) {
        // A transaction cannot create a collection.
        self.store.prepare().await.unwrap();
        for row in 0..ROWS {
            let mut document = self.name(row);
            document.insert("journal", Bson::Array(vec![]));
            let insert = self.rows.insert_one(document);
            insert
                .write_concern(WriteConcern::majority())
                .await
                .unwrap();
        }
    }

    fn leases(&self) -> Arc<dyn LeaseStore> {
        Arc::new(self.store.clone())
    }

    async fn write(&self, guard: Guard, lease: &Lease, row: usize) -> Outcome {
        let push = doc! { "$push": { "journal": lease.token.get() as i64 } };
        let name = self.name(row);
        Outcome::of(match guard {
            Guard::Token => {
                TokenGuard::new(lease)
                    .update_one(&self.rows, name, push)
                    .await
            }
            Guard::Leader => {
                let mut session = self.rows.client().start_session().await.unwrap();
                let context = (&self.rows, name, push);
                let write = self.store.leader_transaction(
                    &mut session,
                    lease,
                    context,
                    |session, context| {
                        let (rows, name, push) = context;
                        let update = rows.update_one(name.clone(), push.clone());
                        Box::pin(async move { update.session(session).await })
                    },
                );
                write.await
            }
            Guard::None => {
                let done = self.rows.update_one(name, push);
                done.await.map_err(FencingError::Failed)
            }
        })
    }

    async fn rows(&self) -> Vec<Vec<u64>> {
        let mut rows = Vec::new();
        for row in 0..ROWS {
            let found = self.rows.find_one(self.name(row)).await.unwrap().unwrap();
            let journal = found.get_array("journal").unwrap().iter();
            rows.push(
                journal
                    .map(|token| token.as_i64().unwrap().unsigned_abs())
                    .collect(),
            );
        }
        rows
    }
}
