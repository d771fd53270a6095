use std::time::{Duration, SystemTime};

use super::{Fault, client::Client};
use crate::{
    clock::Moment,
    lease::{Bid, CandidateId, FencingToken, Metadata},
    store::{AcquireOutcome, StoredRecord},
};

impl Client {
    /// Whether the bid found a pause, for a fault that reads it before the write.
    pub(super) async fn finds_paused(&self, key: &str, bid: &Bid) -> bool {
        if !self.has(Fault::PauseReadBeforeTheWrite) {
            return false;
        }
        let paused = {
            let records = self.shared.records.lock().unwrap();
            let record = records.get(key);
            record.is_some_and(|record| record.is_paused_for(bid))
        };
        tokio::time::sleep(Duration::from_millis(5)).await;
        paused
    }

    pub(super) fn acquire_by(
        &self,
        record: &mut StoredRecord,
        bid: &Bid,
        now: Moment,
    ) -> AcquireOutcome {
        let own = record.attempt == Some(bid.attempt);
        if own
            && self.has(Fault::RepeatedAttemptRefused)
            && let Some(seen) = record.seen(&bid.resource, now)
        {
            return AcquireOutcome::Refused(seen);
        }
        let before = record.clone();
        let mut bid = bid.clone();
        if own && record.holder.is_some() && now < record.expires_at {
            if self.has(Fault::SameAttemptWithoutWrite) {
                return AcquireOutcome::Granted {
                    token: record.token,
                };
            }
        } else if own && record.holder.is_some() && self.has(Fault::ExpiredAttemptGetsItsTokenBack)
        {
            record.expires_at = now + bid.ttl;
            record.version += 1;
            return AcquireOutcome::Granted {
                token: record.token,
            };
        }
        if self.has(Fault::ReleasedAttemptGranted) && own && record.holder.is_none() {
            record.attempt = None;
        }
        if self.has(Fault::EveryBidIsReentrant) {
            bid.reentrant = true;
        }
        self.distort_replacement(record, &mut bid);
        if self.has(Fault::ReentrantBidRefused) {
            bid.reentrant = false;
        }
        if bid.reentrant && self.has(Fault::ReentrantBidTakesFromAnybody) {
            record.holder = record.holder.take().map(|_| bid.candidate.clone());
        }
        if bid.reentrant && self.has(Fault::ReentrantBidTakesAClosingLease) {
            record.closing = false;
        }
        if self.has(Fault::ExpiryByTheBiddersTtl) && record.holder.is_some() {
            record.expires_at = record.expires_at - record.ttl + bid.ttl;
        }
        if self.has(Fault::MetadataTruncated) {
            let cut = bid
                .metadata
                .map(|text| text.as_str()[..255.min(text.as_str().len())].to_owned());
            bid.metadata = cut.map(|text| Metadata::new(text).unwrap());
        }
        self.distort_instructions(record, &mut bid, now);
        let wall = if self.has(Fault::FirstTokenIsOne) {
            SystemTime::UNIX_EPOCH
        } else {
            SystemTime::now()
        };
        match record.acquire(&bid, now, wall) {
            AcquireOutcome::Refused(mut seen) => {
                *record = before;
                if self.has(Fault::RefusalWrites) {
                    record.expires_at = now + record.ttl;
                    record.version += 1;
                }
                seen.pause.clone_from(&record.pause);
                if self.has(Fault::RefusalHidesThePause) {
                    seen.pause = None;
                }
                AcquireOutcome::Refused(seen)
            }
            AcquireOutcome::Granted { .. } => {
                record.pause.clone_from(&before.pause);
                self.distort_grant(record, &before, &bid, now);
                let token = record.token;
                AcquireOutcome::Granted { token }
            }
        }
    }

