//! Fenced writes: guards that are added to the requests that the user has built.

mod merge;

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    error::{BuildError, SdkError},
    operation::{
        put_item::{PutItemError, PutItemOutput, builders::PutItemFluentBuilder},
        transact_write_items::{
            TransactWriteItemsError, TransactWriteItemsOutput,
            builders::TransactWriteItemsFluentBuilder,
        },
        update_item::{UpdateItemError, UpdateItemOutput, builders::UpdateItemFluentBuilder},
    },
    types::{
        AttributeValue, ConditionCheck, ReturnValuesOnConditionCheckFailure::AllOld,
        TransactWriteItem,
    },
};

use self::merge::Additions;
use super::{
    DynamoStore,
    conditional_update::ConditionExpression,
    item::{self, Item, NAME, SCOPE, Stored},
    requests::DynamoOperation,
};
use crate::{
    lease::Lease,
    store::{
        Operation,
        fencing::{FencingError, RejectedWrite, RejectionReason, TokenGuard},
        observed::{Table as _, TableRecord, WriteCondition},
        record::READER,
    },
};

/// # DynamoDB
///
/// One request: the condition and the token are added to the request that you have built. Your own condition
/// and update expression still apply. If the guard fails, DynamoDB returns the item with its error
/// (`ReturnValuesOnConditionCheckFailure`), so no read is needed.
///
/// An item that does not exist has no token: it is created, as without a guard. To write only to an existing
/// item, add the condition `attribute_exists` of its key. If that fails, you get DynamoDB's own error.
///
/// The token is a number attribute of the item. The expressions use the names `#tenure_fencing_token` and
/// `:tenure_fencing_token`. Least privileges: those of your request.
impl TokenGuard {
    /// Sends an `UpdateItem` that DynamoDB applies only if the item has no newer token.
    ///
    /// # Errors
    /// - [`FencingError::Rejected`]: the item has a newer token.
    /// - [`FencingError::Unguardable`]: the attribute of the token is no number.
    /// - [`FencingError::Failed`]: the SDK's error, also if your own condition failed.
    ///
    /// An old DynamoDB Local does not return the item with its error. Then `newest` is `None`, and if your
    /// request has its own condition, the call cannot tell which of the two failed: it returns the SDK's error.
    ///
    /// # Cancel safety
    /// A dropped call may or may not have been applied.
    ///
    /// # Examples
    /// ```no_run
    /// # use aws_sdk_dynamodb::{Client, types::AttributeValue};
    /// # use tenure::{Leadership, fencing::TokenGuard};
    /// # async fn example(client: Client, leadership: Leadership) -> Result<(), Box<dyn std::error::Error>> {
    /// let pay = client
    ///     .update_item()
    ///     .table_name("accounts")
    ///     .key("id", AttributeValue::S("7".into()))
    ///     .update_expression("SET cents = cents + :more")
    ///     .expression_attribute_values(":more", AttributeValue::N("100".into()));
    /// TokenGuard::new(leadership.lease()).update_item(pay).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn update_item(
        &self,
        request: UpdateItemFluentBuilder,
    ) -> Result<UpdateItemOutput, FencingError<SdkError<UpdateItemError>>> {
        let own = request.get_condition_expression().clone();
        let mut names = request
            .get_expression_attribute_names()
            .clone()
            .unwrap_or_default();
        let mut values = request
            .get_expression_attribute_values()
            .clone()
            .unwrap_or_default();
        let ours = Additions::new(self, &mut names, &mut values);
        let condition = ours.condition(own.as_deref()).ok_or_else(unclosed)?;
        let update = request.get_update_expression().as_deref();
        let update = ours.update(update.unwrap_or_default());
        let request = request
            .condition_expression(condition)
            .update_expression(update)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values))
            .return_values_on_condition_check_failure(AllOld);
        let error = match request.send().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let refused = match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                self.refused(own.is_some(), refused.item())
            }
            _ => None,
        };
        Err(refused.map_or(FencingError::Failed(error), Refused::widened))
    }

    /// Sends a `PutItem` that DynamoDB applies only if the item that it replaces has no newer token.
    ///
    /// # Errors
    /// As [`update_item`](Self::update_item).
    ///
    /// # Cancel safety
    /// A dropped call may or may not have been applied.
    pub async fn put_item(
        &self,
        request: PutItemFluentBuilder,
    ) -> Result<PutItemOutput, FencingError<SdkError<PutItemError>>> {
        let own = request.get_condition_expression().clone();
        let mut names = request
            .get_expression_attribute_names()
            .clone()
            .unwrap_or_default();
        let mut values = request
            .get_expression_attribute_values()
            .clone()
            .unwrap_or_default();
        let ours = Additions::new(self, &mut names, &mut values);
        let condition = ours.condition(own.as_deref()).ok_or_else(unclosed)?;
        let request = request
            .item(&self.field, ours.token.clone())
            .condition_expression(condition)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values))
            .return_values_on_condition_check_failure(AllOld);
        let error = match request.send().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let refused = match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(refused)) => {
                self.refused(own.is_some(), refused.item())
            }
            _ => None,
        };
        Err(refused.map_or(FencingError::Failed(error), Refused::widened))
    }

    /// Why the condition failed, or `None` if it was the user's own condition.
    fn refused(&self, has_own: bool, item: Option<&Item>) -> Option<Refused> {
        let item = item.filter(|item| !item.is_empty());
        let token = match item.map(|item| item.get(&self.field)) {
            Some(Some(AttributeValue::N(token))) => token.parse::<u64>(),
            Some(Some(_)) => {
                let message = format!(
                    "the attribute `{}` is no number: set it to an integer or remove it",
                    self.field
                );
                return Some(Refused::Unguardable(message));
            }
            // The guard accepts an item without a token, so the user's own condition failed.
            Some(None) => return None,
            None if has_own => return None,
            None => {
                return Some(Refused::Rejected(RejectedWrite::by_token(
                    &self.lease,
                    None,
                )));
            }
        };
        match token {
            Ok(token) => self.refused_by(token).map(Refused::Rejected),
            Err(_) => {
                let message = format!(
                    "the attribute `{}` is no token: set it to an integer or remove it",
                    self.field
                );
                Some(Refused::Unguardable(message))
            }
        }
    }
}

