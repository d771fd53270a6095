//! Deletes records that nobody needs any more, each on the condition that it is still as it was read.

use std::time::SystemTime;

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    conditional_update::ConditionExpression,
    failure::{Access, RequestResult},
    item::{self, DecodedItem, NAME, SCOPE},
    requests::DynamoOperation,
};
use crate::lease::Scope;

/// How many deletions of one purge are sent at once: few, so that they do not hold up renewals.
const IN_FLIGHT: usize = 8;

impl DynamoOperation<'_> {
    /// Deletes the records that were released and not touched since this time of day. Returns how many.
    pub(super) async fn purge(
        &self,
        scope: &Scope,
        untouched_since: SystemTime,
    ) -> RequestResult<u64> {
        let observer = &self.store.observer;
        let (mut deleted, mut start) = (0, None);
        loop {
            let (mut page, next) = self.page(scope, start).await?;
            page.retain(|record| observer.is_purged(&record.found, untouched_since));
            let deletions = page.into_iter().map(|record| self.delete(record));
            let deletions = stream::iter(deletions);
            deleted += deletions
                .buffer_unordered(IN_FLIGHT)
                .try_fold(0, |count, done| async move { Ok(count + u64::from(done)) })
                .await?;
            if next.is_none() {
                return Ok(deleted);
            }
            start = next;
        }
    }

    /// Deletes a record, and says whether it did. It does not if the record was changed since it was read.
    async fn delete(&self, record: DecodedItem) -> RequestResult<bool> {
        let ConditionExpression {
            text,
            names,
            values,
        } = ConditionExpression::of_purge(&record);
        let request = self.store.client.delete_item();
        let request = request
            .table_name(&*self.store.table)
            .key(SCOPE, item::scope_key(&record.name.scope()))
            .key(NAME, item::name_key(&record.name))
            .condition_expression(text)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values));
        let error = match self.limited(Access::Write, request.send()).await? {
            Ok(_) => {
                self.store.observer.deleted(&record.name);
                return Ok(true);
            }
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(DeleteItemError::ConditionalCheckFailedException(_)) => Ok(false),
            _ => Err(Access::Write.failure(error)),
        }
    }
}
