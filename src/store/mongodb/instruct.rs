//! Writes an operator's instruction into a record.

use mongodb::{
    bson::{Document, doc},
    options::ReturnDocument,
};

use super::{
    MongoStore,
    document::{self, ReadPurpose},
    failure::{Access, RequestResult, TracedError, is_duplicate_key},
    operation_deadline::OperationDeadline,
    pipeline,
    requests::{ChangeOutcome, exact, majority, new_attempt, without_document},
};
use crate::{
    lease::{AttemptId, Instruction, Note, ResourceName},
    store::InstructOutcome,
};

impl MongoStore {
    pub(super) async fn write_instruction(
        &self,
        resource: &ResourceName,
        instruction: &Instruction,
        limit: OperationDeadline,
    ) -> RequestResult<InstructOutcome> {
        let change = match instruction {
            Instruction::HandOver { token, to } => pipeline::hand_over(resource, *token, to),
            Instruction::Pause { note, edition: 0 } => {
                return self.create_paused(resource, note, limit).await;
            }
            Instruction::Pause { note, edition } => pipeline::pause(resource, note, *edition),
            Instruction::Resume { edition } => pipeline::resume(resource, *edition),
        };
        let view = doc! { "edition": 1 };
        Ok(match self.change(resource, change, view, limit).await? {
            ChangeOutcome::Done(found) => InstructOutcome::Instructed {
                edition: document::edition(&found)?,
            },
            ChangeOutcome::Refused(record) => InstructOutcome::Refused(record),
        })
    }

    /// Pauses a resource that has no record.
    async fn create_paused(
        &self,
        resource: &ResourceName,
        note: &Note,
        limit: OperationDeadline,
    ) -> RequestResult<InstructOutcome> {
        let created = new_attempt()?;
        let upsert = || self.upsert_paused(resource, note, created, limit);
        let mut answer = upsert().await?;
        // Another upsert has created the document, so the second request finds it.
        if (answer.as_ref()).is_err_and(|refused| is_duplicate_key(&refused.error)) {
            answer = upsert().await?;
        }
        let found = answer.map_err(|error| Access::Write.failure(error))?;
        let found = found.ok_or_else(|| without_document("a pause"))?;
        if document::attempt(&found) == Some(created) {
            let edition = document::edition(&found)?;
            return Ok(InstructOutcome::Instructed { edition });
        }
        let record = document::record(&found, ReadPurpose::Write)?;
        Ok(InstructOutcome::Refused(record))
    }

    /// Returns the document as it is then.
    async fn upsert_paused(
        &self,
        resource: &ResourceName,
        note: &Note,
        attempt: AttemptId,
        limit: OperationDeadline,
    ) -> RequestResult<Result<Option<Document>, TracedError>> {
        let pause = pipeline::pause_absent(resource, note, attempt);
        let request = self
            .collection
            .find_one_and_update(pipeline::by_name(resource), pause)
            .upsert(true)
            .return_document(ReturnDocument::After)
            .projection(pipeline::view_after_bid())
            .write_concern(majority())
            .collation(exact());
        let sent = |time| request.max_time(time);
        self.request_gate.send(limit, Access::Write, sent).await
    }
}