    /// Changes what a bid replaces.
    fn distort_replacement(&self, record: &mut StoredRecord, bid: &mut Bid) {
        let names_it = bid.replaces == Some(record.token);
        match self.fault() {
            Some(Fault::ReplacingBidRefused) => bid.replaces = None,
            Some(Fault::AnyTokenReplaced) => bid.replaces = bid.replaces.map(|_| record.token),
            Some(Fault::TokenOfAnybodyReplaced) if names_it => {
                record.holder = record.holder.take().map(|_| bid.candidate.clone());
            }
            Some(Fault::ClosingTokenReplaced) if names_it => record.closing = false,
            Some(Fault::PausedTokenReplaced) if names_it => record.pause = None,
            _ => {}
        }
    }

    /// Changes what was written by a bid that was granted.
    fn distort_grant(
        &self,
        record: &mut StoredRecord,
        before: &StoredRecord,
        bid: &Bid,
        now: Moment,
    ) {
        let was_held = before.holder.is_some() && now < before.expires_at;
        let Some(fault) = self.fault() else { return };
        match fault {
            Fault::FirstEditionIsOne if before.version == 0 => record.edition = 1,
            Fault::FirstTokenIsZero => record.token = before.token,
            Fault::TokenKeptAfterEviction if before.closing => record.token = before.token,
            Fault::TokenKeptOnExpiry if before.holder.is_some() => record.token = before.token,
            Fault::EveryTokenIsTheTimeOfDay if record.token != before.token => {
                record.token = FencingToken::first_at(SystemTime::now());
            }
            Fault::ReplacementKeepsTheExpiry if bid.replaces.is_some() && was_held => {
                record.expires_at = before.expires_at;
            }
            Fault::ReentrantBidKeepsTheExpiry if bid.reentrant && was_held => {
                record.expires_at = before.expires_at;
            }
            Fault::HistoryForgotten => {
                record.history.drain(..record.history.len() - 1);
            }
            Fault::EndsOfOlderAcquisitionsForgotten => {
                record.history.iter_mut().for_each(|line| line.ended = None);
            }
            Fault::AcquisitionDoesNotTouch => record.touched = before.touched,
            Fault::InternalRecordNotMarked => record.internal = false,
            Fault::HandOverSurvivesAnAcquisition => {
                record.hand_over.clone_from(&before.hand_over);
            }
            _ => {}
        }
    }

    /// Changes the instructions that a bid meets. The caller restores the pause.
    fn distort_instructions(&self, record: &mut StoredRecord, bid: &mut Bid, now: Moment) {
        let (own, free) = (record.attempt == Some(bid.attempt), record.holder.is_none());
        let held = !free && now < record.expires_at;
        let lapsed = !free && !held;
        let Some(fault) = self.fault() else { return };
        match fault {
            Fault::PauseIgnoredIfFree if free => record.pause = None,
            // The four clients of a case are opened before the pause.
            Fault::PauseUnknownToLaterClients if self.number >= 4 => record.pause = None,
            Fault::PauseIgnoredByTakeovers if lapsed => record.pause = None,
            Fault::PauseIgnoredByRetries if own && held => record.pause = None,
            Fault::PauseIgnoredByReentrantBids if bid.reentrant && held => record.pause = None,
            // The first request found no pause.
            Fault::PauseReadBeforeTheWrite => record.pause = None,
            Fault::PauseRefusesInternalBids if record.pause.is_some() => bid.internal = false,
            Fault::HandOverIgnored if free => record.hand_over = None,
            Fault::HandOverIgnoredAfterExpiry if lapsed => record.hand_over = None,
            Fault::HandOverRefusesEverybody if !held && record.hand_over.is_some() => {
                let nobody = format!("not {}", bid.candidate);
                record.hand_over = CandidateId::new(nobody).ok();
            }
            Fault::HandOverRefusesTheHolder if own && held && record.hand_over.is_some() => {
                record.attempt = None;
            }
            Fault::WaitedIgnored => bid.waited = None,
            Fault::AnyWaitedCounts => bid.waited = bid.waited.map(|_| record.token),
            _ => {}
        }
    }
}
