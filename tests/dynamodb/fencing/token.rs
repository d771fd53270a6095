//! Writes that are guarded by the token in the item that they change.

use tenure::{
    FencingToken,
    fencing::{FencingError, RejectionReason},
};

use super::{ACCOUNTS, Account, number, rejected, text, token};
use crate::support::{DYNOXIDE, LOCAL};

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn an_item_accepts_no_token_older_than_its_own() {
    for (server, tells) in [(DYNOXIDE, true), (LOCAL, false)] {
        let account = Account::new(server).await;
        account.write(9).await.unwrap();
        account.write(9).await.unwrap();
        account.write(10).await.unwrap();
        let refusal = rejected(account.write(9).await);
        assert_eq!(refusal.newest, token(10).filter(|_| tells), "{server:?}");
        assert_eq!(
            (refusal.token, refusal.reason),
            (FencingToken::new(9), RejectionReason::Superseded)
        );
        assert_eq!(refusal.resource, account.test_table.name);
        assert_eq!(account.get("cents").await, Some(number(3)));
        assert_eq!(
            account.get("latest").await,
            Some(number(1)),
            "the SET of the request"
        );
        assert_eq!(account.get("fencing_token").await, Some(number(10)));
    }
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn an_item_that_is_put_is_guarded_like_one_that_is_updated() {
    for (server, tells) in [(DYNOXIDE, true), (LOCAL, false)] {
        let account = Account::new(server).await;
        let put = |cents: u64| {
            let put = account.test_table.client.put_item().table_name(ACCOUNTS);
            put.item("id", text(&account.id))
                .item("cents", number(cents))
        };
        account.guard(3).put_item(put(1)).await.unwrap();
        account.guard(4).put_item(put(2)).await.unwrap();
        let refusal = rejected(account.guard(3).put_item(put(3)).await);
        assert_eq!(refusal.newest, token(4).filter(|_| tells), "{server:?}");
        assert_eq!(account.get("cents").await, Some(number(2)));
        assert_eq!(account.get("fencing_token").await, Some(number(4)));
    }
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn an_item_without_a_token_accepts_any_and_the_attribute_can_be_chosen() {
    for server in [DYNOXIDE, LOCAL] {
        let account = Account::new(server).await;
        account.pay().send().await.unwrap();
        // An attribute name that needs a `#name`, and placeholders that the request already uses.
        let pay = || {
            account
                .request()
                .update_expression("SET #tenure_fencing_token = :tenure_fencing_token")
                .expression_attribute_names("#tenure_fencing_token", "latest")
                .expression_attribute_values(":tenure_fencing_token", number(7))
        };
        let guard = |token| account.guard(token).field("the.newest token");
        guard(5).update_item(pay()).await.unwrap();
        rejected(guard(4).update_item(pay()).await);
        assert_eq!(account.get("latest").await, Some(number(7)));
        assert_eq!(account.get("the.newest token").await, Some(number(5)));
        // An update of only the token claims the item.
        account
            .guard(1)
            .update_item(account.request())
            .await
            .unwrap();
        assert_eq!(account.get("fencing_token").await, Some(number(1)));
    }
}

#[tokio::test]
#[ignore = "needs both servers: scripts/servers up, then scripts/servers env"]
async fn a_condition_of_the_request_still_applies_and_is_distinguished_from_the_guard() {
    for server in [DYNOXIDE, LOCAL] {
        let account = Account::new(server).await;
        let existing = || {
            account
                .pay()
                .condition_expression("attribute_exists(id) OR cents = :one")
        };
        let missing = account.guard(5).update_item(existing()).await;
        let Err(FencingError::Failed(error)) = missing else {
            panic!("{missing:?}");
        };
        assert!(
            error
                .as_service_error()
                .unwrap()
                .is_conditional_check_failed_exception()
        );
        assert_eq!(account.get("id").await, None, "{server:?}");
        account.write(5).await.unwrap();
        account.guard(5).update_item(existing()).await.unwrap();
        // The condition is an OR, so without parentheses the guard would have no effect.
        let refusal = account.guard(4).update_item(existing()).await;
        if server.url() == DYNOXIDE.url() {
            assert_eq!(rejected(refusal).newest, token(5));
        } else {
            assert!(matches!(refusal, Err(FencingError::Failed(_))));
        }
        assert_eq!(account.get("cents").await, Some(number(2)), "{server:?}");
    }
}

#[tokio::test]
#[ignore = "needs dynoxide: scripts/servers up, then scripts/servers env"]
async fn a_write_that_cannot_be_guarded_is_refused() {
    let account = Account::new(DYNOXIDE).await;
    let spoil = account
        .request()
        .update_expression("SET fencing_token = :x");
    let spoil = spoil.expression_attribute_values(":x", text("newest"));
    spoil.clone().send().await.unwrap();
    let wrong = account.write(1).await;
    assert!(
        matches!(wrong, Err(FencingError::Unguardable(_))),
        "{wrong:?}"
    );
    // Two assignments to the same attribute.
    let account = Account::new(DYNOXIDE).await;
    let spoil = account
        .request()
        .update_expression("SET fencing_token = :x");
    let spoil = spoil.expression_attribute_values(":x", number(0));
    let wrong = account.guard(1).update_item(spoil).await;
    assert!(matches!(wrong, Err(FencingError::Failed(_))), "{wrong:?}");
    assert_eq!(account.get("id").await, None);
}
