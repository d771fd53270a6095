//! What an operator does in the cases, and what the answers must be.

use std::time::Duration;

use super::trial::{LIMIT, Trial, name};
use crate::{
    lease::{Bid, FencingToken, Instruction, LeaseRecord, Note, ResourceName, StandingInstruction},
    store::{InstructOutcome, RenewOutcome, StoreError},
};

/// The note of the pauses in the cases.
pub(super) const NOTE: &str = "moving to \"eu-2\"\n\u{e9}";

pub(super) fn note() -> Note {
    Note::new(NOTE).expect("a note that is short enough")
}

pub(super) fn pause(edition: u64) -> Instruction {
    Instruction::Pause {
        note: note(),
        edition,
    }
}

pub(super) const fn resume(edition: u64) -> Instruction {
    Instruction::Resume { edition }
}

pub(super) fn hand_over(token: FencingToken, to: &str) -> Instruction {
    let to = name(to);
    Instruction::HandOver { token, to }
}

impl Trial {
    /// Sends an instruction through the second client.
    pub(super) async fn instruct(&self, instruction: &Instruction) -> StoreResult<InstructOutcome> {
        let resource = &self.resource;
        self.other().instruct(resource, instruction, LIMIT).await
    }

    /// Pauses the resource, which need not have a record. Returns the edition.
    pub(super) async fn pause(&self) -> u64 {
        self.pause_named(&self.resource).await
    }

    /// As [`pause`](Self::pause), of another resource.
    pub(super) async fn pause_named(&self, resource: &ResourceName) -> u64 {
        let client = self.other();
        let record = client.read(resource, LIMIT).await;
        let edition = record.expect("an answer").map_or(0, |seen| seen.edition);
        instructed(client.instruct(resource, &pause(edition), LIMIT).await)
    }

    pub(super) async fn resume(&self) -> u64 {
        let edition = self.record().await.edition;
        instructed(self.instruct(&resume(edition)).await)
    }

    pub(super) async fn hand_over(&self, token: FencingToken, to: &str) {
        instructed(self.instruct(&hand_over(token, to)).await);
    }

    pub(super) fn reentrant_bid(&self, candidate: &str) -> Bid {
        let mut bid = self.bid(candidate);
        bid.reentrant = true;
        bid
    }

    pub(super) fn internal_bid(&self, candidate: &str) -> Bid {
        let mut bid = self.bid(candidate);
        bid.internal = true;
        bid
    }
}

/// Waits until the wall clocks show a later time. A test cannot move them, also where it moves the clock that
/// expiry is judged by.
pub(super) async fn later() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

type StoreResult<T> = Result<T, StoreError>;

/// The edition after an instruction that was applied.
#[track_caller]
pub(super) fn instructed(answer: StoreResult<InstructOutcome>) -> u64 {
    match answer.expect("an answer") {
        InstructOutcome::Instructed { edition } => edition,
        InstructOutcome::Refused(record) => panic!("not instructed, but refused for {record:?}"),
    }
}

#[track_caller]
pub(super) fn not_instructed(answer: StoreResult<InstructOutcome>) -> Option<LeaseRecord> {
    match answer.expect("an answer") {
        InstructOutcome::Refused(record) => record,
        InstructOutcome::Instructed { edition } => panic!("not refused, but edition {edition}"),
    }
}

/// What a renewal tells the holder.
#[track_caller]
pub(super) fn told(answer: StoreResult<RenewOutcome>) -> Option<StandingInstruction> {
    match answer.expect("an answer") {
        RenewOutcome::Renewed { instruction } => instruction,
        RenewOutcome::Lost(record) => panic!("not renewed, but lost to {record:?}"),
    }
}

/// The instruction of a pause in the cases.
#[allow(
    clippy::unnecessary_wraps,
    reason = "it is compared with what a renewal tells"
)]
pub(super) fn to_pause() -> Option<StandingInstruction> {
    Some(StandingInstruction::Pause { note: note() })
}

/// The instruction of a hand-over in the cases.
#[allow(
    clippy::unnecessary_wraps,
    reason = "it is compared with what a renewal tells"
)]
pub(super) fn to_hand_over(to: &str) -> Option<StandingInstruction> {
    let to = name(to);
    Some(StandingInstruction::HandOver { to })
}
