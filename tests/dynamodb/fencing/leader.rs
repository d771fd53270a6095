//! Transactions that check the record of the lease.

use std::time::Duration;

use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError,
    types::{Put, TransactWriteItem},
};
use tenure::{
    LeaseStore as _,
    fencing::{FencingError, RejectionReason},
    store::{EvictionMode, StoreErrorKind},
};

use super::{ACCOUNTS, Account, number, rejected, text};
use crate::support::{DYNOXIDE, LIMIT, LOCAL, granted, refused, unique};

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn only_the_lease_that_is_held_writes() {
    for server in [DYNOXIDE, LOCAL] {
        let account = Account::new(server).await;
        let test_table = &account.test_table;
        let refusal = rejected(account.lead("a", 1).await);
        assert_eq!(
            (refusal.newest, refusal.reason),
            (None, RejectionReason::Forgotten)
        );
        test_table.acquire("a", 1).await;
        let before = test_table.item().await;
        account.lead("a", 1).await.unwrap();
        assert_eq!(test_table.item().await, before, "{server:?}");
        test_table.release("a", 1).await;
        let refusal = rejected(account.lead("a", 1).await);
        assert_eq!(
            (refusal.newest, refusal.reason),
            (Some(test_table.stored(1)), RejectionReason::Released)
        );
        assert_eq!(test_table.acquire("b", 2).await, granted(2));
        let refusal = rejected(account.lead("a", 1).await);
        assert_eq!(
            (refusal.newest, refusal.reason),
            (Some(test_table.stored(2)), RejectionReason::Superseded)
        );
        account.lead("b", 2).await.unwrap();
        let evict = test_table.store.evict(
            &test_table.name,
            test_table.stored(2),
            EvictionMode::Close,
            LIMIT,
        );
        evict.await.unwrap();
        let refusal = rejected(account.lead("b", 2).await);
        assert_eq!(refusal.reason, RejectionReason::Evicted);
        assert_eq!(account.get("cents").await, Some(number(2)), "{server:?}");
    }
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn a_lease_that_has_expired_writes_until_it_is_taken_over() {
    for server in [DYNOXIDE, LOCAL] {
        let account = Account::new(server).await;
        let mut bid = account.test_table.bid("a", 1);
        bid.ttl = Duration::from_millis(300);
        account.test_table.acquire_with(&bid).await;
        let other = account.test_table.other(server);
        refused(other.acquire("b", 2).await);
        tokio::time::sleep(bid.ttl * 2).await;
        account.lead("a", 1).await.unwrap();
        assert_eq!(
            other.acquire("b", 2).await,
            granted(2),
            "the lease was observed for its whole ttl"
        );
        let newest = rejected(account.lead("a", 1).await).newest;
        assert_eq!(newest, Some(other.stored(2)));
        assert_eq!(account.get("cents").await, Some(number(1)));
    }
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn a_failed_condition_of_the_request_writes_nothing_and_the_error_has_all_reasons() {
    for server in [DYNOXIDE, LOCAL] {
        let account = Account::new(server).await;
        account.test_table.acquire("a", 1).await;
        let put = Put::builder()
            .table_name(ACCOUNTS)
            .item("id", text(&unique()))
            .condition_expression("attribute_exists(id)");
        let put = TransactWriteItem::builder()
            .put(put.build().unwrap())
            .build();
        let request = account.test_table.client.transact_write_items();
        let request = request.transact_items(account.action()).transact_items(put);
        let lease = account.test_table.lease("a", 1);
        let failed = account
            .test_table
            .store
            .leader_transaction(&lease, request)
            .await;
        let Err(FencingError::Failed(error)) = failed else {
            panic!("{failed:?}");
        };
        let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) =
            error.as_service_error()
        else {
            panic!("{error:?}");
        };
        let reasons = cancelled.cancellation_reasons().iter();
        let reasons: Vec<_> = reasons
            .map(|reason| reason.code().unwrap_or_default())
            .collect();
        assert_eq!(
            reasons,
            ["None", "None", "ConditionalCheckFailed"],
            "{server:?}"
        );
        assert_eq!(account.get("cents").await, None);
    }
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn a_record_of_a_newer_library_is_unsupported_and_a_damaged_one_is_corrupt() {
    for server in [DYNOXIDE, LOCAL] {
        let account = Account::new(server).await;
        account.test_table.acquire("a", 1).await;
        for (name, value, expected) in [
            ("ttl_ms", text("long"), StoreErrorKind::Corrupt),
            ("min_reader", number(99), StoreErrorKind::Unsupported),
        ] {
            account.test_table.set(name, value).await;
            let failed = account.lead("a", 1).await;
            let Err(FencingError::Lease(error)) = failed else {
                panic!("{failed:?}");
            };
            assert_eq!(error.kind(), expected, "{server:?}");
        }
        assert_eq!(account.get("cents").await, None);
    }
}
