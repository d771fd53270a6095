//! Writes to many documents, as plain commands: the driver's own methods for them have no `maxTimeMS`.

use std::time::Duration;

use mongodb::{
    bson::{Bson, Document, doc},
    error::{Error, ErrorKind, WriteFailure},
};
use serde::de::DeserializeOwned;

use super::{
    MongoStore,
    failure::{Access, RequestResult, TracedError},
    operation_deadline::OperationDeadline,
    pipeline,
    requests::primary,
};
use crate::lease::Scope;

impl MongoStore {
    /// Makes a change in every document that the filter matches, and returns how many these are. The driver never
    /// repeats it.
    pub(super) async fn update_all(
        &self,
        filter: Document,
        change: Vec<Document>,
        limit: OperationDeadline,
    ) -> RequestResult<Result<u64, TracedError>> {
        let statement = doc! {
            "q": filter, "u": change, "multi": true, "collation": { "locale": "simple" },
        };
        let command = doc! { "update": self.collection.name(), "updates": [statement] };
        self.write_all(command, limit).await
    }

    /// Deletes the records of a scope that were not touched for a time, and returns how many these are.
    pub(super) async fn delete_untouched(
        &self,
        scope: &Scope,
        untouched_for: Duration,
        limit: OperationDeadline,
    ) -> RequestResult<u64> {
        let filter = pipeline::purge(scope, untouched_for);
        let statement = doc! { "q": filter, "limit": 0, "collation": { "locale": "simple" } };
        let command = doc! { "delete": self.collection.name(), "deletes": [statement] };
        let deleted = self.write_all(command, limit).await?;
        deleted.map_err(|error| Access::Write.failure(error))
    }

    async fn write_all(
        &self,
        mut command: Document,
        limit: OperationDeadline,
    ) -> RequestResult<Result<u64, TracedError>> {
        command.insert("writeConcern", doc! { "w": "majority", "j": true });
        let namespace = self.collection.namespace();
        let database = self.collection.client().database(&namespace.db);
        let sent = |time: Duration| async move {
            command.insert("maxTimeMS", time.as_millis() as i64);
            let request = database.run_command(command);
            counted(&request.selection_criteria(primary()).await?)
        };
        self.request_gate.send(limit, Access::Write, sent).await
    }
}

/// How many documents a command has matched or deleted. For a command of this kind, the driver does not look for errors
/// that concern documents.
fn counted(answer: &Document) -> Result<u64, Error> {
    let refused = answer.get_array("writeErrors").ok();
    if let Some(refused) = refused.and_then(|errors| errors.first()) {
        let refused = decoded(refused)?;
        return Err(ErrorKind::Write(WriteFailure::WriteError(refused)).into());
    }
    if let Some(late) = answer.get("writeConcernError") {
        let late = decoded(late)?;
        return Err(ErrorKind::Write(WriteFailure::WriteConcernError(late)).into());
    }
    let count = answer
        .get("n")
        .map(|n| n.as_i64().or_else(|| n.as_i32().map(i64::from)));
    let count = count.flatten().and_then(|n| u64::try_from(n).ok());
    count.ok_or_else(|| Error::custom("the answer has no number of documents"))
}

/// An error in the answer to a command. Through JSON, because the functions of `bson` 2 and 3 for it differ.
fn decoded<T: DeserializeOwned>(error: &Bson) -> Result<T, Error> {
    let json = serde_json::to_value(error);
    json.and_then(serde_json::from_value).map_err(Error::custom)
}
