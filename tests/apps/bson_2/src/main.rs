//! Leases in a collection of the client that the application has for its own documents.

use mongodb::{Client, bson::Document, error::Error};
use tenure::MongoStore;

/// The driver's document is that of the application's own crate `bson`.
fn account() -> Document {
    bson::doc! { "_id": 1, "cents": 0 }
}

fn leases(client: &Client) -> MongoStore {
    MongoStore::new(client.database("app").collection("leases"))
}

async fn run(client: Client) -> Result<(), Error> {
    let _store = leases(&client);
    let accounts = client.database("app").collection("accounts");
    accounts.insert_one(account()).await?;
    Ok(())
}

fn main() {
    // It is compiled, and not run: a server is not there.
    let _ = run;
}
