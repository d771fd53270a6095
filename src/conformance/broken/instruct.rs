use std::time::SystemTime;

use super::{Fault, client::Client};
use crate::{
    clock::Moment,
    lease::{FencingToken, Instruction, Note, ResourceName},
    store::{InstructOutcome, StoredRecord},
};

impl Client {
    pub(super) fn instruct_by(
        &self,
        record: &mut StoredRecord,
        resource: &ResourceName,
        instruction: &Instruction,
        now: Moment,
    ) -> InstructOutcome {
        let before = record.clone();
        let mut instruction = instruction.clone();
        self.distort_instruction(record, &mut instruction, now);
        if before.version == 0 && self.has(Fault::PauseNeedsARecord) {
            return InstructOutcome::Refused(None);
        }
        let outcome = record.instruct(resource, &instruction, now, SystemTime::now());
        match outcome {
            InstructOutcome::Refused(seen) => {
                *record = before;
                if record.version == 0 && self.has(Fault::ResumeMakesARecord) {
                    record.version = 1;
                }
                let hidden = self.has(Fault::RefusedInstructionHidesTheRecord);
                InstructOutcome::Refused(seen.filter(|_| !hidden))
            }
            InstructOutcome::Instructed { .. } => {
                // What was distorted so that the instruction applies.
                record.holder.clone_from(&before.holder);
                record.expires_at = before.expires_at;
                record.internal = before.internal;
                self.distort_instructed(record, &before, &instruction, now);
                let edition = record.edition;
                InstructOutcome::Instructed { edition }
            }
        }
    }

    /// Changes the instruction, and whether it applies.
    fn distort_instruction(
        &self,
        record: &mut StoredRecord,
        instruction: &mut Instruction,
        now: Moment,
    ) {
        let current = record.edition;
        match (self.fault(), instruction) {
            (Some(Fault::HandOverWithoutTokenCheck), Instruction::HandOver { token, .. }) => {
                *token = record.token;
            }
            (Some(Fault::HandOverOfAFreeLease), Instruction::HandOver { to, .. })
                if record.version > 0 && record.holder.is_none() =>
            {
                record.holder = Some(to.clone());
                record.expires_at = now + record.ttl;
            }
            (Some(Fault::HandOverOfAnExpiredLease), Instruction::HandOver { .. }) => {
                record.expires_at = record.expires_at.max(now + record.ttl);
            }
            (Some(Fault::LatePauseApplies), Instruction::Pause { edition, .. })
            | (Some(Fault::LateResumeApplies), Instruction::Resume { edition }) => {
                *edition = current;
            }
            (Some(Fault::NoteDropped), Instruction::Pause { note, .. }) => *note = Note::default(),
            (Some(Fault::InternalRecordInstructed), _) => record.internal = false,
            _ => {}
        }
    }

    /// Changes what was written by an instruction that applied.
    fn distort_instructed(
        &self,
        record: &mut StoredRecord,
        before: &StoredRecord,
        instruction: &Instruction,
        now: Moment,
    ) {
        let is_new = before.version == 0;
        match (self.fault(), instruction) {
            (Some(Fault::FirstTokenOfAPauseIsOne), Instruction::Pause { .. }) if is_new => {
                record.token = FencingToken::new(1);
            }
            (Some(Fault::FirstEditionOfAPauseIsOne), Instruction::Pause { .. }) if is_new => {
                record.edition = 1;
            }
            (Some(Fault::EditionNotRaised), _) => record.edition = before.edition.max(1),
            (Some(Fault::HandOverRaisesTheEdition), Instruction::HandOver { .. }) => {
                record.edition += 1;
            }
            (Some(Fault::ResumeKeepsThePause), Instruction::Resume { .. }) => {
                record.pause.clone_from(&before.pause);
            }
            (Some(Fault::ResumeErasesTheHandOver), Instruction::Resume { .. })
            | (Some(Fault::PauseErasesTheHandOver), Instruction::Pause { .. }) => {
                record.hand_over = None;
            }
            (Some(Fault::HandOverErasesThePause), Instruction::HandOver { .. }) => {
                record.pause = None;
            }
            (Some(Fault::FirstHandOverStands), Instruction::HandOver { .. })
                if before.hand_over.is_some() =>
            {
                record.hand_over.clone_from(&before.hand_over);
            }
            (Some(Fault::InstructionMovesTheExpiry), _) => record.expires_at = now + record.ttl,
            (Some(Fault::InstructionRaisesTheVersion), _) => record.version += 1,
            (Some(Fault::InstructionDoesNotTouch), _) => record.touched = before.touched,
            _ => {}
        }
    }
}
