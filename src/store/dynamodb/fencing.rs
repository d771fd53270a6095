//! Fenced writes: leader transactions, whose check is added to a request of the application.

mod guard;

use aws_sdk_dynamodb::{
    error::{BuildError, SdkError},
    operation::transact_write_items::{
        TransactWriteItemsError, TransactWriteItemsOutput,
        builders::TransactWriteItemsFluentBuilder,
    },
    types::{ConditionCheck, ReturnValuesOnConditionCheckFailure::AllOld, TransactWriteItem},
};

use super::{
    DynamoStore,
    conditional_update::ConditionExpression,
    item::{self, DecodedItem, Item, NAME, SCOPE},
    requests::DynamoOperation,
};
use crate::{
    lease::Lease,
    store::{
        Operation,
        fencing::{FencingError, RejectedWrite, RejectionReason},
        observed::{Table as _, TableRecord, WriteCondition},
        record::READER,
    },
};

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
    async fn refused<E>(&self, lease: &Lease, item: Option<&Item>) -> FencingError<E> {
        let found = match item.filter(|item| !item.is_empty()) {
            Some(item) => DecodedItem::decode(item).map(|stored| Some(stored.found)),
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
            Ok(found) => found.and_then(|found| self.observer.seen(&lease.resource, found)),
            Err(error) => return error.into(),
        };
        let mut rejected = RejectedWrite::by_record(lease, record.as_ref());
        if rejected.reason == RejectionReason::Expired {
            // The record was read after the check, and is valid again: an operator has created it again in between.
            rejected.reason = RejectionReason::Forgotten;
        }
        rejected.into()
    }
}
