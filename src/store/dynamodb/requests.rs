use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use tokio::time::{Instant, timeout_at};

use super::{
    DynamoStore,
    expression::Expression,
    failure::{Access, Answer, Failure},
    item::{self, NAME, SCOPE, Stored},
};
use crate::{
    lease::{FencingToken, ResourceName, Scope},
    store::{
        StoreErrorKind,
        observed::{Change, Found, Guard, Table, Written},
    },
};

/// One operation, with one limit for all its requests.
pub(super) struct Call<'a> {
    store: &'a DynamoStore,
    limit: Duration,
    end: Instant,
}

impl<'a> Call<'a> {
    pub(super) fn new(store: &'a DynamoStore) -> Self {
        let limit = store.call_limit;
        Self {
            store,
            limit,
            end: Instant::now() + limit,
        }
    }

    pub(super) async fn limited<T>(
        &self,
        access: Access,
        request: impl Future<Output = T>,
    ) -> Answer<T> {
        let answer = timeout_at(self.end, request).await;
        answer.map_err(|_| access.late(self.limit))
    }

    /// The records directly in a scope.
    pub(super) async fn query(&self, scope: &Scope) -> Answer<Vec<Stored>> {
        let request = self.store.client.query().table_name(&*self.store.table);
        let mut pages = request
            .key_condition_expression("#scope = :scope")
            .expression_attribute_names("#scope", SCOPE)
            .expression_attribute_values(":scope", item::scope_key(scope))
            .consistent_read(true)
            .into_paginator()
            .send();
        let mut found = Vec::new();
        while let Some(page) = self.limited(Access::Read, pages.next()).await? {
            let page = page.map_err(|error| Access::Read.failure(error))?;
            for item in page.items() {
                found.push(Stored::decode(item)?);
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl Table for Call<'_> {
    async fn write(
        &self,
        resource: &ResourceName,
        change: &Change,
        guard: &Guard,
    ) -> Answer<Written> {
        let Expression {
            update,
            condition,
            names,
            values,
        } = Expression::new(change, guard);
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
                    Some(version) => Ok(Written::Done { version, token }),
                    None => Err(Failure::new(
                        StoreErrorKind::Unknown,
                        "the answer to a write has no version",
                    )),
                };
            }
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                let found = refused.item().map(Stored::decode).transpose()?;
                Ok(Written::Refused(found.map(|stored| stored.found)))
            }
            _ => Err(Access::Write.failure(error)),
        }
    }

    async fn get(&self, resource: &ResourceName) -> Answer<Option<Found>> {
        let request = self.store.client.get_item();
        let request = request
            .table_name(&*self.store.table)
            .key(SCOPE, item::scope_key(&resource.scope()))
            .key(NAME, item::name_key(resource))
            .consistent_read(true);
        let answer = self.limited(Access::Read, request.send()).await?;
        let answer = answer.map_err(|error| Access::Read.failure(error))?;
        let stored = answer.item.as_ref().map(Stored::decode).transpose()?;
        Ok(stored.map(|stored| stored.found))
    }
}
