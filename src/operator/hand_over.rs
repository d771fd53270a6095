use tokio::time::{Instant, sleep};

use super::{
    HandOverOutcome, OperatorError,
    requests::{Requests, Retries},
};
use crate::{
    lease::{CandidateId, FencingToken, Instruction, LeaseRecord, ResourceName},
    store::InstructOutcome,
};

impl Requests {
    pub(super) async fn hand_over(
        &self,
        resource: &ResourceName,
        to: CandidateId,
    ) -> Result<HandOverOutcome, OperatorError> {
        let began = Instant::now();
        let Some(record) = self.read_for_command(resource).await? else {
            return Ok(HandOverOutcome::NeverHeld);
        };
        let (token, held) = (record.token, record.is_held());
        if let Some(pause) = record.pause {
            return Ok(HandOverOutcome::Paused { note: pause.note });
        }
        let Some(from) = record.holder.filter(|_| held) else {
            // The record of a name that was only paused has no history.
            return Ok(if record.history.is_empty() {
                HandOverOutcome::NeverHeld
            } else {
                HandOverOutcome::NotHeld
            });
        };
        if from == to {
            return Ok(HandOverOutcome::AlreadyLeads { token });
        }
        if !self.ask_to_hand_over(resource, token, &to).await? {
            let now = self.read(resource).await?.filter(LeaseRecord::is_held);
            let leader = now.and_then(|record| record.holder);
            return Ok(HandOverOutcome::NoLongerLeads { token, leader });
        }
        self.wait_for_next_leader(resource, token, from, to, began)
            .await
    }

    /// Returns whether the instruction was written.
    async fn ask_to_hand_over(
        &self,
        resource: &ResourceName,
        token: FencingToken,
        to: &CandidateId,
    ) -> Result<bool, OperatorError> {
        let (mut retries, mut sent) = (Retries::default(), false);
        let to = to.clone();
        let instruction = Instruction::HandOver { token, to };
        loop {
            match self.instruct(resource, &instruction).await {
                Ok(InstructOutcome::Instructed { .. }) => return Ok(true),
                // An earlier try may have been applied, and the holder may have obeyed it since.
                Ok(InstructOutcome::Refused(_)) => return Ok(sent),
                Err(error) => {
                    sent |= error.kind().may_have_been_applied();
                    retries.after_error(error, self).await?;
                }
            }
        }
    }

    /// Waits until a newer token than this one was granted.
    async fn wait_for_next_leader(
        &self,
        resource: &ResourceName,
        token: FencingToken,
        from: CandidateId,
        to: CandidateId,
        began: Instant,
    ) -> Result<HandOverOutcome, OperatorError> {
        loop {
            let record = self.read(resource).await?;
            let took = began.elapsed();
            let Some(record) = record else {
                return Ok(HandOverOutcome::NobodyLeads { waited: took });
            };
            if let Some((by, token)) = next_leader(&record, token) {
                return Ok(if by == to {
                    HandOverOutcome::HandedOver {
                        from,
                        to,
                        token,
                        took,
                    }
                } else {
                    HandOverOutcome::LedByAnother { by, token, took }
                });
            }
            if let Some(pause) = record.pause {
                return Ok(HandOverOutcome::Paused { note: pause.note });
            }
            if took >= self.wait_for {
                let (remaining, waited) = (record.remaining, took);
                return Ok(match record.holder.filter(|_| !remaining.is_zero()) {
                    Some(by) => HandOverOutcome::StillHeld {
                        by,
                        token,
                        remaining,
                        waited,
                    },
                    None => HandOverOutcome::NobodyLeads { waited },
                });
            }
            sleep(self.poll_every).await;
        }
    }
}

/// The first acquisition after this token, which may have ended since.
fn next_leader(record: &LeaseRecord, token: FencingToken) -> Option<(CandidateId, FencingToken)> {
    let next = record.history.iter().find(|entry| entry.token > token);
    next.map(|entry| (entry.holder.clone(), entry.token))
}
