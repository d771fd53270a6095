use std::time::SystemTime;

use super::{Fault, client::Client};
use crate::{
    clock::Moment,
    lease::{Bid, Metadata},
    store::{AcquireOutcome, StoredRecord},
};

impl Client {
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
        let outcome = record.acquire(&bid, now, SystemTime::UNIX_EPOCH);
        match outcome {
            AcquireOutcome::Refused(_) => {
                record.expires_at = before.expires_at;
                if self.has(Fault::RefusalWrites) {
                    record.expires_at = now + record.ttl;
                    record.version += 1;
                }
            }
            AcquireOutcome::Granted { .. } if self.has(Fault::FirstTokenIsZero) => {
                record.token = before.token;
                return AcquireOutcome::Granted {
                    token: record.token,
                };
            }
            AcquireOutcome::Granted { .. }
                if before.closing && self.has(Fault::TokenKeptAfterEviction) =>
            {
                record.token = before.token;
                return AcquireOutcome::Granted {
                    token: record.token,
                };
            }
            AcquireOutcome::Granted { .. } if self.has(Fault::TokenKeptOnExpiry) => {
                if before.holder.is_some() {
                    record.token = before.token;
                }
                return AcquireOutcome::Granted {
                    token: record.token,
                };
            }
            AcquireOutcome::Granted { .. }
                if bid.reentrant && self.has(Fault::ReentrantBidKeepsTheExpiry) =>
            {
                let was_held = before.holder.is_some() && now < before.expires_at;
                if was_held {
                    record.expires_at = before.expires_at;
                }
            }
            AcquireOutcome::Granted { .. } if self.has(Fault::HistoryForgotten) => {
                record.history.drain(..record.history.len() - 1);
            }
            AcquireOutcome::Granted { .. } => {}
        }
        outcome
    }
}
