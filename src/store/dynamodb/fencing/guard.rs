//! Token guards, which are added to requests of the application.

mod merge;

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::{
        put_item::{PutItemError, PutItemOutput, builders::PutItemFluentBuilder},
        update_item::{UpdateItemError, UpdateItemOutput, builders::UpdateItemFluentBuilder},
    },
    types::{
        AttributeValue, ReturnValuesOnConditionCheckFailure::AllOld,
        error::ConditionalCheckFailedException,
    },
};

use self::merge::Additions;
use super::super::item::Item;
use crate::store::fencing::{FencingError, RejectedWrite, TokenGuard};

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
    /// - [`FencingError::Unguardable`]: the attribute of the token is not a number.
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
        let guarded = GuardedExpressions::new(
            self,
            request.get_condition_expression(),
            request.get_expression_attribute_names(),
            request.get_expression_attribute_values(),
        )?;
        let update = request.get_update_expression().as_deref();
        let update = guarded.additions.update(update.unwrap_or_default());
        let sent = request
            .update_expression(update)
            .condition_expression(guarded.condition)
            .set_expression_attribute_names(Some(guarded.names))
            .set_expression_attribute_values(Some(guarded.values))
            .return_values_on_condition_check_failure(AllOld)
            .send();
        sent.await
            .map_err(|error| self.failure(guarded.has_own_condition, error))
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
        let guarded = GuardedExpressions::new(
            self,
            request.get_condition_expression(),
            request.get_expression_attribute_names(),
            request.get_expression_attribute_values(),
        )?;
        let sent = request
            .item(&self.field, guarded.additions.token)
            .condition_expression(guarded.condition)
            .set_expression_attribute_names(Some(guarded.names))
            .set_expression_attribute_values(Some(guarded.values))
            .return_values_on_condition_check_failure(AllOld)
            .send();
        sent.await
            .map_err(|error| self.failure(guarded.has_own_condition, error))
    }

    fn failure<E: MayFailACondition>(
        &self,
        has_own_condition: bool,
        error: SdkError<E>,
    ) -> FencingError<SdkError<E>> {
        let failed = error.as_service_error().and_then(E::failed_condition);
        let refused = failed.and_then(|failed| self.refused(has_own_condition, failed.item()));
        refused.unwrap_or(FencingError::Failed(error))
    }

    /// Why the condition failed, or `None` if the condition of the request failed.
    fn refused<E>(&self, has_own_condition: bool, item: Option<&Item>) -> Option<FencingError<E>> {
        let item = item.filter(|item| !item.is_empty());
        let token = match item.map(|item| item.get(&self.field)) {
            Some(Some(AttributeValue::N(token))) => token.parse(),
            Some(Some(_)) => return Some(self.unguardable("is not a number")),
            // The guard accepts an item without a token, so the condition of the request failed.
            Some(None) => return None,
            None if has_own_condition => return None,
            None => return Some(RejectedWrite::by_token(&self.lease, None).into()),
        };
        match token {
            Ok(token) => self.refused_by(token).map(Into::into),
            Err(_) => Some(self.unguardable("is not a token")),
        }
    }

    fn unguardable<E>(&self, why: &str) -> FencingError<E> {
        FencingError::Unguardable(format!(
            "the attribute `{}` {why}: set it to an integer or remove it",
            self.field
        ))
    }
}

/// The error of a request that may have a condition. The SDK has a type for each request.
trait MayFailACondition {
    fn failed_condition(&self) -> Option<&ConditionalCheckFailedException>;
}

impl MayFailACondition for UpdateItemError {
    fn failed_condition(&self) -> Option<&ConditionalCheckFailedException> {
        match self {
            Self::ConditionalCheckFailedException(failed) => Some(failed),
            _ => None,
        }
    }
}

impl MayFailACondition for PutItemError {
    fn failed_condition(&self) -> Option<&ConditionalCheckFailedException> {
        match self {
            Self::ConditionalCheckFailedException(failed) => Some(failed),
            _ => None,
        }
    }
}

/// The expressions of a request, with the guard added to them.
struct GuardedExpressions {
    additions: Additions,
    condition: String,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
    has_own_condition: bool,
}

impl GuardedExpressions {
    fn new<E>(
        guard: &TokenGuard,
        condition: &Option<String>,
        names: &Option<HashMap<String, String>>,
        values: &Option<HashMap<String, AttributeValue>>,
    ) -> Result<Self, FencingError<E>> {
        let mut names = names.clone().unwrap_or_default();
        let mut values = values.clone().unwrap_or_default();
        let additions = Additions::new(guard, &mut names, &mut values);
        let Some(guarded) = additions.condition(condition.as_deref()) else {
            // It is not valid by itself, but could become valid, with another meaning, around the guard.
            let message = "the parentheses of its condition do not match: correct the condition";
            return Err(FencingError::Unguardable(message.to_owned()));
        };
        Ok(Self {
            additions,
            condition: guarded,
            names,
            values,
            has_own_condition: condition.is_some(),
        })
    }
}
