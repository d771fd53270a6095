use mongodb::bson::Bson;
use serde_json::{from_value, json};

use super::*;

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_document_accepts_no_token_older_than_its_own() {
    let account = Account::new().await;
    account.write(9).await.unwrap();
    account.write(9).await.unwrap();
    account.write(10).await.unwrap();
    let refusal = rejected(account.write(9).await);
    assert_eq!(
        (refusal.newest, refusal.reason),
        (token(10), RejectionReason::Superseded)
    );
    assert_eq!(
        (refusal.token, refusal.resource),
        (FencingToken::new(9), account.test_collection.name.clone())
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
    assert_eq!(rejected(update).newest, token(5));
    let update = guard(6).find_one_and_update(rows, name(), pay()).await;
    let expected = doc! { "_id": &account.id, "cents": 2, "meta": { "token": 6_i64 } };
    assert_eq!(update.unwrap(), expected);
    let update = guard(5).find_one_and_update(rows, name(), pay()).await;
    assert_eq!(rejected(update).newest, token(6));
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_missing_document_is_not_found_or_is_upserted() {
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
    assert_eq!(rejected(upsert(5).await).newest, token(6));
    let found = account
        .accounts
        .find_one(id.clone())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.get_i32("cents").unwrap(), 2);
    let id = id.get("_id").unwrap();
    // Built from text, because the two versions of bson build it from different types.
    let pattern = json!({ "$regularExpression": { "pattern": ".", "options": "" } });
    let pattern: Bson = from_value(pattern).unwrap();
    for vague in [
        doc! { "name": "x" },
        doc! { "_id": { "$in": [id.clone()] } },
        doc! { "_id": { "$gte": id.clone() } },
        doc! { "_id": { "$eq": id.clone(), "$ne": "x" } },
        doc! { "_id": pattern },
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
async fn competing_upserts_create_one_document_with_the_newest_token() {
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
                Err(FencingError::Rejected(_)) => {}
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
async fn a_write_that_cannot_be_guarded_is_refused() {
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
