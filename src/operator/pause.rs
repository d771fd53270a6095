use futures::{StreamExt as _, stream};
use tokio::time::{Instant, sleep};

use super::{
    OfResource, OperatorError, PauseOutcome, ResumeOutcome,
    requests::{Requests, Retries},
};
use crate::{
    lease::{Instruction, Note, ResourceName, Scope},
    store::InstructOutcome,
};

/// How many resources of a scope are asked for at the same time.
const AT_ONCE: usize = 8;

impl Requests {
    pub(super) async fn pause(
        &self,
        resource: &ResourceName,
        note: &Note,
    ) -> Result<PauseOutcome, OperatorError> {
        let began = Instant::now();
        self.write_pause(resource, note).await?;
        self.wait_until_free(resource, began).await
    }

    pub(super) async fn pause_scope(
        &self,
        scope: &Scope,
        note: &Note,
    ) -> Result<Vec<OfResource<PauseOutcome>>, OperatorError> {
        let began = Instant::now();
        let names = self.names_in(scope).await?;
        let paused = stream::iter(names).map(|resource| async move {
            let written = self.write_pause(&resource, note).await;
            (resource, written)
        });
        // All are paused before any is waited for.
        let paused: Vec<_> = paused.buffered(AT_ONCE).collect().await;
        let outcomes = stream::iter(paused).map(|(resource, written)| async move {
            let result = match written {
                Ok(()) => self.wait_until_free(&resource, began).await,
                Err(error) => Err(error),
            };
            OfResource { resource, result }
        });
        Ok(outcomes.buffered(AT_ONCE).collect().await)
    }

    pub(super) async fn resume_scope(
        &self,
        scope: &Scope,
    ) -> Result<Vec<OfResource<ResumeOutcome>>, OperatorError> {
        let names = self.names_in(scope).await?;
        let outcomes = stream::iter(names).map(|resource| async move {
            let result = self.resume(&resource).await;
            OfResource { resource, result }
        });
        Ok(outcomes.buffered(AT_ONCE).collect().await)
    }

    pub(super) async fn resume(
        &self,
        resource: &ResourceName,
    ) -> Result<ResumeOutcome, OperatorError> {
        let mut retries = Retries::default();
        let mut outcome = ResumeOutcome::NotPaused;
        let mut asked = None;
        loop {
            let Some(record) = self.read_for_command(resource).await? else {
                return Ok(outcome);
            };
            let edition = record.edition;
            if record.pause.is_some() {
                outcome = ResumeOutcome::Resumed;
            } else if asked.is_some_and(|asked| asked != edition) {
                // An earlier try has done it.
                return Ok(outcome);
            }
            // Also if it is not paused: a pause may still be on its way, and only a new edition makes it stale.
            asked = Some(edition);
            let resume = Instruction::Resume { edition };
            match self.instruct(resource, &resume).await {
                Ok(InstructOutcome::Instructed { .. }) => return Ok(outcome),
                Ok(InstructOutcome::Refused(_)) => retries.after_change(resource)?,
                Err(error) => retries.after_error(error, self).await?,
            }
        }
    }

    /// Writes the pause, also if it stands already: a resume may still be on its way, and only a new edition makes it
    /// stale.
    async fn write_pause(&self, resource: &ResourceName, note: &Note) -> Result<(), OperatorError> {
        let mut retries = Retries::default();
        let mut asked = None;
        loop {
            let record = self.read_for_command(resource).await?;
            let pause = record.as_ref().and_then(|record| record.pause.as_ref());
            let stands = pause.is_some_and(|pause| pause.note == *note);
            let (note, edition) = (note.clone(), record.map_or(0, |record| record.edition));
            if stands && asked.is_some_and(|asked| asked != edition) {
                // An earlier try has done it.
                return Ok(());
            }
            asked = Some(edition);
            let instruction = Instruction::Pause { note, edition };
            match self.instruct(resource, &instruction).await {
                Ok(InstructOutcome::Instructed { .. }) => return Ok(()),
                // Another operator has paused or resumed it, or an earlier try was applied.
                Ok(InstructOutcome::Refused(_)) => retries.after_change(resource)?,
                Err(error) => retries.after_error(error, self).await?,
            }
        }
    }

    /// Waits until nobody holds the lease of a resource that is paused.
    async fn wait_until_free(
        &self,
        resource: &ResourceName,
        began: Instant,
    ) -> Result<PauseOutcome, OperatorError> {
        loop {
            let record = self.read(resource).await?;
            let Some(record) = record.filter(|record| record.pause.is_some()) else {
                return Ok(PauseOutcome::ResumedMeanwhile);
            };
            let waited = began.elapsed();
            let held = record.is_held();
            let Some(by) = record.holder.filter(|_| held) else {
                return Ok(PauseOutcome::Paused { took: waited });
            };
            if waited >= self.wait_for {
                return Ok(PauseOutcome::StillHeld {
                    by,
                    token: record.token,
                    remaining: record.remaining,
                    waited,
                });
            }
            sleep(self.poll_every).await;
        }
    }

    async fn names_in(&self, scope: &Scope) -> Result<Vec<ResourceName>, OperatorError> {
        let records = self.list(scope).await?;
        let records = records.into_iter().filter(|record| !record.internal);
        Ok(records.map(|record| record.resource).collect())
    }
}
