//! The table itself: checks that it exists and has the right keys, and creates it.

use std::time::Duration;

use aws_sdk_dynamodb::{
    error::{BuildError, ProvideErrorMetadata as _},
    types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
        TableDescription, TableStatus,
    },
};
use tokio::time::{Instant, sleep};

use super::{
    DynamoStore,
    failure::{Access, Failure, NO_TABLE, OTHER_KEYS, RequestResult},
    item::{NAME, SCOPE},
    requests::DynamoOperation,
};
use crate::{
    duration::human,
    store::{Operation, REACHED_WITHIN, StoreError, StoreErrorKind},
};

/// AWS takes a few seconds to create an empty table.
const READY_WITHIN: Duration = Duration::from_secs(60);
const CHECK_EVERY: Duration = Duration::from_millis(300);

impl DynamoStore {
    /// Creates the table, with on-demand billing, if it is missing, and waits until it can be used.
    ///
    /// It waits for at most 60 s. Repeating the call does no harm, and several processes may call it at once.
    ///
    /// # Errors
    /// - [`Misconfigured`](StoreErrorKind::Misconfigured): a table of this name has other keys.
    /// - [`Denied`](StoreErrorKind::Denied): `dynamodb:CreateTable` or `dynamodb:DescribeTable` is not allowed.
    /// - [`Unavailable`](StoreErrorKind::Unavailable): the table cannot be used after 60 s, or DynamoDB cannot
    ///   be reached.
    /// - [`Unknown`](StoreErrorKind::Unknown): the table is missing after 60 s, and DynamoDB did not answer
    ///   the last request to create it.
    pub async fn create_table_if_missing(&self) -> Result<(), StoreError> {
        self.in_context(Operation::Prepare, self.create_and_wait().await)
    }

    async fn create_and_wait(&self) -> RequestResult<()> {
        let end = Instant::now() + READY_WITHIN;
        loop {
            let mut unanswered = None;
            match self.table_state().await? {
                TableState::Ready => return Ok(()),
                TableState::OtherKeys => return Err(other_keys()),
                TableState::Missing => match self.create().await {
                    Err(failure) if failure.kind.may_have_been_applied() => {
                        unanswered = Some(failure);
                    }
                    done => done?,
                },
                TableState::InTransition => {}
            }
            if Instant::now() >= end {
                if let Some(failure) = unanswered {
                    return Err(failure);
                }
                let message = format!(
                    "the table cannot be used yet after {}: wait until it is active",
                    human(READY_WITHIN)
                );
                return Err(Failure::new(StoreErrorKind::Unavailable, message));
            }
            sleep(CHECK_EVERY).await;
        }
    }

    /// Checks that the table exists and has the right keys.
    pub(super) async fn check_table(&self) -> RequestResult<()> {
        match self.table_state().await? {
            TableState::Ready => Ok(()),
            TableState::OtherKeys => Err(other_keys()),
            TableState::Missing => Err(Failure::new(StoreErrorKind::Misconfigured, NO_TABLE)),
            TableState::InTransition => Err(Failure::new(
                StoreErrorKind::Unavailable,
                "the table is being created or deleted: wait until it is active",
            )),
        }
    }

    async fn table_state(&self) -> RequestResult<TableState> {
        let request = self.client.describe_table().table_name(&*self.table);
        let call = DynamoOperation::new(self, REACHED_WITHIN);
        match call.limited(Access::Read, request.send()).await? {
            Ok(answer) => Ok(answer
                .table
                .as_ref()
                .map_or(TableState::Missing, TableState::of)),
            Err(error) if error.code() == Some("ResourceNotFoundException") => {
                Ok(TableState::Missing)
            }
            Err(error) => Err(Access::Read.failure(error)),
        }
    }

    async fn create(&self) -> RequestResult<()> {
        let request = self
            .client
            .create_table()
            .table_name(&*self.table)
            .billing_mode(BillingMode::PayPerRequest)
            .set_attribute_definitions(Some(vec![text(SCOPE)?, text(NAME)?]))
            .set_key_schema(Some(vec![
                key(SCOPE, KeyType::Hash)?,
                key(NAME, KeyType::Range)?,
            ]));
        let call = DynamoOperation::new(self, self.call_limit);
        match call.limited(Access::Write, request.send()).await? {
            Ok(_) => Ok(()),
            // Another process has created it meanwhile.
            Err(error) if error.code() == Some("ResourceInUseException") => Ok(()),
            Err(error) => Err(Access::Write.failure(error)),
        }
    }
}

enum TableState {
    Missing,
    /// The table is being created or deleted.
    InTransition,
    Ready,
    OtherKeys,
}

impl TableState {
    fn of(table: &TableDescription) -> Self {
        let has_key = |name: &str, kind: KeyType| {
            let is_text = table.attribute_definitions().iter().any(|definition| {
                definition.attribute_name() == name
                    && *definition.attribute_type() == ScalarAttributeType::S
            });
            let mut keys = table.key_schema().iter();
            is_text && keys.any(|key| key.attribute_name() == name && *key.key_type() == kind)
        };
        match table.table_status() {
            Some(TableStatus::Creating | TableStatus::Deleting) => Self::InTransition,
            _ if has_key(SCOPE, KeyType::Hash) && has_key(NAME, KeyType::Range) => Self::Ready,
            _ => Self::OtherKeys,
        }
    }
}

fn other_keys() -> Failure {
    Failure::new(StoreErrorKind::Misconfigured, OTHER_KEYS)
}

fn text(name: &str) -> RequestResult<AttributeDefinition> {
    let definition = AttributeDefinition::builder()
        .attribute_name(name)
        .attribute_type(ScalarAttributeType::S)
        .build();
    definition.map_err(incomplete)
}

fn key(name: &str, kind: KeyType) -> RequestResult<KeySchemaElement> {
    let element = KeySchemaElement::builder()
        .attribute_name(name)
        .key_type(kind)
        .build();
    element.map_err(incomplete)
}

fn incomplete(error: BuildError) -> Failure {
    Failure::new(
        StoreErrorKind::Unsupported,
        "this version of the SDK requires more of a table's definition: update tenure",
    )
    .because(error)
}

#[cfg(test)]
mod tests;
