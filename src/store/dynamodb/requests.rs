use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    operation::update_item::UpdateItemError,
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use futures::FutureExt as _;
use tokio::time::{Instant, timeout_at};

use super::{
    DynamoStore,
    conditional_update::ConditionalUpdate,
    failure::{Access, Failure, RequestResult},
    item::{self, DecodedItem, NAME, SCOPE},
};
use crate::{
    clock::instant_after,
    lease::{FencingToken, ResourceName, Scope},
    store::{
        StoreErrorKind,
        observed::{RecordChange, Table, TableRecord, WriteCondition, WriteOutcome},
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
    store: &'a DynamoStore,
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
        let request = self.store.client.query().table_name(&*self.store.table);
        let mut pages = request
            .key_condition_expression("#scope = :scope")
            .expression_attribute_names("#scope", SCOPE)
            .expression_attribute_values(":scope", item::scope_key(scope))
            .consistent_read(is_consistent())
            .into_paginator()
            .send();
        let mut found = Vec::new();
        while let Some(page) = self.limited(Access::Read, pages.next()).await? {
            let page = page.map_err(|error| Access::Read.failure(error))?;
            for item in page.items() {
                found.push(DecodedItem::decode(item)?);
            }
        }
        Ok(found)
    }
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
            .return_values(ReturnValue::UpdatedNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let error = match self.limited(Access::Write, request.send()).await? {
            Ok(answer) => {
                let number = |name: &str| -> Option<u64> {
                    answer.attributes()?.get(name)?.as_n().ok()?.parse().ok()
                };
                let token = number("token").map(FencingToken::new);
                return match number("version") {
                    Some(version) => Ok(WriteOutcome::Done { version, token }),
                    None => Err(Failure::new(
                        StoreErrorKind::Unknown,
                        "the answer to a write has no version: the lock asks again",
                    )),
                };
            }
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
