use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    operation::update_item::{UpdateItemError, UpdateItemOutput},
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use futures::FutureExt as _;
use tokio::time::{Instant, timeout_at};

use super::{
    DynamoStore,
    conditional_update::ConditionalUpdate,
    failure::{Access, Failure, RequestResult},
    item::{self, DecodedItem, Item, NAME, SCOPE},
};
use crate::{
    clock::instant_after,
    lease::{FencingToken, ResourceName, Scope},
    store::{
        StoreErrorKind,
        observed::{RecordChange, Table, TableRecord, WriteCondition, WriteOutcome, Written},
        request_limiter::RequestLimiter,
    },
};

/// Enough for any number of locks on a slow network, and few enough for one thread to open that many connections
/// at once in time.
const PERMITS: usize = 64;

/// The limiter of a store. Its probe reads an item that cannot exist, because every scope begins with `/`.
pub(super) fn limiter(client: &Client, table: &Arc<str>) -> RequestLimiter {
    let (client, table) = (client.clone(), table.clone());
    RequestLimiter::new(PERMITS, move || {
        let key = || AttributeValue::S("probe".to_owned());
        let request = client.get_item().table_name(&*table);
        let request = request.key(SCOPE, key()).key(NAME, key());
        async move { drop(request.send().await) }.boxed()
    })
}

/// Whether reads are strongly consistent: always, except under a planted fault.
fn is_consistent() -> bool {
    !mutant!(InconsistentReads)
}

/// One operation, with one limit for all its requests.
pub(super) struct DynamoOperation<'a> {
    pub(super) store: &'a DynamoStore,
    limit: Duration,
    end: Instant,
}

impl<'a> DynamoOperation<'a> {
    pub(super) fn new(store: &'a DynamoStore, limit: Duration) -> Self {
        let limit = limit.min(store.call_limit);
        Self {
            store,
            limit,
            end: instant_after(limit),
        }
    }

    pub(super) async fn limited<T>(
        &self,
        access: Access,
        request: impl Future<Output = T>,
    ) -> RequestResult<T> {
        // A future whose time is up is still polled once, and could send the request.
        if Instant::now() >= self.end {
            return Err(Access::held_back(self.limit));
        }
        let permit = timeout_at(self.end, self.store.limiter.acquire(self.limit)).await;
        let permit = permit.map_err(|_| Access::held_back(self.limit))?;
        let answer = timeout_at(self.end, request).await;
        if answer.is_ok() {
            permit.answered();
        }
        answer.map_err(|_| access.late(self.limit))
    }

    /// Reads the records that are directly in a scope.
    pub(super) async fn query(&self, scope: &Scope) -> RequestResult<Vec<DecodedItem>> {
        let (mut found, mut next) = self.page(scope, None).await?;
        while next.is_some() {
            let (more, after) = self.page(scope, next).await?;
            found.extend(more);
            next = after;
        }
        Ok(found)
    }

    /// At most 1 MB of the records that are directly in a scope, and where the next page begins.
    pub(super) async fn page(
        &self,
        scope: &Scope,
        start: Option<Item>,
    ) -> RequestResult<(Vec<DecodedItem>, Option<Item>)> {
        let request = self.store.client.query().table_name(&*self.store.table);
        let request = request
            .key_condition_expression("#scope = :scope")
            .expression_attribute_names("#scope", SCOPE)
            .expression_attribute_values(":scope", item::scope_key(scope))
            .consistent_read(is_consistent())
            .set_exclusive_start_key(start);
        let page = self.limited(Access::Read, request.send()).await?;
        let page = page.map_err(|error| Access::Read.failure(error))?;
        let records = page.items().iter().map(DecodedItem::decode);
        let records = records.collect::<Result<_, _>>()?;
        Ok((records, page.last_evaluated_key))
    }
}

/// What the answer to a write contains: as little as possible, because it is parsed.
fn returned(change: &RecordChange, guard: &WriteCondition) -> ReturnValue {
    match (change, guard) {
        // The condition says that no instruction stands.
        (RecordChange::Extend { .. }, WriteCondition::RenewableUninstructed(_)) => {
            ReturnValue::UpdatedNew
        }
        (RecordChange::Extend { .. } | RecordChange::Instruct { .. }, _) => ReturnValue::AllNew,
        _ => ReturnValue::UpdatedNew,
    }
}

fn written(answer: &UpdateItemOutput) -> RequestResult<Written> {
    let item = answer.attributes();
    let number = |name: &str| item?.get(name)?.as_n().ok()?.parse().ok();
    // Only an answer with the whole item has it.
    let whole = item.filter(|item| item.contains_key(SCOPE));
    let whole = whole.map(DecodedItem::decode).transpose()?;
    let version = number("version").ok_or_else(|| {
        let message = "the answer to a write has no version: the lock asks again";
        Failure::new(StoreErrorKind::Unknown, message)
    })?;
    Ok(Written {
        version,
        token: number("token").map(FencingToken::new),
        edition: number("edition"),
        instruction: whole.and_then(|whole| whole.found.record.instruction()),
    })
}

#[async_trait]
impl Table for DynamoOperation<'_> {
    async fn write(
        &self,
        resource: &ResourceName,
        change: &RecordChange,
        guard: &WriteCondition,
    ) -> RequestResult<WriteOutcome> {
        let ConditionalUpdate {
            update,
            condition,
            names,
            values,
        } = ConditionalUpdate::new(change, guard);
        let request = self.store.client.update_item();
        let request = request
            .table_name(&*self.store.table)
            .key(SCOPE, item::scope_key(&resource.scope()))
            .key(NAME, item::name_key(resource))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values))
            .return_values(returned(change, guard))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let error = match self.limited(Access::Write, request.send()).await? {
            Ok(answer) => return written(&answer).map(WriteOutcome::Done),
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                let found = refused.item().map(DecodedItem::decode).transpose()?;
                Ok(WriteOutcome::Refused(found.map(|stored| stored.found)))
            }
            _ => Err(Access::Write.failure(error)),
        }
    }

    async fn get(&self, resource: &ResourceName) -> RequestResult<Option<TableRecord>> {
        let request = self.store.client.get_item();
        let request = request
            .table_name(&*self.store.table)
            .key(SCOPE, item::scope_key(&resource.scope()))
            .key(NAME, item::name_key(resource))
            .consistent_read(is_consistent());
        let answer = self.limited(Access::Read, request.send()).await?;
        let answer = answer.map_err(|error| Access::Read.failure(error))?;
        let stored = answer.item.as_ref().map(DecodedItem::decode).transpose()?;
        Ok(stored.map(|stored| stored.found))
    }
}

#[cfg(test)]
mod tests;
