use std::time::Duration;

use super::{Fault, client::Client};
use crate::{
    clock::Moment,
    lease::{Lease, StandingInstruction},
    store::{LeaseStore as _, RenewOutcome, StoreError, StoredRecord},
};

impl Client {
    pub(super) fn renew_by(
        &self,
        record: &mut StoredRecord,
        lease: &Lease,
        ttl: Duration,
        now: Moment,
    ) -> RenewOutcome {
        let mut lease = lease.clone();
        let before = record.clone();
        match self.fault() {
            Some(Fault::ExpiredLeaseRenewed) => {
                record.expires_at = record.expires_at.max(now + ttl);
            }
            Some(Fault::RenewalWithoutTokenCheck) => lease.token = record.token,
            Some(Fault::RenewalByAnybody) => {
                lease.token = record.token;
                lease.holder = record.holder.clone().unwrap_or(lease.holder);
            }
            Some(Fault::RenewalMakesARecord) => record.version = record.version.max(1),
            Some(Fault::EvictedLeaseRenewed) => record.closing = false,
            Some(Fault::PausedLeaseNotRenewed) if record.pause.is_some() => {
                return RenewOutcome::Lost(record.seen(&lease.resource, now));
            }
            _ => {}
        }
        let mut outcome = record.renew(&lease, ttl, now);
        let RenewOutcome::Renewed { instruction } = &mut outcome else {
            return outcome;
        };
        match self.fault() {
            Some(Fault::RenewalDoesNotExtend) => record.expires_at = before.expires_at,
            Some(Fault::RenewalNeverShortens) => {
                record.expires_at = record.expires_at.max(before.expires_at);
            }
            Some(Fault::RenewalKeepsTheTtl) => record.ttl = before.ttl,
            // The client's own version: the same with every renewal.
            Some(Fault::VersionSetByTheClient) => record.version = before.version.max(1_000),
            Some(Fault::InstructionNotTold) => *instruction = None,
            Some(Fault::InstructionToldOnce) => {
                record.pause = None;
                record.hand_over = None;
            }
            Some(Fault::HandOverWinsOverAPause) => {
                if let Some(to) = record.hand_over.clone() {
                    *instruction = Some(StandingInstruction::HandOver { to });
                }
            }
            Some(Fault::RenewalTouches) => record.touched = std::time::SystemTime::now(),
            _ => {}
        }
        outcome
    }

    pub(super) async fn renew_batch(
        &self,
        leases: &[(Lease, Duration)],
        limit: Duration,
    ) -> Vec<Result<RenewOutcome, StoreError>> {
        if leases.is_empty() && self.has(Fault::RenewManyAnswersAnEmptyBatch) {
            return vec![Ok(RenewOutcome::Lost(None))];
        }
        let mut answers: Vec<Result<RenewOutcome, StoreError>> = Vec::new();
        let mut has_lost = false;
        for (index, (lease, ttl)) in leases.iter().enumerate() {
            let earlier = leases[..index]
                .iter()
                .position(|(other, _)| other.resource == lease.resource);
            let answer = match (self.fault(), earlier) {
                (Some(Fault::RenewManyStopsAtALoss), _) if has_lost => Ok(RenewOutcome::Lost(None)),
                (Some(Fault::RenewManyExtendsTheFirstOnly), _) if index > 0 => {
                    Ok(RenewOutcome::RENEWED)
                }
                (Some(Fault::RenewManyRefusesDuplicates), Some(_)) => Ok(RenewOutcome::Lost(None)),
                (Some(Fault::RenewManyJudgesByTheName), Some(_)) => Ok(RenewOutcome::RENEWED),
                _ => self.renew(lease, *ttl, limit).await,
            };
            has_lost |= matches!(answer, Ok(RenewOutcome::Lost(_)));
            answers.push(answer);
        }
        for answer in &mut answers {
            if let Ok(RenewOutcome::Renewed { instruction }) = answer
                && self.has(Fault::RenewManyDropsInstructions)
            {
                *instruction = None;
            }
        }
        if self.has(Fault::RenewManyReversesItsAnswers) {
            answers.reverse();
        }
        answers
    }
}