enum Refused {
    Rejected(RejectedWrite),
    Unguardable(String),
}

impl Refused {
    fn widened<E>(self) -> FencingError<E> {
        match self {
            Self::Rejected(rejected) => rejected.into(),
            Self::Unguardable(why) => FencingError::Unguardable(why),
        }
    }
}

/// The user's condition is not valid by itself, but could become valid, with another meaning, around the guard.
fn unclosed<E>() -> FencingError<E> {
    let message = "the parentheses of its condition do not match: correct the condition".to_owned();
    FencingError::Unguardable(message)
}

impl DynamoStore {
    /// Sends a `TransactWriteItems` that DynamoDB applies only if the lease was neither taken over nor released
    /// nor evicted.
    ///
    /// The request is your own, built with a client for the account and region of the leases. A
    /// `ConditionCheck` of the lease's item is put before your actions, and counts as one of the 100 that
    /// DynamoDB allows. The reasons of a cancellation have one more entry, the first. DynamoDB has no clock: an
    /// expired lease still allows writes until it is taken over.
    ///
    /// It sends one request. If the lease has no record, or an old DynamoDB Local does not return the item, it
    /// sends one read more. In a transaction, a write costs twice as much as usual, and so does the check.
    ///
    /// A renewal at the same moment can wait. It can fail as
    /// [`Unavailable`](crate::store::StoreErrorKind::Unavailable); then the lock repeats it. Or it cancels the
    /// transaction with the reason `TransactionConflict`; then send the transaction again.
    ///
    /// Least privileges: `dynamodb:ConditionCheckItem` on the table of the leases, and those of your actions.
    ///
    /// # Errors
    /// - [`FencingError::Rejected`]: the lease is no longer held.
    /// - [`FencingError::Lease`]: the reason of a failed check could not be read.
    /// - [`FencingError::Failed`]: the SDK's error, with the reasons of a cancellation.
    ///
    /// # Cancel safety
    /// A dropped call may or may not have been applied.
    ///
    /// # Examples
    /// ```no_run
    /// # use aws_sdk_dynamodb::{Client, types::{Put, TransactWriteItem}};
    /// # use tenure::{DynamoStore, Leadership};
    /// # async fn example(client: Client, store: DynamoStore, leadership: Leadership, report: Put) -> Result<(), Box<dyn std::error::Error>> {
    /// let write = client
    ///     .transact_write_items()
    ///     .transact_items(TransactWriteItem::builder().put(report).build());
    /// store.leader_transaction(leadership.lease(), write).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn leader_transaction(
        &self,
        lease: &Lease,
        request: TransactWriteItemsFluentBuilder,
    ) -> Result<TransactWriteItemsOutput, FencingError<SdkError<TransactWriteItemsError>>> {
        let check = self.check(lease).map_err(SdkError::construction_failure);
        let check = check.map_err(FencingError::Failed)?;
        let mut actions = request.get_transact_items().clone().unwrap_or_default();
        actions.insert(
            0,
            TransactWriteItem::builder().condition_check(check).build(),
        );
        let error = match request.set_transact_items(Some(actions)).send().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) =
            error.as_service_error()
        else {
            return Err(FencingError::Failed(error));
        };
        let first = cancelled.cancellation_reasons().first();
        let first = first.filter(|reason| reason.code() == Some("ConditionalCheckFailed"));
        match first {
            Some(reason) => Err(self.refused(lease, reason.item()).await),
            None => Err(FencingError::Failed(error)),
        }
    }

    fn check(&self, lease: &Lease) -> Result<ConditionCheck, BuildError> {
        let ConditionExpression {
            text,
            names,
            values,
        } = ConditionExpression::new(&WriteCondition::Renewable(lease.clone()));
        ConditionCheck::builder()
            .table_name(&*self.table)
            .key(SCOPE, item::scope_key(&lease.resource.scope()))
            .key(NAME, item::name_key(&lease.resource))
            .condition_expression(text)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values))
            .return_values_on_condition_check_failure(AllOld)
            .build()
    }

    /// Why the check failed.
    async fn refused<E>(
        &self,
        lease: &Lease,
        item: Option<&HashMap<String, AttributeValue>>,
    ) -> FencingError<E> {
        let found = match item.filter(|item| !item.is_empty()) {
            Some(item) => Stored::decode(item).map(|stored| Some(stored.found)),
            // There is no record, or DynamoDB did not return it.
            None => {
                DynamoOperation::new(self, self.call_limit)
                    .get(&lease.resource)
                    .await
            }
        };
        let found = found.and_then(|found| match found {
            Some(TableRecord { min_reader, .. }) if min_reader > u64::from(READER) => Err(
                super::failure::Failure::unsupported(lease.resource.as_str(), min_reader),
            ),
            found => Ok(found),
        });
        let record = match self.in_context(Operation::Confirm, found) {
            Ok(found) => found.and_then(|found| self.observer.view(&lease.resource, found)),
            Err(error) => return error.into(),
        };
        let mut rejected = RejectedWrite::by_record(lease, record.as_ref());
        if rejected.reason == RejectionReason::Expired {
            // The record, read after the check, is valid again: it was created again by hand in between.
            rejected.reason = RejectionReason::Forgotten;
        }
        rejected.into()
    }
}
