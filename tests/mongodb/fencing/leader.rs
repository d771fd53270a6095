use super::*;

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn only_the_lease_that_is_held_writes() {
    let account = Account::new().await;
    let test_collection = &account.test_collection;
    let refusal = rejected(account.lead("a", 1).await);
    assert_eq!(
        (refusal.newest, refusal.reason),
        (None, RejectionReason::Forgotten)
    );
    test_collection.acquire("a", 1).await;
    let mut before = test_collection.document().await;
    account.lead("a", 1).await.unwrap();
    before.insert("version", 2_i64);
    assert_eq!(
        test_collection.document().await,
        before,
        "nothing but the version"
    );
    test_collection.advance(2 * TTL).await;
    let refusal = rejected(account.lead("a", 1).await);
    assert_eq!(
        (refusal.newest, refusal.reason),
        (Some(test_collection.token(1)), RejectionReason::Expired)
    );
    assert_eq!(test_collection.acquire("b", 2).await, granted(2));
    let refusal = rejected(account.lead("a", 1).await);
    assert_eq!(
        (refusal.newest, refusal.reason),
        (Some(test_collection.token(2)), RejectionReason::Superseded)
    );
    account.lead("b", 2).await.unwrap();
    let evict = test_collection.store.evict(
        &test_collection.name,
        test_collection.token(2),
        EvictionMode::Close,
        LIMIT,
    );
    evict.await.unwrap();
    assert_eq!(
        rejected(account.lead("b", 2).await).reason,
        RejectionReason::Evicted
    );
    test_collection
        .store
        .release(&test_collection.claim("b", 2), None, LIMIT)
        .await
        .unwrap();
    assert_eq!(
        rejected(account.lead("b", 2).await).reason,
        RejectionReason::Released
    );
    assert_eq!(account.cents().await, 2);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn nothing_is_written_if_the_work_fails() {
    let account = Account::new().await;
    account.test_collection.acquire("a", 1).await;
    let mut session = account.accounts.client().start_session().await.unwrap();
    let lease = account.test_collection.lease("a", 1);
    let store = &account.test_collection.store;
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
async fn a_takeover_before_the_check_makes_the_transaction_fail_or_start_again() {
    let account = Account::new().await;
    let test_collection = &account.test_collection;
    test_collection.acquire("a", 1).await;
    let mut session = account.accounts.client().start_session().await.unwrap();
    let mut runs = 0;
    let lease = test_collection.lease("a", 1);
    let context = (&account, &mut runs);
    let done = (test_collection.store).leader_transaction(
        &mut session,
        &lease,
        context,
        |session, context| Box::pin(pay_and_take_over(session, context)),
    );
    assert_eq!(rejected(done.await).newest, Some(test_collection.token(2)));
    assert_eq!(runs, 2, "the first met the takeover");
    assert_eq!(account.cents().await, 0);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_renewal_before_the_check_makes_the_transaction_start_again_and_succeed() {
    let account = Account::new().await;
    let test_collection = &account.test_collection;
    test_collection.acquire("a", 1).await;
    let mut session = account.accounts.client().start_session().await.unwrap();
    let mut runs = 0;
    let lease = test_collection.lease("a", 1);
    let context = (&account, &mut runs);
    let done = (test_collection.store).leader_transaction(
        &mut session,
        &lease,
        context,
        |session, context| Box::pin(pay_and_renew(session, context)),
    );
    done.await.unwrap();
    assert_eq!((runs, account.cents().await), (2, 1));
}

type Context<'a> = (&'a Account, &'a mut u32);

/// The takeover comes after the first transaction has begun, so the snapshot shows the lease as it was before.
async fn pay_and_take_over(
    session: &mut ClientSession,
    (account, runs): &mut Context<'_>,
) -> Result<(), Error> {
    Account::pay(session, account).await?;
    **runs += 1;
    if **runs == 1 {
        account.test_collection.advance(2 * TTL).await;
        assert_eq!(account.test_collection.acquire("b", 2).await, granted(2));
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
        let lease = account.test_collection.lease("a", 1);
        let renewal = account
            .test_collection
            .store
            .renew(&lease, TTL, LIMIT)
            .await;
        assert_eq!(renewal.unwrap(), RenewOutcome::RENEWED);
    }
    Ok(())
}

/// A session with a transaction of the kind that `confirm` needs.
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
async fn renewals_and_takeovers_after_the_check_wait_for_the_commit() {
    let account = Account::new().await;
    let test_collection = &account.test_collection;
    test_collection.acquire("a", 1).await;
    let mut session = begun(&account).await;
    test_collection
        .store
        .confirm(&mut session, &test_collection.lease("a", 1))
        .await
        .unwrap();
    let (lease, bid) = (test_collection.lease("a", 1), test_collection.bid("b", 2));
    let (renewing, store) = (test_collection.store.clone(), test_collection.store.clone());
    let renewal = tokio::spawn(async move { renewing.renew(&lease, TTL, LIMIT).await.unwrap() });
    let bid = tokio::spawn(async move { store.acquire(&bid, LIMIT).await.unwrap() });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!renewal.is_finished());
    let update = account.accounts.update_one(account.name(), pay());
    update.session(&mut session).await.unwrap();
    session.commit_transaction().await.unwrap();
    assert_eq!(
        renewal.await.unwrap(),
        RenewOutcome::RENEWED,
        "it is not lost"
    );
    crate::support::refused(bid.await.unwrap());
    assert_eq!(account.cents().await, 1);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_transaction_whose_snapshot_is_older_than_a_takeover_does_not_confirm() {
    let account = Account::new().await;
    let test_collection = &account.test_collection;
    test_collection.acquire("a", 1).await;
    let mut session = begun(&account).await;
    let find = account.accounts.find_one(account.name());
    find.session(&mut session).await.unwrap();
    test_collection.advance(2 * TTL).await;
    test_collection.acquire("b", 2).await;
    let failed = test_collection
        .store
        .confirm(&mut session, &test_collection.lease("a", 1))
        .await;
    let Err(FencingError::Failed(error)) = failed else {
        panic!("{failed:?}");
    };
    assert!(
        error.contains_label(TRANSIENT_TRANSACTION_ERROR),
        "{error:?}"
    );
}

/// `$$NOW` must be the time of the request, or a long transaction would confirm a lease that has expired.
#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_lease_that_expires_within_the_transaction_does_not_confirm() {
    let account = Account::new().await;
    let test_collection = &account.test_collection;
    let mut bid = test_collection.bid("a", 1);
    bid.ttl = Duration::from_millis(400);
    test_collection.acquire_by(&bid).await;
    let mut session = begun(&account).await;
    let find = account.accounts.find_one(account.name());
    find.session(&mut session).await.unwrap();
    tokio::time::sleep(bid.ttl * 2).await;
    let refusal = rejected(
        test_collection
            .store
            .confirm(&mut session, &test_collection.lease("a", 1))
            .await,
    );
    assert_eq!(refusal.reason, RejectionReason::Expired);
}

#[tokio::test]
#[ignore = "needs MongoDB: scripts/servers up, then scripts/servers env"]
async fn a_record_of_a_newer_library_is_unsupported_and_a_damaged_one_is_corrupt() {
    let account = Account::new().await;
    account.test_collection.acquire("a", 1).await;
    for (fields, expected) in [
        (doc! { "closing": "no" }, StoreErrorKind::Corrupt),
        (doc! { "min_reader": 99 }, StoreErrorKind::Unsupported),
    ] {
        account.test_collection.set(fields).await;
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
    account.test_collection.acquire("a", 1).await;
    let other = Client::with_options(options().await).unwrap();
    let mut session = other.start_session().await.unwrap();
    let lease = account.test_collection.lease("a", 1);
    let store = account.test_collection.store.clone();
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
