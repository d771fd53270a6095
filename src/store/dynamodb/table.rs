//! The table itself: whether it is there, of the right shape, and how it is made.

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
    failure::{Access, Answer, Failure, NO_TABLE, OTHER_KEYS},
    item::{NAME, SCOPE},
    requests::Call,
};
use crate::{
    duration::human,
    store::{Operation, REACHED_WITHIN, StoreError, StoreErrorKind},
};

/// AWS takes some seconds for an empty table.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(300);

impl DynamoStore {
    /// Makes the table, billed by request, unless it is there; then waits until it can be used, for at
    /// most a minute. Harmless when repeated, and when several processes do it at once.
    ///
    /// # Errors
    /// [`Misconfigured`](StoreErrorKind::Misconfigured) where a table of this name has other keys;
    /// [`Denied`](StoreErrorKind::Denied) without the right to `dynamodb:CreateTable`.
    pub async fn create_table_if_missing(&self) -> Result<(), StoreError> {
        self.told(Operation::Prepare, self.make_table().await)
    }

    async fn make_table(&self) -> Answer<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.table_state().await? {
                State::Ready => return Ok(()),
                State::Other => return Err(other_keys()),
                State::Missing => self.make().await?,
                State::Coming => {}
            }
            if Instant::now() >= end {
                let message = format!("the table cannot be used yet after {}", human(PATIENCE));
                return Err(Failure::new(StoreErrorKind::Unavailable, message));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Whether the table is there and has the keys that are needed.
    pub(super) async fn check_table(&self) -> Answer<()> {
        match self.table_state().await? {
            State::Ready => Ok(()),
            State::Other => Err(other_keys()),
            State::Missing => Err(Failure::new(StoreErrorKind::Misconfigured, NO_TABLE)),
            State::Coming => Err(Failure::new(
                StoreErrorKind::Unavailable,
                "the table is being made or deleted: wait until it is active",
            )),
        }
    }

    async fn table_state(&self) -> Answer<State> {
        let request = self.client.describe_table().table_name(&*self.table);
        let call = Call::new(self, REACHED_WITHIN);
        match call.limited(Access::Read, request.send()).await? {
            Ok(answer) => Ok(answer.table.as_ref().map_or(State::Missing, State::of)),
            Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(State::Missing),
            Err(error) => Err(Access::Read.failure(error)),
        }
    }

    async fn make(&self) -> Answer<()> {
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
        let call = Call::new(self, self.call_limit);
        match call.limited(Access::Write, request.send()).await? {
            Ok(_) => Ok(()),
            // Somebody else was faster.
            Err(error) if error.code() == Some("ResourceInUseException") => Ok(()),
            Err(error) => Err(Access::Write.failure(error)),
        }
    }
}

enum State {
    Missing,
    Coming,
    Ready,
    /// It has other keys.
    Other,
}

impl State {
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
            Some(TableStatus::Creating | TableStatus::Deleting) => Self::Coming,
            _ if has_key(SCOPE, KeyType::Hash) && has_key(NAME, KeyType::Range) => Self::Ready,
            _ => Self::Other,
        }
    }
}

fn other_keys() -> Failure {
    Failure::new(StoreErrorKind::Misconfigured, OTHER_KEYS)
}

fn text(name: &str) -> Answer<AttributeDefinition> {
    let definition = AttributeDefinition::builder()
        .attribute_name(name)
        .attribute_type(ScalarAttributeType::S)
        .build();
    definition.map_err(incomplete)
}

fn key(name: &str, kind: KeyType) -> Answer<KeySchemaElement> {
    let element = KeySchemaElement::builder()
        .attribute_name(name)
        .key_type(kind)
        .build();
    element.map_err(incomplete)
}

fn incomplete(error: BuildError) -> Failure {
    Failure::new(StoreErrorKind::Unsupported, "the SDK asks for more").because(error)
}
