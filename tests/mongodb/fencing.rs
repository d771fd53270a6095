//! Writes of the application, guarded by the token and by the record of the lease.

mod leader;
mod token;

use std::time::Duration;

use mongodb::{
    Client, ClientSession, Collection,
    bson::{Document, doc},
    error::{Error, TRANSIENT_TRANSACTION_ERROR},
    event::{EventHandler, command::CommandEvent},
    options::{ReadConcern, WriteConcern},
};
use tenure::{
    FencingToken, LeaseStore as _,
    fencing::{FencingError, RejectedWrite, RejectionReason, TokenGuard},
    store::{EvictionMode, RenewOutcome, StoreErrorKind},
};

use crate::support::{LIMIT, TTL, TestCollection, granted, options, unique};

type Guarded<T = ()> = Result<T, FencingError<Error>>;

/// An account of the application, written through the client of the leases.
struct Account {
    test_collection: TestCollection,
    accounts: Collection<Document>,
    id: String,
}

impl Account {
    async fn new() -> Self {
        Self::at(TestCollection::new().await).await
    }

    async fn at(test_collection: TestCollection) -> Self {
        let database = test_collection.collection.client().database("tenure_test");
        let (accounts, id) = (database.collection("accounts"), unique());
        accounts
            .insert_one(doc! { "_id": &id, "cents": 0 })
            .await
            .unwrap();
        Self {
            test_collection,
            accounts,
            id,
        }
    }

    fn name(&self) -> Document {
        doc! { "_id": &self.id }
    }

    async fn document(&self) -> Document {
        self.accounts.find_one(self.name()).await.unwrap().unwrap()
    }

    async fn cents(&self) -> i32 {
        self.document().await.get_i32("cents").unwrap()
    }

    fn guard(&self, token: u64) -> TokenGuard {
        TokenGuard::new(&self.test_collection.lease("a", token))
    }

    async fn write(&self, token: u64) -> Guarded {
        let guard = self.guard(token);
        let done = guard.update_one(&self.accounts, self.name(), pay());
        done.await.map(drop)
    }

    async fn pay(session: &mut ClientSession, account: &mut &Self) -> Result<(), Error> {
        let update = account.accounts.update_one(account.name(), pay());
        update.session(session).await.map(drop)
    }

    async fn lead(&self, holder: &str, token: u64) -> Guarded {
        let mut session = self.accounts.client().start_session().await.unwrap();
        let lease = self.test_collection.lease(holder, token);
        let store = &self.test_collection.store;
        let done = store.leader_transaction(&mut session, &lease, self, |session, account| {
            Box::pin(Self::pay(session, account))
        });
        done.await.map(drop)
    }
}

fn pay() -> Document {
    doc! { "$inc": { "cents": 1 } }
}

fn token(token: u64) -> Option<FencingToken> {
    Some(FencingToken::new(token))
}

#[track_caller]
fn rejected<T: std::fmt::Debug>(guarded: Guarded<T>) -> RejectedWrite {
    match guarded {
        Err(FencingError::Rejected(rejected)) => rejected,
        other => panic!("{other:?}"),
    }
}

/// The commands of a client, by name.
fn listen(options: &mut mongodb::options::ClientOptions) -> std::sync::mpsc::Receiver<String> {
    let (tell, told) = std::sync::mpsc::channel();
    options.command_event_handler = Some(EventHandler::callback(move |event| {
        if let CommandEvent::Started(started) = event {
            tell.send(started.command_name).unwrap();
        }
    }));
    told
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_guarded_write_is_one_request_and_a_leader_transaction_two_more_than_its_work() {
    let mut options = options().await;
    let told = listen(&mut options);
    let account = Account::at(TestCollection::of(options)).await;
    account.test_collection.acquire("a", 1).await;
    let heard = || told.try_iter().collect::<Vec<_>>();
    heard();
    account.write(2).await.unwrap();
    assert_eq!(heard(), ["update"]);
    rejected(account.write(1).await);
    assert_eq!(heard(), ["update", "find"]);
    account.lead("a", 1).await.unwrap();
    assert_eq!(heard(), ["update", "update", "commitTransaction"]);
    rejected(account.lead("b", 1).await);
    assert_eq!(heard(), ["update", "update", "find", "abortTransaction"]);
}
