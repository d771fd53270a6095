//! The user's own writes, guarded by the token and by the record of the lease.

use std::time::Duration;

use mongodb::{
    Client, ClientSession, Collection,
    bson::{Document, Regex, cstr, doc},
    error::{Error, TRANSIENT_TRANSACTION_ERROR},
    event::{EventHandler, command::CommandEvent},
    options::{ReadConcern, WriteConcern},
};
use tenure::{
    Eviction, FencingToken, LeaseStore as _, RenewOutcome, StoreErrorKind,
    fencing::{Fenced, FencedReason, FencingError, TokenGuard},
};

use crate::support::{Place, TTL, granted, options, unique};

type Guarded<T = ()> = Result<T, FencingError<Error>>;

/// An account of the user's own, in the same client.
struct Account {
    place: Place,
    accounts: Collection<Document>,
    id: String,
}

impl Account {
    async fn new() -> Self {
        Self::at(Place::new().await).await
    }

    async fn at(place: Place) -> Self {
        let database = place.collection.client().database("tenure_test");
        let (accounts, id) = (database.collection("accounts"), unique());
        accounts
            .insert_one(doc! { "_id": &id, "cents": 0 })
            .await
            .unwrap();
        Self {
            place,
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
        TokenGuard::new(&self.place.lease("a", token))
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
        let lease = self.place.lease(holder, token);
        let store = &self.place.store;
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
fn fenced<T: std::fmt::Debug>(guarded: Guarded<T>) -> Fenced {
    match guarded {
        Err(FencingError::Fenced(fenced)) => fenced,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_document_takes_no_older_token_than_it_has_seen() {
    let account = Account::new().await;
    account.write(9).await.unwrap();
    account.write(9).await.unwrap();
    account.write(10).await.unwrap();
    let refusal = fenced(account.write(9).await);
    assert_eq!(
        (refusal.newest, refusal.reason),
        (token(10), FencedReason::Superseded)
    );
    assert_eq!(
        (refusal.token, refusal.resource),
        (FencingToken::new(9), account.place.name.clone())
    );
    let found = account.document().await;
    assert_eq!(
        found,
        doc! { "_id": &account.id, "cents": 3, "fencing_token": 10_i64 }
    );
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn pipelines_and_updates_that_return_the_document_are_guarded_too() {
    let account = Account::new().await;
    let guard = |token| account.guard(token).field("meta.token");
    let pipeline = vec![doc! { "$set": { "cents": { "$add": ["$cents", 1] } } }];
    let (rows, name) = (&account.accounts, || account.name());
    let update = guard(5).update_one(rows, name(), pipeline.clone()).await;
    assert_eq!(update.unwrap().modified_count, 1);
    let update = guard(4).update_one(rows, name(), pipeline).await;
    assert_eq!(fenced(update).newest, token(5));
    let update = guard(6).find_one_and_update(rows, name(), pay()).await;
    let expected = doc! { "_id": &account.id, "cents": 2, "meta": { "token": 6_i64 } };
    assert_eq!(update.unwrap(), expected);
    let update = guard(5).find_one_and_update(rows, name(), pay()).await;
    assert_eq!(fenced(update).newest, token(6));
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_document_that_is_not_there_is_an_error_or_is_made() {
    let account = Account::new().await;
    let id = doc! { "_id": unique() };
    let missing = account
        .guard(1)
        .update_one(&account.accounts, id.clone(), pay())
        .await;
    assert!(
        matches!(missing, Err(FencingError::NotFound)),
        "{missing:?}"
    );
    let guard = account.guard(1);
    let missing = guard
        .find_one_and_update(&account.accounts, id.clone(), pay())
        .await;
    assert!(matches!(missing, Err(FencingError::NotFound)));
    assert_eq!(
        account.accounts.count_documents(id.clone()).await.unwrap(),
        0
    );
    let upsert = async |token| {
        let guard = account.guard(token);
        guard.upsert_one(&account.accounts, id.clone(), pay()).await
    };
    assert_eq!(upsert(5).await.unwrap().upserted_id.as_ref(), id.get("_id"));
    assert_eq!(upsert(6).await.unwrap().modified_count, 1);
    assert_eq!(fenced(upsert(5).await).newest, token(6));
    let found = account
        .accounts
        .find_one(id.clone())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.get_i32("cents").unwrap(), 2);
    let id = id.get("_id").unwrap();
    for vague in [
        doc! { "name": "x" },
        doc! { "_id": { "$in": [id.clone()] } },
        doc! { "_id": { "$gte": id.clone() } },
        doc! { "_id": { "$eq": id.clone(), "$ne": "x" } },
        doc! { "_id": Regex { pattern: cstr!(".").into(), options: cstr!("").into() } },
    ] {
        let refused = guard
            .upsert_one(&account.accounts, vague.clone(), pay())
            .await;
        assert!(
            matches!(refused, Err(FencingError::Unguardable(_))),
            "{vague}"
        );
    }
    let equal = doc! { "_id": { "$eq": id.clone() } };
    let guard = account.guard(6);
    let done = guard
        .upsert_one(&account.accounts, equal, pay())
        .await
        .unwrap();
    assert_eq!(done.modified_count, 1);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn upserts_that_race_make_one_document_with_the_newest_token() {
    for _ in 0..20 {
        let account = Account::new().await;
        let id = doc! { "_id": unique() };
        let upserts = (1..=8).map(|token| {
            let guard = account.guard(token);
            let (accounts, id) = (&account.accounts, id.clone());
            async move { guard.upsert_one(accounts, id, pay()).await }
        });
        let mut written = 0;
        for done in futures::future::join_all(upserts).await {
            match done {
                Ok(_) => written += 1,
                Err(FencingError::Fenced(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        let found = account.accounts.find_one(id).await.unwrap().unwrap();
        assert_eq!(found.get_i32("cents").unwrap(), written);
        assert_eq!(found.get_i64("fencing_token").unwrap(), 8);
    }
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn what_cannot_be_guarded_is_refused_and_not_written() {
    let account = Account::new().await;
    let spoil = |value: &str| doc! { "$set": { "fencing_token": value } };
    account
        .accounts
        .update_one(account.name(), spoil("newest"))
        .await
        .unwrap();
    let wrong = account.write(1).await;
    assert!(
        matches!(wrong, Err(FencingError::Unguardable(_))),
        "{wrong:?}"
    );
    let account = Account::new().await;
    for update in [
        doc! { "$unset": { "fencing_token": 1 }, "$inc": { "cents": 1 } },
        doc! { "$set": 1 },
        doc! { "$no_such": { "cents": 1 } },
    ] {
        let wrong = account
            .guard(1)
            .update_one(&account.accounts, account.name(), update)
            .await;
        assert!(matches!(wrong, Err(FencingError::Failed(_))), "{wrong:?}");
    }
    assert_eq!(
        account.document().await,
        doc! { "_id": &account.id, "cents": 0 }
    );
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
    let account = Account::at(Place::of(options)).await;
    account.place.acquire("a", 1).await;
    let heard = || told.try_iter().collect::<Vec<_>>();
    heard();
    account.write(2).await.unwrap();
    assert_eq!(heard(), ["update"]);
    fenced(account.write(1).await);
    assert_eq!(heard(), ["update", "find"]);
    account.lead("a", 1).await.unwrap();
    assert_eq!(heard(), ["update", "update", "commitTransaction"]);
    fenced(account.lead("b", 1).await);
    assert_eq!(heard(), ["update", "update", "find", "abortTransaction"]);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn only_the_lease_that_is_held_writes() {
    let account = Account::new().await;
    let place = &account.place;
    let refusal = fenced(account.lead("a", 1).await);
    assert_eq!(
        (refusal.newest, refusal.reason),
        (None, FencedReason::Forgotten)
    );
    place.acquire("a", 1).await;
    let mut before = place.document().await;
    account.lead("a", 1).await.unwrap();
    before.insert("version", 2_i64);
    assert_eq!(place.document().await, before, "nothing but the version");
    place.advance(2 * TTL).await;
    let refusal = fenced(account.lead("a", 1).await);
    assert_eq!(
        (refusal.newest, refusal.reason),
        (token(1), FencedReason::Expired)
    );
    assert_eq!(place.acquire("b", 2).await, granted(2));
    let refusal = fenced(account.lead("a", 1).await);
    assert_eq!(
        (refusal.newest, refusal.reason),
        (token(2), FencedReason::Superseded)
    );
    account.lead("b", 2).await.unwrap();
    let evict = place
        .store
        .evict(&place.name, FencingToken::new(2), Eviction::Close);
    evict.await.unwrap();
    assert_eq!(
        fenced(account.lead("b", 2).await).reason,
        FencedReason::Evicted
    );
    place.store.release(&place.claim("b", 2)).await.unwrap();
    assert_eq!(
        fenced(account.lead("b", 2).await).reason,
        FencedReason::Released
    );
    assert_eq!(account.cents().await, 2);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn an_error_of_the_users_own_leaves_nothing_written() {
    let account = Account::new().await;
    account.place.acquire("a", 1).await;
    let mut session = account.accounts.client().start_session().await.unwrap();
    let lease = account.place.lease("a", 1);
    let store = &account.place.store;
    let failed = store.leader_transaction(&mut session, &lease, &account, |session, account| {
        Box::pin(async move {
            Account::pay(session, account).await?;
            Err::<(), _>(Error::custom("no more money"))
        })
    });
    let failed = failed.await;
    let Err(FencingError::Failed(error)) = failed else {
        panic!("{failed:?}");
    };
    assert_eq!(error.get_custom::<&str>(), Some(&"no more money"));
    assert_eq!(account.cents().await, 0);
    account.lead("a", 1).await.unwrap();
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_takeover_before_the_look_lets_the_transaction_fail_or_begin_again() {
    let account = Account::new().await;
    let place = &account.place;
    place.acquire("a", 1).await;
    let mut session = account.accounts.client().start_session().await.unwrap();
    let mut runs = 0;
    let lease = place.lease("a", 1);
    let context = (&account, &mut runs);
    let done =
        (place.store).leader_transaction(&mut session, &lease, context, |session, context| {
            Box::pin(pay_and_take_over(session, context))
        });
    assert_eq!(fenced(done.await).newest, token(2));
    assert_eq!(runs, 2, "the first met the takeover");
    assert_eq!(account.cents().await, 0);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_renewal_before_the_look_lets_the_transaction_begin_again_and_succeed() {
    let account = Account::new().await;
    let place = &account.place;
    place.acquire("a", 1).await;
    let mut session = account.accounts.client().start_session().await.unwrap();
    let mut runs = 0;
    let lease = place.lease("a", 1);
    let context = (&account, &mut runs);
    let done =
        (place.store).leader_transaction(&mut session, &lease, context, |session, context| {
            Box::pin(pay_and_renew(session, context))
        });
    done.await.unwrap();
    assert_eq!((runs, account.cents().await), (2, 1));
}

type Context<'a> = (&'a Account, &'a mut u32);

/// The takeover comes after the first transaction has begun, whose snapshot shows the lease as it was.
async fn pay_and_take_over(
    session: &mut ClientSession,
    (account, runs): &mut Context<'_>,
) -> Result<(), Error> {
    Account::pay(session, account).await?;
    **runs += 1;
    if **runs == 1 {
        account.place.advance(2 * TTL).await;
        assert_eq!(account.place.acquire("b", 2).await, granted(2));
    }
    Ok(())
}

async fn pay_and_renew(
    session: &mut ClientSession,
    (account, runs): &mut Context<'_>,
) -> Result<(), Error> {
    Account::pay(session, account).await?;
    **runs += 1;
    if **runs == 1 {
        let lease = account.place.lease("a", 1);
        let renewal = account.place.store.renew(&lease, TTL).await;
        assert_eq!(renewal.unwrap(), RenewOutcome::Renewed);
    }
    Ok(())
}

/// A session with a transaction as `confirm` asks for.
async fn begun(account: &Account) -> mongodb::ClientSession {
    let mut session = account.accounts.client().start_session().await.unwrap();
    let begin = session
        .start_transaction()
        .read_concern(ReadConcern::snapshot());
    begin.write_concern(WriteConcern::majority()).await.unwrap();
    session
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn renewals_and_takeovers_after_the_look_wait_for_the_commit() {
    let account = Account::new().await;
    let place = &account.place;
    place.acquire("a", 1).await;
    let mut session = begun(&account).await;
    place
        .store
        .confirm(&mut session, &place.lease("a", 1))
        .await
        .unwrap();
    let (lease, bid) = (place.lease("a", 1), place.bid("b", 2));
    let (renewing, store) = (place.store.clone(), place.store.clone());
    let renewal = tokio::spawn(async move { renewing.renew(&lease, TTL).await.unwrap() });
    let bid = tokio::spawn(async move { store.acquire(&bid).await.unwrap() });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!renewal.is_finished());
    let update = account.accounts.update_one(account.name(), pay());
    update.session(&mut session).await.unwrap();
    session.commit_transaction().await.unwrap();
    assert_eq!(
        renewal.await.unwrap(),
        RenewOutcome::Renewed,
        "it is not lost"
    );
    crate::support::refused(bid.await.unwrap());
    assert_eq!(account.cents().await, 1);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_transaction_whose_snapshot_is_older_than_a_takeover_does_not_confirm() {
    let account = Account::new().await;
    let place = &account.place;
    place.acquire("a", 1).await;
    let mut session = begun(&account).await;
    let find = account.accounts.find_one(account.name());
    find.session(&mut session).await.unwrap();
    place.advance(2 * TTL).await;
    place.acquire("b", 2).await;
    let failed = place
        .store
        .confirm(&mut session, &place.lease("a", 1))
        .await;
    let Err(FencingError::Failed(error)) = failed else {
        panic!("{failed:?}");
    };
    assert!(
        error.contains_label(TRANSIENT_TRANSACTION_ERROR),
        "{error:?}"
    );
}

/// `$$NOW` must be that of the request, or a transaction would confirm a lease by an old moment.
#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_lease_that_expires_within_the_transaction_does_not_confirm() {
    let account = Account::new().await;
    let place = &account.place;
    let mut bid = place.bid("a", 1);
    bid.ttl = Duration::from_millis(400);
    place.store.acquire(&bid).await.unwrap();
    let mut session = begun(&account).await;
    let find = account.accounts.find_one(account.name());
    find.session(&mut session).await.unwrap();
    tokio::time::sleep(bid.ttl * 2).await;
    let refusal = fenced(
        place
            .store
            .confirm(&mut session, &place.lease("a", 1))
            .await,
    );
    assert_eq!(refusal.reason, FencedReason::Expired);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_record_for_newer_libraries_is_unsupported_and_a_damaged_one_corrupt() {
    let account = Account::new().await;
    account.place.acquire("a", 1).await;
    for (fields, expected) in [
        (doc! { "ttl": "long" }, StoreErrorKind::Corrupt),
        (doc! { "min_reader": 99 }, StoreErrorKind::Unsupported),
    ] {
        account.place.set(fields).await;
        let failed = account.lead("a", 1).await;
        let Err(FencingError::Lease(error)) = failed else {
            panic!("{failed:?}");
        };
        assert_eq!(error.kind(), expected);
    }
    assert_eq!(account.cents().await, 0);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_leader_transaction_runs_in_a_task_and_a_session_of_another_client_is_an_error() {
    let account = Account::new().await;
    account.place.acquire("a", 1).await;
    let other = Client::with_options(options().await).unwrap();
    let mut session = other.start_session().await.unwrap();
    let lease = account.place.lease("a", 1);
    let store = account.place.store.clone();
    let wrong =
        store.leader_transaction(&mut session, &lease, (), |_, ()| Box::pin(async { Ok(()) }));
    let wrong = wrong.await;
    assert!(matches!(wrong, Err(FencingError::Failed(_))), "{wrong:?}");
    let task = async move {
        account.lead("a", 1).await.unwrap();
        account.cents().await
    };
    assert_eq!(tokio::spawn(task).await.unwrap(), 1);
}
